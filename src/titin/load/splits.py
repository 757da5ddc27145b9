"""Splits of cells that keep every donor on one side, and one that does not, to show what that does."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from titin.atlas import Atlas
from titin.dataset.checksums import digest_of
from titin.load.splitter import (
    NO_ONE,
    DonorSplitter,
    Fold,
    Indices,
    Splitter,
    check_length,
    count_cells,
    distinct,
    hashed,
    in_common,
    labels,
    make_fold,
    read_json,
    refuse,
)
from titin.load.studies import Studies, study_of
from titin.study.design import ROLES as _ROLES
from titin.study.design import Study
from titin.study.roles import named_column
from titin.study.vocabulary import protocol_of

__all__ = ["LeaveOneDonorOut", "ProtocolTransfer", "RandomCellSplit", "StratifiedDonorKFold"]


class LeaveOneDonorOut(DonorSplitter):
    """Every donor is the test set once, in the order of their names.

    Scores are to be computed over the predictions of all folds: a fold has one donor, and one age.

    Parameters
    ----------
    donors
        Donor of every cell.

    Raises
    ------
    TitinError
        If a cell has no donor, or there are fewer than two donors.

    Examples
    --------
    >>> splitter = LeaveOneDonorOut(["a", "b", "a"])
    >>> [(train.tolist(), test.tolist()) for train, test in splitter.split()]
    [([1], [0, 2]), ([0, 2], [1])]
    """

    def __init__(self, donors: ArrayLike, *, missing: bool = False) -> None:
        names = distinct(donors, missing=missing)
        if len(names) < 2:
            refuse(f"there is only one donor, {names[0]!r}" if names else "there are no cells", "give more donors")
        super().__init__(donors, [make_fold(names, [name]) for name in names], {}, missing=missing)

    @classmethod
    def from_atlas(cls, atlas: Atlas | Studies, cells: Any = None) -> "LeaveOneDonorOut":
        """Make it of the donor column of an atlas, for the cells given by positions, mask or names, in that order.

        Of `titin.load.Studies`, a donor is held out of all; donors that two studies call alike are different ones.
        Cells without a donor are on neither side; ``n_without_donor`` says how many.
        """
        return cls(_obs_column(atlas, "donor", cells), missing=True)


class StratifiedDonorKFold(DonorSplitter):
    """Whole donors dealt to folds, so that folds are alike in strata and in number of donors.

    The number of donors of a stratum differs between folds by at most one, and so does the number of donors; with
    several columns of strata the same holds of the first column by itself. Donors with cells in several strata, such
    as both protocols, are a stratum of their own. The order within strata is that of sha256 of seed, repeat and name:
    the same on every machine.

    Parameters
    ----------
    donors
        Donor of every cell.
    strata
        Stratum of every cell: a Series, or a table of several columns, such as arm and sex; cells × columns.
    n_splits
        Folds.
    n_repeats
        How often to deal anew; folds are numbered on.
    seed
        Of the order.

    Raises
    ------
    TitinError
        If a cell has no donor or stratum, or there are fewer donors than folds.

    Examples
    --------
    >>> splitter = StratifiedDonorKFold(["a", "b", "c", "d"], ["M", "M", "F", "F"], n_splits=2)
    >>> [sorted(["M", "M", "F", "F"][i] for i in test) for _, test in splitter.split()]
    [['F', 'M'], ['F', 'M']]
    """

    def __init__(
        self, donors: ArrayLike, strata: ArrayLike | pd.DataFrame, n_splits: int = 5, n_repeats: int = 1, seed: int = 0,
        *, missing: bool = False,
    ) -> None:  # fmt: skip
        names = distinct(donors, missing=missing)
        if n_splits < 2 or n_repeats < 1:
            refuse(f"{n_splits} folds {n_repeats} times", "give n_splits 2 or more and n_repeats 1 or more")
        if len(names) < n_splits:
            refuse(f"{len(names)} donors cannot be dealt to {n_splits} folds", "give fewer folds")
        of_donor = _strata_of_donors(labels(donors, "donor", missing=missing), strata)
        folds = []
        for repeat in range(n_repeats):
            order = sorted(names, key=lambda name: _order_key(of_donor[name], f"{seed}:{repeat}", name))
            folds += [make_fold(names, order[number::n_splits]) for number in range(n_splits)]
        settings = {"n_splits": n_splits, "n_repeats": n_repeats, "seed": seed, "strata": of_donor}
        super().__init__(donors, folds, settings, missing=missing)

    @classmethod
    def from_atlas(
        cls, atlas: Atlas | Studies, strata: str | Sequence[str] = ("protocol", "sex"), n_splits: int = 5,
        n_repeats: int = 1, seed: int = 0, cells: Any = None,
    ) -> "StratifiedDonorKFold":  # fmt: skip
        """Make it of an atlas; ``strata`` names roles or columns of obs, ``cells`` gives positions, mask or names.

        Cells without a donor are on neither side; ``n_without_donor`` says how many. Of donors with cells without a
        stratum, ``unknown`` is one.
        """
        names = [strata] if isinstance(strata, str) else list(strata)
        table = pd.concat([_obs_column(atlas, name, cells).rename(i) for i, name in enumerate(names)], axis=1)
        table = table.astype(object).where(table.notna(), "unknown")
        return cls(_obs_column(atlas, "donor", cells), table, n_splits, n_repeats, seed, missing=True)


class ProtocolTransfer(DonorSplitter):
    """Train on the cells of one protocol, test on those of the other, of other donors: one fold.

    Donors that are in both protocols are divided, half of them (rounded up) to train on, in the order of sha256 of
    seed and name. Cells of training donors in the test protocol, and the reverse, are on neither side.

    Parameters
    ----------
    donors, protocol
        Of every cell.
    train, test
        Values of ``protocol``.
    seed
        Of the division.

    Attributes
    ----------
    left_out
        Number of cells on neither side, by reason.

    Raises
    ------
    TitinError
        If a cell has no donor or protocol, there is no such protocol, or a side has no donor.
    """

    def __init__(
        self, donors: ArrayLike, protocol: ArrayLike, train: str = "cells", test: str = "nuclei", seed: int = 0, *,
        missing: bool = False,
    ) -> None:  # fmt: skip
        of_cell = labels(donors, "donor", missing=missing)
        self.protocol = labels(protocol, "protocol", len(np.asarray(donors)), missing=missing)
        if train == test or not {train, test} <= set(self.protocol):
            found = ", ".join(map(repr, sorted(set(self.protocol) - {NO_ONE})))
            refuse(f"cannot train on {train!r} and test on {test!r}", f"protocols: {found}")
        in_train, in_test = (set(of_cell[self.protocol == name]) - {NO_ONE} for name in (train, test))
        both = sorted(in_train & in_test, key=lambda name: hashed(seed, name))
        half = set(both[: -(-len(both) // 2)])
        fold = {"train": sorted(in_train - in_test | half), "test": sorted(in_test - half)}
        settings: dict[str, Any] = {"train": train, "test": test, "seed": seed}
        super().__init__(donors, [fold], settings, missing=missing)

    def _side(self, fold: Fold, side: str) -> NDArray[np.bool_]:
        of_protocol: NDArray[np.bool_] = self.protocol == self.settings[side]
        return super()._side(fold, side) & of_protocol

    @property
    def left_out(self) -> dict[str, int]:
        """Number of cells on neither side, by reason."""
        (fold,) = self._folds
        train, test = self.settings["train"], self.settings["test"]
        other = ~np.isin(self.protocol, [train, test]) & (self.donors != NO_ONE)
        of_train, of_test = (DonorSplitter._side(self, fold, side) for side in ("train", "test"))
        return {
            f"{test} of training donors": int((of_train & (self.protocol == test)).sum()),
            f"{train} of test donors": int((of_test & (self.protocol == train)).sum()),
            "of other protocols": int(other.sum()),
            **({"without a donor": self.n_without_donor} if self.n_without_donor else {}),
        }

    @classmethod
    def from_json(cls, text: str, donors: ArrayLike, protocol: ArrayLike = ()) -> Self:
        """Apply a division that was written down to cells, given donor and protocol of each."""
        content = read_json(text, cls.__name__)
        splitter = cls.__new__(cls)
        splitter.protocol = labels(protocol, "protocol", len(np.asarray(donors)))
        DonorSplitter.__init__(splitter, donors, content["folds"], content["settings"])
        return splitter

    @classmethod
    def from_atlas(
        cls, atlas: Atlas | Studies, train: str = "cells", test: str = "nuclei", seed: int = 0, cells: Any = None
    ) -> "ProtocolTransfer":
        """Make it of the donor and protocol columns of an atlas, for the cells given, in that order.

        ``train`` and ``test`` may be any word for cells and for nuclei, such as ``nuclei`` where the atlas has
        ``nucleus``. Cells without a donor or a protocol are on neither side.
        """
        protocol = _obs_column(atlas, "protocol", cells)
        train, test = (_spelling(name, set(protocol.dropna().astype(str))) for name in (train, test))
        return cls(_obs_column(atlas, "donor", cells), protocol, train, test, seed, missing=True)


def _spelling(name: str, known: set[str]) -> str:
    """Name of a protocol as a study spells it: as given, else the one other word for the same."""
    same = [word for word in known if protocol_of(word) is not None and protocol_of(word) == protocol_of(name)]
    return same[0] if name not in known and len(same) == 1 else name


class RandomCellSplit(Splitter):
    """LEAKY: cells dealt to folds at random, so that every donor is on both sides.

    To show what that does: a model that only recognises donors scores well. Never to be reported as performance.

    Parameters
    ----------
    n_splits
        Folds.
    seed
        Of the order.
    donors
        Donor of every cell, for `folds` and `donors_in_common`.
    """

    leaky: ClassVar[bool] = True

    def __init__(
        self, n_splits: int = 5, seed: int = 0, donors: ArrayLike | None = None, *, missing: bool = False
    ) -> None:
        if n_splits < 2:
            refuse(f"{n_splits} folds", "give n_splits 2 or more")
        self.n_splits, self.seed = n_splits, seed
        self.donors = None if donors is None else labels(donors, "donor", missing=missing)

    def split(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[tuple[Indices, Indices]]:  # noqa: ARG002
        """Yield the positions (int64, ascending) of training and of test cells, fold by fold."""
        fold = self._fold_of_cell(X)
        for number in range(self.n_splits):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)

    def _fold_of_cell(self, X: Any = None) -> Indices:
        if X is None and self.donors is None:
            refuse("the number of cells is not known", "give X, or donors when making the splitter")
        n_cells = count_cells(X) if self.donors is None else len(self.donors)
        check_length(X, n_cells)
        if n_cells < self.n_splits:
            refuse(f"{n_cells} cells cannot be dealt to {self.n_splits} folds", "give fewer folds")
        return np.random.Generator(np.random.PCG64(self.seed)).permutation(n_cells) % self.n_splits

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Return the number of folds; the arguments are not looked at."""
        return self.n_splits

    def folds(self) -> pd.DataFrame:
        """Return a row for each donor and fold in which cells of it are tested: ``donor``, ``fold`` (from 0).

        Raises
        ------
        TitinError
            If the splitter was made without donors.
        """
        table = pd.DataFrame({"donor": self._known_donors(), "fold": self._fold_of_cell()})
        table = table[table["donor"] != NO_ONE]
        return table.drop_duplicates().sort_values(["fold", "donor"], ignore_index=True)

    def donors_in_common(self, train: ArrayLike, test: ArrayLike) -> list[str]:
        """Donors with cells on both sides, given positions: nearly all of them."""
        return in_common(self._known_donors(), train, test)

    def _known_donors(self) -> Any:
        if self.donors is None:
            refuse("the donors are not known", "give donors when making the splitter")
        return self.donors

    def _content(self) -> dict[str, Any]:
        settings = {"n_splits": self.n_splits, "seed": self.seed}
        of_cells = None if self.donors is None else digest_of({"fold": self._fold_of_cell().tolist()})
        return {"splitter": type(self).__name__, "settings": settings, "cells": of_cells}

    @classmethod
    def from_json(cls, text: str, donors: ArrayLike | None = None) -> Self:
        """Make the splitter again that was written down, given the donors of the same cells if there were any.

        Raises
        ------
        TitinError
            If the text is of another splitter or was changed, or if cells would now be in other folds.
        """
        content = read_json(text, cls.__name__)
        splitter = cls(**content["settings"], donors=donors)
        if splitter._content()["cells"] != content["cells"]:
            refuse("these cells would not be in the folds that were written down", "give the donors of the same cells")
        return splitter

    @classmethod
    def from_atlas(cls, atlas: Atlas | Studies, n_splits: int = 5, seed: int = 0, cells: Any = None) -> Self:
        """Make it of the donor column of an atlas, for the cells given, in that order."""
        return cls(n_splits, seed, _obs_column(atlas, "donor", cells), missing=True)


