"""The splits of a benchmark: made once for a dataset, frozen with a checksum, applied to any units of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset.checksums import digest_of
from titin.dataset.strict_json import read_json
from titin.dataset.swap import write_json
from titin.errors import TitinError, reason_of
from titin.learn.units import spread
from titin.load.splits import LeaveOneDonorOut, ProtocolTransfer, RandomCellSplit, StratifiedDonorKFold

SPLITS = "splits.json"
DEFAULT = ("leave_one_donor_out", "random_leaky")
_FACTS = ("donor", "protocol", "chemistry", "sex", "study")


@dataclass(frozen=True)
class Fold:
    """One division of units: positions (int64) of those to train and to test on."""

    number: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """A named way of dividing units by donor.

    Attributes
    ----------
    name
        As on the command line and in the leaderboard.
    folds
        Donors to train and to test on, fold by fold; none for the leaky split.
    digest
        sha256 of the splitter that made them.
    column, train, test
        For transfers: train on units with one value of a column, test on those with another.
    seed
        Of the leaky split.
    leaky
        Whether donors are on both sides.
    """

    name: str
    folds: Sequence[Mapping[str, Sequence[str]]]
    digest: str
    column: str = ""
    train: str = ""
    test: str = ""
    seed: int = 0
    leaky: bool = False

    def apply(self, obs: pd.DataFrame, usable: NDArray[np.bool_]) -> Iterator[Fold]:
        """Divide units, which have the columns of a design table; folds with an empty side are left out."""
        return (fold for fold in self.divide(obs, usable) if len(fold.train) and len(fold.test))

    def divide(self, obs: pd.DataFrame, usable: NDArray[np.bool_]) -> Iterator[Fold]:
        """Divide units as `apply` does, folds with an empty side among them."""
        if self.leaky:
            splitter = RandomCellSplit(5, self.seed)
            at = np.flatnonzero(usable)
            pairs = splitter.split(at) if len(at) >= 5 else iter(())
            yield from (Fold(n, at[train], at[test]) for n, (train, test) in enumerate(pairs))
            return
        if self.column and self.column not in obs:
            return
        value = obs[self.column].astype(str).to_numpy(object) if self.column else None
        code, donors = pd.factorize(obs["donor"].astype(str))
        for number, fold in enumerate(self.folds):
            sides = []
            for side, wanted in (("train", self.train), ("test", self.test)):
                mine = usable & donors.isin(fold[side])[code]
                if value is not None:
                    mine &= value == wanted
                sides.append(np.flatnonzero(mine))
            yield Fold(number, *sides)

    def document(self) -> dict[str, Any]:
        """What is written down."""
        return {**self.__dict__, "folds": [dict(fold) for fold in self.folds]}


def make_splits(design: pd.DataFrame, seed: int = 0) -> tuple[dict[str, Split], list[str]]:
    """Make every split that a dataset allows.

    Parameters
    ----------
    design
        From `titin.learn.design_table`.
    seed
        Of the folds.

    Returns
    -------
    dict, list
        ``leave_one_donor_out``; ``leave_one_study_out`` of several studies; ``donor_kfold``, five folds dealt five
        times, alike in protocol and sex; ``A_to_B`` for each two protocols (``protocol``) or chemistries, donors
        disjoint; ``random_leaky``. And a sentence for each that cannot be made.
    """
    if "donor" not in design or not design["donor"].notna().any():
        return {}, ["no column says which donor a cell is of: no split can hold donors out"]
    facts = design[[name for name in _FACTS if name in design]].dropna(subset=["donor"]).drop_duplicates()
    facts = facts.astype(object).where(facts.notna(), "unknown")
    donors = facts["donor"].to_numpy(object)
    splits: dict[str, Split] = {}
    told: list[str] = []

    def add(name: str, make: Any, **more: Any) -> None:
        try:
            splitter = make()
        except TitinError as error:
            told.append(f"{name}: {reason_of(error)}")
            return
        splits[name] = Split(name, json.loads(splitter.to_json())["folds"], splitter.digest, **more)

    add("leave_one_donor_out", lambda: LeaveOneDonorOut(donors))
    strata = facts[[name for name in ("protocol", "sex") if name in facts]]
    strata = strata if strata.shape[1] else pd.DataFrame({"all": np.full(len(facts), "")})
    n_folds = min(5, len(set(donors)))
    add("donor_kfold", lambda: StratifiedDonorKFold(donors, strata, max(n_folds, 2), 5, seed))
    for column in ("protocol", "chemistry"):
        values = sorted(set(facts[column]) - {"unknown"}) if column in facts else []
        for train in values:
            for test in (value for value in values if value != train):
                plain = facts[facts[column].isin([train, test])]
                add(f"{_word(train)}_to_{_word(test)}",
                    lambda plain=plain, train=train, test=test, column=column: ProtocolTransfer(
                        plain["donor"], plain[column], train, test, seed
                    ), column=column, train=train, test=test)  # fmt: skip
    if "study" in facts and len(set(facts["study"]) - {"unknown"}) > 1:
        splits["leave_one_study_out"] = _hold_studies_out(facts)
    splits["random_leaky"] = Split("random_leaky", [], RandomCellSplit(5, seed).digest, seed=seed, leaky=True)
    return splits, told


def _hold_studies_out(facts: pd.DataFrame) -> Split:
    """A fold a study: its donors are tested, those of no cell of it are trained on."""
    folds = []
    for study in sorted(set(facts["study"]) - {"unknown"}):
        test = set(facts["donor"][facts["study"] == study])
        folds.append({"train": sorted(set(facts["donor"]) - test), "test": sorted(test)})
    return Split("leave_one_study_out", folds, digest_of(folds))


def fewer_donors(split: Split, sizes: Sequence[int], obs: pd.DataFrame, seed: int = 0) -> list[Split]:
    """Make splits that test the same donors and train on fewer, nested, named ``NAME@N``: for a learning curve.

    Parameters
    ----------
    split
        One that holds donors out.
    sizes
        Numbers of donors to train on.
    obs
        One row a donor: ``donor`` and what to draw them evenly by (``young_old``, ``sex``).
    seed
        Of the draw.
    """
    strata = [name for name in ("young_old", "sex") if name in obs]
    made = []
    for size in sizes:
        folds = []
        for number, fold in enumerate(split.folds):
            known = obs[obs["donor"].astype(str).isin(list(fold["train"]))].reset_index(drop=True)
            shuffled = known.iloc[np.random.Generator(np.random.PCG64([seed, number])).permutation(len(known))]
            some = shuffled.iloc[spread(shuffled, size, strata)] if strata else shuffled.iloc[:size]
            folds.append({"train": sorted(some["donor"].astype(str)), "test": list(fold["test"])})
        made.append(Split(f"{split.name}@{size}", folds, digest_of(folds)))
    return made


def freeze(splits: Mapping[str, Split], path: Path, where: Sequence[str] = ()) -> str:
    """Write splits to a JSON file and return the sha256 of what they are, which the file holds too.

    A file that is there is kept, and must hold the same, of cells that were chosen by the same conditions.

    Raises
    ------
    TitinError
        If the file holds other splits, or was changed.
    """
    content = {name: split.document() for name, split in splits.items()}
    digest = _digest(content, where)
    if path.exists():
        if read_splits(path)[1] != digest:
            raise TitinError(f"{path} holds other splits than this dataset and seed give, or of other cells",
                             "give another --output, or the --seed and --where that it was made with")  # fmt: skip
        return digest
    write_json(path, {"sha256": digest, "splits": content, **({"where": [*where]} if where else {})})
    return digest


def _digest(content: Any, where: Sequence[str]) -> str:
    return digest_of([content, [*where]] if where else content)


def read_splits(path: Path) -> tuple[dict[str, Split], str]:
    """Read what `freeze` wrote.

    Raises
    ------
    TitinError
        If it cannot be read, or was changed.
    """
    try:
        document = read_json(path)
        content, digest, where = document["splits"], document["sha256"], document.get("where", [])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TitinError(f"{path} holds no splits: {error}", "remove it to make them anew") from error
    if _digest(content, where) != digest:
        raise TitinError(f"{path} was changed: its checksum does not fit", "restore it")
    try:
        return {name: Split(**entry) for name, entry in content.items()}, digest
    except (AttributeError, TypeError) as error:
        raise TitinError(f"{path} holds no splits: {error}", "remove it to make them anew") from error


def _word(value: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in value).strip("-")
