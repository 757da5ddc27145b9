"""What splitters have in common: folds of donors, their checksum, and the way to JSON and back."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from titin.dataset.checksums import digest_of
from titin.dataset.strict_json import parse_json
from titin.errors import TitinError

Indices = NDArray[np.int64]
Fold = dict[str, list[str]]  # "train" and "test": names of donors


class Splitter(ABC):
    """What the splitters have in common.

    Attributes
    ----------
    leaky
        Whether cells of one donor can be on both sides.
    digest
        sha256 of the folds, in hexadecimal: equal digests are equal splits.
    """

    leaky: ClassVar[bool] = False

    @abstractmethod
    def split(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[tuple[Indices, Indices]]:
        """Yield the positions (int64, ascending) of training and of test cells, fold by fold.

        Parameters
        ----------
        X
            Its first dimension is checked, nothing else of it is looked at.
        y, groups
            Not looked at.

        Raises
        ------
        TitinError
            If ``X`` has another number of cells than the splitter was made for.
        """

    @abstractmethod
    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds; the arguments are not looked at."""

    @abstractmethod
    def folds(self) -> pd.DataFrame:
        """Return a row for each donor and fold in which it is tested: ``donor``, ``fold`` (from 0)."""

    @abstractmethod
    def _content(self) -> dict[str, Any]:
        """What the digest is of."""

    @property
    def digest(self) -> str:
        """Checksum of the folds."""
        return digest_of(self._content())

    def to_json(self) -> str:
        """Write the folds down, so that they stay what they are whatever becomes of this code."""
        return json.dumps({**self._content(), "digest": self.digest}, indent=1, ensure_ascii=False) + "\n"


