"""Findings of a check, each with its place and what to do; problems of single cells or values, counted as met."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from titin.text import say_some

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


_NAMED = 3  # places in a line


@dataclass(frozen=True)
class Repeated:
    """What was found in one place or in several.

    Attributes
    ----------
    finding
        The first of them.
    places
        All of them that have a place.
    """

    finding: Finding
    places: tuple[str, ...]

    @property
    def where(self) -> str:
        """The place, or how many there are and the first of them; empty where there is none."""
        if len(self.places) < 2:
            return "".join(self.places)
        return f"{len(self.places)} places ({say_some(self.places, _NAMED, '; ')})"


def merge_repeated(findings: Iterable[Finding]) -> list[Repeated]:
    """Findings of a check, those that say the same of different places as one, in the order of the first.

    Examples
    --------
    >>> [found.where for found in merge_repeated([Finding("bad", "a"), Finding("bad", "b"), Finding("good", "a")])]
    ['2 places (a; b)', 'a']
    """
    same: dict[tuple[str, str | None, Severity | None], list[Finding]] = {}
    for finding in findings:
        same.setdefault((finding.message, finding.hint, finding.severity), []).append(finding)
    return [Repeated(each[0], tuple(dict.fromkeys(one.where for one in each if one.where))) for each in same.values()]


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

    @classmethod
    def of_matrices(cls, first: "Outcome", others: Mapping[str, "Outcome"]) -> "Outcome":
        """One outcome of those of X and of further matrices, whose findings say of which; facts are those of X."""
        looked = {place: outcome for place, outcome in others.items() if outcome.skipped is None}
        if not looked:
            return first
        findings = [replace(finding, message=f"{place}: {finding.message}")
                    for place, outcome in looked.items() for finding in outcome.findings]  # fmt: skip
        read = [] if first.skipped is not None else [first.read]
        read += [f"{place}: {outcome.read}" for place, outcome in looked.items()]
        return cls([*first.findings, *findings], "; ".join(read), first.facts)


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
