"""The genes that the wide panel holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from titin.features.gene_sets import MARKERS, GeneSet, gene_sets
from titin.features.highly_variable import highly_variable_from_moments
from titin.results import Result

HIGHLY_VARIABLE = "highly variable"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Panel(Result):
    """Genes chosen for the wide view.

    Attributes
    ----------
    table
        One row a chosen gene: ``gene`` (symbol), ``position`` (int64, among the genes chosen from), ``n_cells`` (int64)
        and ``reason``, which is ``marker``, ``sex``, ``SenMayo``, ``GenAge`` or ``highly variable``; in the order of
        these reasons, then by falling ``n_cells``. A gene of several sets counts for the first.
    sets
        For each of the four sets how many ``genes`` it has beyond those of the sets before it, and how many of them
        were ``chosen`` (for whatever reason), ``left_out`` for want of room, and ``absent`` from every cell.
    """

    sets: dict[str, dict[str, int]]


def choose_panel(
    genes: pd.Index,
    mean_linear: ArrayLike,
    var_linear: ArrayLike,
    n_cells: ArrayLike,
    *,
    size: int = 512,
    sets: Mapping[str, GeneSet] | None = None,
) -> Panel:
    """Choose the genes of the wide panel: bundled gene sets first, then highly variable genes.

    A quarter of the panel is kept for highly variable genes. The rest goes to the genes of the bundled sets that at
    least one cell expresses: cell type markers, sex genes, SenMayo, then GenAge; where a set no longer fits, its
    most widely detected genes are taken. Highly variable genes fill what is left; where there are too few of them for
    their quarter, the sets have the places.

    Parameters
    ----------
    genes
        Symbol of each gene, in source order; sets are matched exactly. Where a symbol is repeated, its gene with most
        cells (the first of equals) stands for it. Shape ``(n_genes,)``.
    mean_linear, var_linear
        Mean and sample variance of each gene in linear normalised units, as for `highly_variable_from_moments`.
    n_cells
        Number of cells in which each gene is detected. Shape ``(n_genes,)``.
    size
        Most genes to choose.
    sets
        Gene sets by name; those of `gene_sets` where not given.

    Returns
    -------
    Panel
        The genes, and what became of each set.

    Raises
    ------
    ValueError
        If the arrays differ in length, or ``size`` is below 1.

    Examples
    --------
    >>> symbols = pd.Index(["ACTB", "CD79A", "XIST"])
    >>> panel = choose_panel(symbols, [9.0, 0.1, 0.5], [8.0, 0.3, 0.9], [90, 4, 20])
    >>> panel.table[["gene", "reason"]].to_numpy().tolist()
    [['CD79A', 'marker'], ['XIST', 'sex'], ['ACTB', 'highly variable']]
    """
    detection = np.asarray(n_cells, np.int64)
    if size < 1:
        raise ValueError(f"a panel needs a size of 1 or more, not {size}")
    variable = highly_variable_from_moments(mean_linear, var_linear, n_top=len(genes))
    if not len(genes) == len(detection) == len(variable):
        raise ValueError(f"{len(genes)} genes, {len(variable)} moments and {len(detection)} cell counts do not match")
    position_of = _expressed_positions(genes, detection)
    symbols = _set_symbols(gene_sets() if sets is None else sets)
    members = _members(position_of, symbols)
    representative = set(position_of.values())
    ranked = [p for p in _ranked_by_dispersion(variable) if p in representative]
    chosen = _fill(members, ranked, detection, size)
    panel = pd.DataFrame(
        [(genes[p], p, detection[p], reason) for reason, taken in chosen.items() for p in taken],
        columns=["gene", "position", "n_cells", "reason"],
    ).astype({"position": np.int64, "n_cells": np.int64})
    return Panel(panel, sets=_account(members, symbols, set(panel["position"])))


def _set_symbols(sets: Mapping[str, GeneSet]) -> dict[str, list[str]]:
    """Return the symbols of each reason, without those that an earlier reason has."""
    groups = {
        "marker": [name for name in sets if name.startswith((MARKERS, "differentiation_"))],
        "sex": [name for name in sets if name.startswith("sex_")],
        "SenMayo": ["SenMayo"],
        "GenAge": ["GenAge_human"],
    }
    seen: set[str] = set()
    symbols: dict[str, list[str]] = {}
    for reason, names in groups.items():
        found = dict.fromkeys(symbol for name in names for symbol in sets[name].genes)
        symbols[reason] = [symbol for symbol in found if symbol not in seen]
        seen |= set(found)
    return symbols


def _members(position_of: Mapping[str, int], symbols: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Return the positions of each reason's genes that the atlas expresses."""
    return {reason: [position_of[symbol] for symbol in own if symbol in position_of] for reason, own in symbols.items()}


def _expressed_positions(genes: pd.Index, detection: NDArray[np.int64]) -> dict[str, int]:
    """Return the position of each symbol that some cell expresses; of repeated symbols, the one with most cells."""
    falling = np.argsort(-detection, kind="stable")
    expressed = falling[detection[falling] > 0]
    named = pd.Series(expressed, index=genes[expressed])
    named = named[named.index.notna() & ~named.index.duplicated()]
    return {str(symbol): int(position) for symbol, position in named.items()}


def _ranked_by_dispersion(variable: pd.DataFrame) -> list[int]:
    """Return the positions of the genes that have a dispersion, the most variable first."""
    rank = np.argsort(-variable["dispersions_norm"].to_numpy(), kind="stable")
    return [int(p) for p in rank[variable["highly_variable"].to_numpy()[rank]]]


def _fill(
    members: Mapping[str, Sequence[int]], ranked: Sequence[int], detection: NDArray[np.int64], size: int
) -> dict[str, list[int]]:
    """Give each reason its positions, in order of reasons and, within one, of falling detection."""
    in_sets = {p for found in members.values() for p in found}
    room = size - min(-(-size // 4), sum(p not in in_sets for p in ranked))
    chosen: dict[str, list[int]] = {}
    for reason, found in members.items():
        chosen[reason] = sorted(found, key=lambda p: (-detection[p], p))[:room]
        room -= len(chosen[reason])
    taken = {p for found in chosen.values() for p in found}
    others = [p for p in ranked if p not in taken][: size - len(taken)]
    chosen[HIGHLY_VARIABLE] = sorted(others, key=lambda p: (-detection[p], p))
    return chosen


def _account(
    members: Mapping[str, Sequence[int]], symbols: Mapping[str, Sequence[str]], panel: set[int]
) -> dict[str, dict[str, int]]:
    return {
        reason: {
            "genes": len(own),
            "chosen": sum(p in panel for p in members[reason]),
            "left_out": sum(p not in panel for p in members[reason]),
            "absent": len(own) - len(members[reason]),
        }
        for reason, own in symbols.items()
    }
