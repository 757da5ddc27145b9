"""What the values of a matrix are: counts, numbers made of counts by a known rule, or real numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from titin.dataset import layout

Kind = Literal["counts", "log1p", "normalized", "real"]
KINDS: tuple[Kind, ...] = ("counts", "log1p", "normalized", "real")  # the order in which they are tried
_BASES = ("e", "2", "10")  # likewise


@dataclass(frozen=True)
class ValueKind:
    """Kind of the values, and how they follow from the counts of a cell.

    Attributes
    ----------
    name
        ``counts``: integers; ``log1p``: logarithms of 1 + count / scale; ``normalized``: count / scale; ``real``:
        anything else. ``scale`` is a number a cell.
    base
        Of the logarithm of kind ``log1p``: ``e``, or a number as text.

    Examples
    --------
    >>> ValueKind("log1p", "2").formula
    'log2(1 + count / scale)'
    """

    name: Kind
    base: str = "e"

    def __str__(self) -> str:
        return f"{self.name} of base {self.base}" if self.is_log and self.base != "e" else self.name

    @property
    def has_counts(self) -> bool:
        """Whether integer counts are stored. Log-normalised values are known then, too."""
        return self.name != "real"

    @property
    def has_levels(self) -> bool:
        """Whether the counts were recovered, so that each cell has its scale and the exact values of its counts."""
        return self.name in ("log1p", "normalized")

    @property
    def is_log(self) -> bool:
        """Whether the source's own values are log-normalised."""
        return self.name == "log1p"

    @property
    def lognorm_of_counts(self) -> bool:
        """Whether log-normalised values are log1p(10,000 × count / total), for want of such values in the source."""
        return self.has_counts and not self.is_log

    @property
    def log_unit(self) -> float:
        """Natural logarithm of the base of log-normalised values, the source's or ours; NaN of what is no base."""
        if not self.is_log or self.base == "e":
            return 1.0
        try:
            return math.log(float(self.base))
        except (TypeError, ValueError):
            return math.nan

    @property
    def entries(self) -> str:
        """Column of the matrix files that holds the entries: counts, or values of kind ``real``."""
        return layout.COUNTS if self.has_counts else layout.VALUES

    @property
    def formula(self) -> str:
        """How a value follows from its count."""
        if self.name == "normalized":
            return "count / scale"
        if not self.is_log:
            return "count" if self.has_counts else "value"
        return "log1p(count / scale)" if self.base == "e" else f"log{self.base}(1 + count / scale)"


def candidates(uns: Mapping[str, Any]) -> list[ValueKind]:
    """All kinds in the order in which they are tried; a base that ``uns["log1p"]["base"]`` names, first of the bases.

    Examples
    --------
    >>> [str(kind) for kind in candidates({"log1p": {"base": 2}})]
    ['counts', 'log1p of base 2', 'log1p', 'log1p of base 10', 'normalized', 'real']
    """
    named = _base_of(uns)
    bases = [*([named] if named else []), *(base for base in _BASES if base != named)]
    return [ValueKind(kind, base) for kind in KINDS for base in (bases if kind == "log1p" else ["e"])]


def _base_of(uns: Mapping[str, Any]) -> str | None:
    """The base that scanpy's log1p has noted down, if any."""
    noted = uns.get("log1p")
    base = noted.get("base") if isinstance(noted, Mapping) else None
    try:
        number = float(base)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    if not (1 < number < math.inf):
        return None
    return "e" if math.isclose(number, math.e, rel_tol=1e-6) else repr(number).removesuffix(".0")
