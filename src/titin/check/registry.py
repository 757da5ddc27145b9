"""What a check is: a name, what holds when it passes, and a function that looks; all of them in one table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from titin.check.context import Context

Severity = Literal["error", "warning", "note"]
Level = Literal["quick", "full"]
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


@dataclass(frozen=True)
class Check:
    """One validation.

    Attributes
    ----------
    name
        Subject and what is checked: ``integrity.checksums``.
    title
        One sentence: what holds when it passes.
    severity
        Of its findings that do not say otherwise.
    level
        ``quick`` ones run at both levels, ``full`` ones read every value and run at level full alone.
    needs
        What `Context.missing` is asked for first: ``source``, ``counts``, ``projection`` or a role; without it the
        check is skipped with the reason.
    function
        Looks, and returns what it found.
    """

    name: str
    title: str
    severity: Severity
    level: Level
    needs: frozenset[str]
    function: "Callable[[Context], Outcome]"


CHECKS: dict[str, Check] = {}

CheckFunction = Callable[["Context"], Outcome]


def check(
    name: str, title: str, *, severity: Severity = "error", level: Level = "quick", needs: Iterable[str] = ()
) -> Callable[[CheckFunction], CheckFunction]:
    """Register the decorated function as a check; the parameters are those of `Check`.

    Raises
    ------
    ValueError
        If there is a check of that name already.
    """

    def register(function: CheckFunction) -> CheckFunction:
        known = CHECKS.get(name)
        if known is not None and known.function.__module__ != function.__module__:
            raise ValueError(f"two checks are called {name}")
        CHECKS[name] = Check(name, title, severity, level, frozenset(needs), function)
        return function

    return register
