"""Findings of a check, each with its place and what to do; problems of single cells or values, counted as met."""

from collections.abc import Iterable, Mapping, Sequence
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


@dataclass
class Tally:
    """How often one sort of problem was met.

    Attributes
    ----------
    n
        How many cells, genes or values have it.
    first
        What the first of them is.
    where
        Its place.
    """

    n: int = 0
    first: str = ""
    where: str = ""


class Problems:
    """Sorts of problem, by name, each a `Tally`."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def add(self, sort: str, n: int, first: str, where: str) -> None:
        """Count ``n`` more; the first call for a sort says what and where it was."""
        tally = self._tallies.setdefault(sort, Tally(0, first, where))
        tally.n += n

    def extend(self, others: Iterable[tuple[str, int, str, str]]) -> None:
        """Add several."""
        for sort, n, first, where in others:
            self.add(sort, n, first, where)

    def __getitem__(self, sort: str) -> Tally:
        return self._tallies.get(sort, Tally())

    def __contains__(self, sort: str) -> bool:
        return sort in self._tallies