class DonorSplitter(Splitter):
    """A splitter whose folds are lists of donors.

    Parameters
    ----------
    donors
        Donor of every cell that will be split, in their order.
    folds
        The donors of each side, fold by fold.
    settings
        What the folds were made with.
    missing
        Take cells without a donor, which are then on neither side; else they are refused.
    """

    def __init__(
        self, donors: ArrayLike, folds: Sequence[Fold], settings: dict[str, Any], *, missing: bool = False
    ) -> None:
        self.donors = labels(donors, "donor", missing=missing)
        self.settings = settings
        self._folds = list(folds)
        known = {donor for fold in self._folds for side in fold.values() for donor in side}
        if strange := sorted(set(self.donors) - known - {NO_ONE}):
            refuse(f"donor {strange[0]!r} is in no fold", "these folds were made for other donors")
        for number, (train, test) in enumerate(self.split()):
            if not len(train) or not len(test):
                side = "test" if len(train) else "train"
                refuse(f"fold {number} has no cell to {side} on", "make the folds for the donors that are there")

    def split(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[tuple[Indices, Indices]]:  # noqa: ARG002
        """Yield the positions (int64, ascending) of training and of test cells, fold by fold."""
        check_length(X, len(self.donors))
        for fold in self._folds:
            yield np.flatnonzero(self._side(fold, "train")), np.flatnonzero(self._side(fold, "test"))

    def _side(self, fold: Fold, side: str) -> NDArray[np.bool_]:
        """Mask of the cells of one side."""
        return np.isin(self.donors, fold[side])

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Return the number of folds; the arguments are not looked at."""
        return len(self._folds)

    def folds(self) -> pd.DataFrame:
        """Return a row for each donor and fold in which it is tested: ``donor``, ``fold`` (from 0)."""
        rows = [(donor, number) for number, fold in enumerate(self._folds) for donor in fold["test"]]
        return pd.DataFrame(rows, columns=["donor", "fold"])

    @property
    def n_without_donor(self) -> int:
        """Cells that have no donor, and are on neither side."""
        return int((self.donors == NO_ONE).sum())

    def donors_in_common(self, train: ArrayLike, test: ArrayLike) -> list[str]:
        """Donors with cells on both sides, given positions; empty for every fold of this splitter."""
        return in_common(self.donors, train, test)

    def _content(self) -> dict[str, Any]:
        return {"splitter": type(self).__name__, "settings": self.settings, "folds": self._folds}

    @classmethod
    def from_json(cls, text: str, donors: ArrayLike) -> Self:
        """Apply folds that were written down to cells; those cells need not have all of the donors.

        Parameters
        ----------
        text
            From `to_json`.
        donors
            Donor of every cell.

        Raises
        ------
        TitinError
            If the text is of another splitter, was changed, or knows a donor not, or if a fold has no cells left.
        """
        content = read_json(text, cls.__name__)
        splitter = cls.__new__(cls)
        DonorSplitter.__init__(splitter, donors, content["folds"], content["settings"])
        return splitter


def read_json(text: str, name: str) -> dict[str, Any]:
    """Read what `Splitter.to_json` wrote of a splitter of this name.

    Raises
    ------
    TitinError
        If it is of another splitter, or was changed.
    """
    try:
        content = parse_json(text)
        digest = content.pop("digest")
        found = content["splitter"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TitinError(f"this is no split that was written down: {error}", "give what to_json returned") from error
    if found != name:
        refuse(f"this is a {found}, not a {name}", f"read it with {found}.from_json")
    if digest_of(content) != digest:
        refuse("the folds are not what they were when they were written down", "restore the file")
    return dict(content)


NO_ONE = ""  # in place of the name of a donor or protocol that is not known


def labels(values: ArrayLike, what: str, n_cells: int | None = None, *, missing: bool = False) -> NDArray[np.object_]:
    """Names, one a cell, as str; with ``missing``, `NO_ONE` in place of what is missing.

    Raises
    ------
    TitinError
        If one is missing, unless that may be, or there are not ``n_cells``.
    """
    column = pd.Series(np.asarray(values, object).ravel())
    if n_cells is not None and len(column) != n_cells:
        refuse(f"{len(column):,} values of {what} for {n_cells:,} cells", "give one a cell")
    if missing:
        return column.astype(object).where(column.notna(), NO_ONE).astype(str).to_numpy(object)
    lacking = np.flatnonzero(column.isna())
    if len(lacking):
        refuse(
            f"{len(lacking):,} of {len(column):,} cells have no {what}, the first at position {lacking[0]}",
            "leave them out before splitting",
        )
    return column.astype(str).to_numpy(object)


def distinct(donors: ArrayLike, *, missing: bool = False) -> list[str]:
    """Names of the donors, sorted."""
    return sorted(set(labels(donors, "donor", missing=missing)) - {NO_ONE})


def make_fold(names: Sequence[str], test: Sequence[str]) -> Fold:
    """A fold in which some donors are tested and all others trained on."""
    return {"train": sorted(set(names) - set(test)), "test": sorted(test)}


def hashed(*parts: object) -> str:
    """sha256 of some words: an order that looks random and is the same on every machine."""
    return digest_of(parts)


def in_common(donors: NDArray[np.object_], train: ArrayLike, test: ArrayLike) -> list[str]:
    """Donors with cells on both sides, given positions."""
    both = set(donors[np.asarray(train, np.int64)]) & set(donors[np.asarray(test, np.int64)])
    return sorted(both - {NO_ONE})


def count_cells(X: Any) -> int:
    """First dimension of a matrix, table or list."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def check_length(X: Any, n_cells: int) -> None:
    """Refuse a matrix of other cells than the splitter was made for.

    Raises
    ------
    TitinError
        If the numbers differ.
    """
    if X is not None and count_cells(X) != n_cells:
        refuse(
            f"X has {count_cells(X):,} cells, the splitter was made for {n_cells:,}",
            "make it of the donors of X's cells",
        )


def refuse(message: str, hint: str) -> NoReturn:
    """Raise the error that says so."""
    raise TitinError(message, hint)
