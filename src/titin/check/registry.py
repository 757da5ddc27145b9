"""The table of checks, and how a function becomes one."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from titin.check.dataset import CheckedDataset
from titin.check.findings import Outcome, Severity

Level = Literal["quick", "full"]
CheckFunction = Callable[[CheckedDataset], Outcome]


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
        What `CheckedDataset.missing` is asked for first: ``source``, ``counts``, ``projection`` or a role; without it
        the check is skipped with the reason.
    function
        Looks, and returns what it found.
    each
        Whether it looks at one matrix, and is asked of each that the dataset holds: X, layers, raw.
    """

    name: str
    title: str
    severity: Severity
    level: Level
    needs: frozenset[str]
    function: CheckFunction
    each: bool = False


CHECKS: dict[str, Check] = {}


def check(
    name: str, title: str, *, severity: Severity = "error", level: Level = "quick", needs: Iterable[str] = (),
    each: bool = False,
) -> Callable[[CheckFunction], CheckFunction]:  # fmt: skip
    """Register the decorated function as a check; the parameters are those of `Check`.

    Raises
    ------
    ValueError
        If another function is the check of that name already; the same one again, as on a reload of its module, takes
        its place.
    """

    def register(function: CheckFunction) -> CheckFunction:
        known = CHECKS.get(name)
        if known is not None and _origin(known.function) != _origin(function):
            raise ValueError(f"two checks are called {name}: {_origin(known.function)} and {_origin(function)}")
        CHECKS[name] = Check(name, title, severity, level, frozenset(needs), function, each)
        return function

    return register


def _origin(function: CheckFunction) -> str:
    """Return module and name of a function: the same after a reload or when a cell of a notebook runs again."""
    own = inspect.unwrap(function)
    return f"{own.__module__}.{own.__qualname__}"
