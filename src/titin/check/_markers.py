"""Whether cell types express their markers: AUROC of a type against all others, within donors."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from titin.check._units import Units, normalised, present, units
from titin.check.registry import Finding, Outcome, check
from titin.features import gene_sets

if TYPE_CHECKING:
    from titin.check.context import Context

_FEWEST = 10  # cells of a type, and of all others, in a donor that counts
_FEWEST_OF_ALL = 30  # cells of a type in all donors that count
_FEWEST_MARKERS = 2  # one alone may mark something else as well
_CHANCE = 0.55  # up to here a type does not have its markers; markers that are seldom detected stay below 0.7 rightly
_MARGIN = 0.1  # by which another type has them more clearly


@check("biology.markers", "Cell types express their canonical markers.", severity="warning", level="full",
       needs=("cell_type",))  # fmt: skip
def markers(context: "Context") -> Outcome:
    """Rank the cells of each donor by the mean of a type's markers; AUROC of the type against all others.

    Bundled markers are applied where a label is the name of a set, letter for letter but for case and separators.
    """
    level, labels, sets = _matching(context)
    if not sets:
        return Outcome(skipped="no label of the dataset is a cell type whose markers are bundled (skeletal muscle)")
    roles = [role for role in ("donor", "protocol") if context.missing(role) is None]
    by = (
        units(context, roles)
        if roles
        else Units(pd.DataFrame({"cells": [len(labels)]}), np.zeros(len(labels), np.int64))
    )
    codes: NDArray[np.int64] = np.asarray(labels.cat.codes, np.int64)
    names = [str(c) for c in labels.cat.categories]
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    for name, genes in sets.items():
        score = np.mean([normalised(context, gene) for gene in genes], axis=0)
        areas, counted = _areas(score, codes, len(names), by)
        own, best = names.index(name), int(np.argmax(np.nan_to_num(areas, nan=-1)))
        if np.isnan(areas[own]):
            rows.append({"type": name, "markers": genes, "auroc": None, "units": 0, "best": None, "best_auroc": None})
            continue
        rows.append({"type": name, "markers": genes, "auroc": float(areas[own]), "units": int(counted[own]),
                     "best": names[best], "best_auroc": float(areas[best])})  # fmt: skip
        findings += _judge(rows[-1], f"{context.layout.sample_metadata}, {level}")
    evaluable = sum(row["auroc"] is not None for row in rows)
    read = (
        f"{sum(map(len, sets.values()))} markers of {len(codes):,} cells; {evaluable} of {len(names)} types evaluable"
    )
    return Outcome(findings, read, {"level": level, "types": rows})


def _judge(row: dict[str, Any], where: str) -> list[Finding]:
    if row["auroc"] > _CHANCE:
        return []
    said = f"AUROC {row['auroc']:.2f}, median of {row['units']} donors by protocol"
    message = f"the cells called {row['type']} do not stand out by its markers {', '.join(row['markers'])} ({said})"
    if row["best_auroc"] < row["auroc"] + _MARGIN:
        return [Finding(message, where, "look at what else marks them")]
    message += f"; those called {row['best']} do ({row['best_auroc']:.2f})"
    return [Finding(message, where, "the labels of the two may be swapped", "error")]


def _matching(context: "Context") -> tuple[str, pd.Series, dict[str, list[str]]]:
    """Level of labels that most marker sets fit, its labels, and by label the markers that the dataset has."""
    known = {_plain(name.removeprefix("markers_")): s for name, s in gene_sets().items() if name.startswith("markers_")}
    best: tuple[str, pd.Series, dict[str, list[str]]] | None = None
    for level in context.roles["cell_type"]:
        labels = context.obs[level].astype("string").astype("category")
        found = {
            str(c): present(context.atlas, known[_plain(c)].genes) for c in labels.cat.categories if _plain(c) in known
        }
        found = {name: genes for name, genes in found.items() if len(genes) >= _FEWEST_MARKERS}
        if best is None or len(found) > len(best[2]):
            best = level, labels, found
    return best if best is not None else ("", pd.Series(dtype="category"), {})


def _plain(name: object) -> str:
    return re.sub(r"[\s._-]+", "", str(name)).lower()


def _areas(
    score: NDArray[np.floating[Any]], types: NDArray[np.int64], n: int, by: Units
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Area under the ROC curve of each type against all other cells: median over the units that count, and how many do.

    NaN where all units together have too few cells.
    """
    order = np.argsort(by.codes, kind="stable")
    bounds = np.searchsorted(by.codes[order], np.arange(len(by) + 1))
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
