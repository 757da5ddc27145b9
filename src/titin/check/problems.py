"""Problems of single cells, genes or values, counted as they are met; the first of each sort is kept with its place."""

from collections.abc import Iterable
from dataclasses import dataclass


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
