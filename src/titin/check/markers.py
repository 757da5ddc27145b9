"""Whether cell types express their markers: AUROC of a type against others, and labels that are swapped, by donors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from titin.check.dataset import CheckedDataset, normalised, present
from titin.check.findings import Finding, Outcome
from titin.check.registry import check
from titin.check.swaps import CERTAINTY, FEWEST_DONORS, MOST, Labelled, Swap, find_swaps, mean_of, related
from titin.check.units import by_group, text_labels, units
from titin.dataset import layout
from titin.features import gene_sets
from titin.presets import MARKERS
from titin.study.groups import CellGroups
from titin.study.vocabulary import plain

_FEWEST = 10  # cells of a type, and of all others, in a donor that counts; and cells that express one of its markers
_FEWEST_OF_ALL = 30  # cells of a type in all donors that count
_FEWEST_MARKERS = 2  # one alone may mark something else as well
_CHANCE = 0.55  # up to here a type does not have its markers; markers that are seldom detected stay below 0.7 rightly
_MARGIN = 0.1  # by which another type has them more clearly


@check("biology.markers", "Cell types express their canonical markers.", severity="warning", level="full",
       needs=("cell_type",))  # fmt: skip
def markers(dataset: CheckedDataset) -> Outcome:
    """Compare what cells express with the markers of their labels and of others, within donors and protocols.

    Markers of the preset are applied where a label is the name of a set, letter for letter but for case and separators.
    A type is held against those that are no subtypes of the same one. It is an error where two types that are none
    either have each other's markers in most donors; what is less certain or less wide is a warning.
    """
    level, labels, sets = _matching(dataset)
    if not sets:
        return Outcome(skipped="no label of the dataset is a cell type whose markers the preset has")
    where = f"{dataset.layout.sample_metadata}, {level}"
    names = [str(c) for c in labels.cat.categories]
    alike = related(sets, labels, _coarser(dataset, level))
    swaps, facts, donors = _swaps(dataset, labels, sets, alike)
    swapped = {names[number] for swap in swaps for number in (swap.one, swap.other) if swap.donor is None}
    findings = [_say_swap(swap, names, alike, donors, where) for swap in swaps]
    rows = _rows(dataset, labels, sets, alike)
    findings += [f for row in rows if row["type"] not in swapped for f in _judge(row, where)]
    evaluable = sum(row["auroc"] is not None for row in rows)
    read = (
        f"{sum(map(len, sets.values()))} markers of {len(labels):,} cells; {evaluable} of {len(names)} types evaluable"
    )
    return Outcome(findings, read, {"level": level, "types": rows, "swaps": facts, "certainty": CERTAINTY})


def _matching(dataset: CheckedDataset) -> tuple[str, pd.Series, dict[str, list[str]]]:
    """Level of labels that most marker sets fit, its labels, and by label the markers that some cell expresses."""
    sets = gene_sets(dataset.atlas.preset)
    known = {plain(name.removeprefix(MARKERS)): s for name, s in sets.items() if name.startswith(MARKERS)}
    best: tuple[str, pd.Series, dict[str, list[str]]] | None = None
    for level in dataset.study.levels:
        labels = text_labels(dataset.study.labels(level))
        found = {str(c): _expressed(dataset, known[plain(c)].genes) for c in labels.cat.categories if plain(c) in known}
        found = {name: genes for name, genes in found.items() if len(genes) >= _FEWEST_MARKERS}
        if best is None or len(found) > len(best[2]):
            best = level, labels, found
    return best if best is not None else ("", pd.Series(dtype="category"), {})


def _expressed(dataset: CheckedDataset, genes: Sequence[str]) -> list[str]:
    """Those of some genes that are in the dataset, and in a cell of it."""
    names = present(dataset.atlas, genes)
    n_cells = np.zeros(len(dataset.genes), np.int64)
    n_cells[dataset.genes[layout.SOURCE_COLUMN]] = dataset.genes[layout.N_CELLS]
    return [name for name, at in zip(names, dataset.atlas.gene_positions(names), strict=True) if n_cells[at]]


def _coarser(dataset: CheckedDataset, level: str) -> list[pd.Series]:
    levels = dataset.study.levels
    return [dataset.study.labels(coarse) for coarse in levels[: levels.index(level)]]


def _swaps(
    dataset: CheckedDataset, labels: pd.Series, sets: Mapping[str, list[str]], alike: set[tuple[str, str]]
) -> tuple[list[Swap], list[dict[str, Any]], list[str]]:
    """Pairs whose labels are swapped, the same as facts, and names of donors by number."""
    names = [str(c) for c in labels.cat.categories]
    by = units(dataset, ["donor", "protocol"])
    donor_of, donors = (
        pd.factorize(by.table["donor"]) if "donor" in by.table else (np.zeros(len(by), np.int64), ["all"])
    )
    cells = Labelled(labels.cat.codes.to_numpy(), by.codes, donor_of.astype(np.int64))
    own = {names.index(name): genes for name, genes in sets.items()}
    found = list(find_swaps(lambda gene: normalised(dataset, gene), own, cells))
    facts = [
        {"types": [names[s.one], names[s.other]], "auroc": [float(a) for a in s.areas], "p": s.p,
         "donors_for": s.donors_for, "donors_against": s.donors_against,
         "certain": s.certain,
         "donor": None if s.donor is None else str(donors[s.donor]),
         "related": (names[s.one], names[s.other]) in alike}
        for s in found
    ]  # fmt: skip
    return found, facts, [str(donor) for donor in donors]


def _say_swap(swap: Swap, names: list[str], alike: set[tuple[str, str]], donors: list[str], where: str) -> Finding:
    one, other = names[swap.one], names[swap.other]
    said = f"the cells called {one} have the markers of {other} and those called {other} the markers of {one}"
    areas = f"AUROC of their own {swap.areas[0]:.2f} and {swap.areas[1]:.2f}, by chance {swap.p:.1g}"
    hint = "the labels of the two may be swapped"
    if swap.donor is not None:
        return Finding(f"in donor {donors[swap.donor]}, {said} ({areas})", where, f"{hint} in this donor")
    n = swap.donors_for + swap.donors_against
    said += f" in {swap.donors_against} of {n} donors ({areas})"
    if (one, other) in alike:
        return Finding(said, where, f"{hint}; no error, as they are subtypes of one")
    if n < FEWEST_DONORS or swap.donors_against <= MOST * n:
        return Finding(said, where, f"{hint}; no error, as it takes {FEWEST_DONORS} donors and most of them")
    if not swap.certain:
        return Finding(
            said, where, f"{hint}; no error, as it is not certain to {CERTAINTY:.0%} among all pairs of types"
        )
    return Finding(said, where, "swap the labels of the two, or look at what else marks them", "error")


def _rows(
    dataset: CheckedDataset, labels: pd.Series, sets: Mapping[str, list[str]], alike: set[tuple[str, str]]
) -> list[dict[str, Any]]:
    """How each type stands out by its markers, against types that are no subtypes of the same one."""
    by = units(dataset, ["donor", "protocol"])
    names = [str(c) for c in labels.cat.categories]
    codes = labels.cat.codes.to_numpy()
    rows: list[dict[str, Any]] = []
    for name, genes in sets.items():
        score = mean_of(lambda gene: normalised(dataset, gene), genes)
        others = np.array([(name, other) not in alike for other in names])
        areas, counted = _areas(score, np.where(others[codes], codes, codes.dtype.type(-1)), len(names), by)
        own, best = names.index(name), int(np.argmax(np.nan_to_num(areas, nan=-1)))
        row: dict[str, Any] = {"type": name, "markers": genes}
        if np.isnan(areas[own]) or np.count_nonzero(score) < _FEWEST:
            rows.append(row | {"auroc": None, "units": 0, "best": None, "best_auroc": None})
        else:
            rows.append(row | {"auroc": float(areas[own]), "units": int(counted[own]),
                               "best": names[best], "best_auroc": float(areas[best])})  # fmt: skip
    return rows


def _judge(row: dict[str, Any], where: str) -> list[Finding]:
    if row["auroc"] is None or row["auroc"] > _CHANCE:
        return []
    said = f"AUROC {row['auroc']:.2f}, median of {row['units']} donors by protocol"
    message = f"the cells called {row['type']} do not stand out by its markers {', '.join(row['markers'])} ({said})"
    if row["best_auroc"] < row["auroc"] + _MARGIN:
        return [Finding(message, where, "look at what else marks them")]
    message += f"; those called {row['best']} do ({row['best_auroc']:.2f})"
    return [Finding(message, where, f"some of those called {row['best']} may be {row['type']}")]


def _areas(
    score: NDArray[np.floating[Any]], types: NDArray[np.int64], n: int, by: CellGroups
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Area under the ROC curve of each type against all other cells: median over the units that count, and how many do.

    NaN where all units together have too few cells.
    """
    order, bounds = by_group(by)
    areas, cells = np.full((len(by), n), np.nan), np.zeros((len(by), n), np.int64)
    for unit in range(len(by)):
        mine = order[bounds[unit] : bounds[unit + 1]]
        mine = mine[types[mine] >= 0]
        number = np.bincount(types[mine], minlength=n)
        ranks = np.bincount(types[mine], rankdata(score[mine]), minlength=n)
        others = len(mine) - number
        with np.errstate(invalid="ignore", divide="ignore"):
            area = (ranks - number * (number + 1) / 2) / (number * others)
        counts = (number >= _FEWEST) & (others >= _FEWEST)
        areas[unit], cells[unit] = np.where(counts, area, np.nan), np.where(counts, number, 0)
    enough = cells.sum(axis=0) >= _FEWEST_OF_ALL
    medians = np.full(n, np.nan)
    medians[enough] = np.nanmedian(areas[:, enough], axis=0)
    return medians, (cells > 0).sum(axis=0)
