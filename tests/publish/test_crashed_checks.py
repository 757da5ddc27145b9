"""A dataset that could not be checked whole is not published, and is not blamed."""

from pathlib import Path

from titin.check import Check, CheckResult, Finding, Outcome, ValidationReport
from titin.publish.upload import _validation_refusal


def report(*results: CheckResult) -> ValidationReport:
    """A validation that gave these results."""
    return ValidationReport(Path("dataset"), None, "full", results, {}, "2026-01-01T00:00:00+00:00", 1.0, 1, 1)


def result(name: str, *findings: Finding, crash: str = "") -> CheckResult:
    """What a check of a name gave."""
    return CheckResult(Check(name, "It holds.", "error", "quick", frozenset(), lambda _: Outcome()), Outcome(findings),
                       crash=crash)  # fmt: skip


def test_errors_are_named_before_crashes() -> None:
    found = _validation_refusal(report(result("a.one", Finding("wrong")), result("a.two", crash="KeyError: 1")))
    assert found["message"] == "the validation found 1 errors: wrong"


def test_a_crash_alone_refuses_and_says_that_it_is_a_bug() -> None:
    crashed = report(result("a.one"), result("a.two", crash="KeyError: 1"))
    assert not crashed.passed
    found = _validation_refusal(crashed)
    assert found["message"] == "1 checks crashed, so that the dataset is not validated: a.two"
    assert found["hint"].startswith("a bug of titin")
