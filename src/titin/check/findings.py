"""What a check says: findings, each with its place and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing found by a check.

    Attributes
    ----------
    message
        What is wrong and what was found, naming numbers.
    where
        The place: file, column, row, cell, gene, donor.
    hint
        What to do.
    severity
        In place of the check's own.
    """

    message: str
    where: str | None = None
    hint: str | None = None
    severity: Severity | None = None


@dataclass(frozen=True)
class Outcome:
    """What a check function returns.

    Attributes
    ----------
    findings
        Nothing where all is well.
    read
        What was read, such as ``183,161 cells, 246,944,262 values``.
    facts
        JSON-safe numbers that were computed, for the report, the card and the plots.
    skipped
        Why the check could not be evaluated, such as ``no donor column``.
    """

    findings: Sequence[Finding] = ()
    read: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    skipped: str | None = None