def _obs_column(atlas: Atlas | Studies, name: str, cells: Any) -> pd.Series:
    """A column of obs, by role or by name, for the cells chosen; of a role what is known, see `titin.study.entries`.

    Donors that cannot be one person each are warned of.
    """
    known = atlas.column_names if isinstance(atlas, Studies) else atlas.obs.columns
    column = named_column(atlas.roles, known, name)
    table = atlas.cell_columns(column, cells)
    if name == "donor":
        for said in study_of(atlas).warnings:
            warnings.warn(said, UserWarning, stacklevel=3)
    return Study(table, atlas.roles).values(name) if name in _ROLES else pd.Series(table[column])


def _strata_of_donors(donors: NDArray[np.object_], strata: Any) -> dict[str, list[str]]:
    """For each donor and column, the values that its cells have, joined."""
    table = strata if isinstance(strata, pd.DataFrame) else pd.DataFrame(np.asarray(strata, object))
    columns = [pd.Series(labels(table.iloc[:, i], "stratum", len(donors))) for i in range(table.shape[1])]
    joined = [column.groupby(donors).agg(lambda values: "+".join(sorted(set(values)))) for column in columns]
    return {name: [column[name] for column in joined] for name in sorted(set(donors) - {NO_ONE})}


def _order_key(strata: Sequence[str], salt: str, name: str) -> tuple[str, ...]:
    """Sorts donors so that those of a stratum, and of its first columns, stand together; else at random."""
    nested = (tuple(strata[: i + 1]) for i in range(len(strata)))
    return (*(hashed(salt, *part) for part in nested), hashed(salt, "donor", name))
