"""Every validation of a dataset as a small named check."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

if TYPE_CHECKING:
    from titin.check.difference import DatasetDifference, diff
    from titin.check.findings import Finding, Outcome
    from titin.check.registry import CHECKS, Check
    from titin.check.report import CheckResult, ValidationReport
    from titin.check.run import load_checks, validate

__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "DatasetDifference",
    "Finding",
    "Outcome",
    "ValidationReport",
    "diff",
    "load_checks",
    "validate",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.check.difference": ("DatasetDifference", "diff"),
        "titin.check.findings": ("Finding", "Outcome"),
        "titin.check.registry": ("CHECKS", "Check"),
        "titin.check.report": ("CheckResult", "ValidationReport"),
        "titin.check.run": ("load_checks", "validate"),
    },
)
