"""Counts of the demo atlas: expression profiles with planted effects, and multinomial draws from them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.demo.design import read_table
from titin.demo.regulation import Regulation, plant_regulation
from titin.features import GeneSet, gene_sets
from titin.presets import MARKERS, read_preset

YEARS = 27  # planted log fold changes are over this many years, about the distance of old from young donors
MIDDLE_AGE = 47
AGE_UP = {"CCL2": 1.2, "CDKN1A": 1.0, "CDKN2A": 1.6, "GDF15": 1.2, "MYH8": 1.0, "PDK4": 1.0}
AGE_DOWN = dict.fromkeys(("NOP56", "NOP58", "FBL", "NCL", "NPM1", "POLR1A", "BOP1", "WDR12"), -1.0)
AGE_EFFECT = (0.7, 1.8)  # of other genes, up or down: large, so that an atlas of few cells shows them
MITO = r"MT-.*"
RIBO = r"RP[LS](?:P?\d+[AXYL]{0,2}\d?|A)"
# fibre types that the published marker lists leave out, by the myosins their names stand for
MORE_MARKERS = {"MF-Isn(fg)": ("MYH7", "TNNT1"), "MF-IIsn(fg)": ("MYH2", "TNNT3"), "Hyb": ("MYH7", "MYH2")}
MARKER_FOLD, NAMED_FOLD = 60.0, 15.0
# genes differ between donors by a standard deviation of their own, in natural logarithms: its median and spread are
# those of real pseudobulk of 22 hearts, see benchmarks/calibration/donor_spread.py
DONOR_SD, LOG_SD_OF_DONOR_SD = 0.4, 0.45
SHARED_BY_TYPES = 0.5  # of that variance, by the cell types of a donor
BLOCK = 256  # cells drawn at a time


@dataclass(frozen=True)
class Effects:
    """Log expression of each gene, as the sum of what is planted; rows in the order of the named categories.

    Attributes
    ----------
    base
        Natural log of relative expression, float64, shape ``(n_genes,)``.
    types
        Added for each level 2 type, shape ``(n_types, n_genes)``; ``type_names`` names the rows.
    donors
        Added for each donor and level 0 type, float32, shape ``(n_donors, n_level0, n_genes)``; ``donor_names`` and
        ``level0_names`` name what they are of.
    nuclei
        Added in nuclei, shape ``(n_genes,)``.
    age
        Added for each `YEARS` years of age beyond `MIDDLE_AGE`, shape ``(n_genes,)``.
    absent
        For each sex, whether the gene is silent in it, shape ``(n_genes,)``.
    """

    base: NDArray[np.float64]
    types: NDArray[np.float64]
    type_names: pd.Index
    donors: NDArray[np.float32]
    donor_names: pd.Index
    level0_names: pd.Index
    nuclei: NDArray[np.float64]
    age: NDArray[np.float64]
    absent: Mapping[str, NDArray[np.bool_]]


def marker_genes() -> dict[str, tuple[str, ...]]:
    """Return the planted markers of each level 0 type: the bundled ones, and those of three more fibre types."""
    bundled = {name.removeprefix(MARKERS): s.genes for name, s in _sets().items() if name.startswith(MARKERS)}
    return bundled | MORE_MARKERS


def _sets() -> dict[str, GeneSet]:
    return gene_sets(read_preset("muscle"))


def gene_table(n_genes: int) -> pd.DataFrame:
    """Return ``n_genes`` real genes in order of Ensembl id, those with a planted role before all others.

    Parameters
    ----------
    n_genes
        At most the number of genes in the bundled table.

    Returns
    -------
    pandas.DataFrame
        ``ENSEMBL`` and ``SYMBOL``, both unique, shape ``(n_genes, 2)``.
    """
    table, sets = read_table("genes"), _sets()
    symbol = table["SYMBOL"]
    ranks = [
        symbol.isin([gene for genes in marker_genes().values() for gene in genes]),
        symbol.isin([*sets["sex_male"].genes, *sets["sex_female"].genes, *AGE_UP, *AGE_DOWN, "MALAT1"]),
        symbol.str.fullmatch(MITO) | symbol.str.fullmatch(RIBO),
        symbol.isin([gene for row in read_table("cell_types")["named_genes"] for gene in row.split()]),
        symbol.isin(sets["SenMayo"].genes),
        symbol.isin([*sets["GenAge_human"].genes, *sets["CellAge"].genes, *sets["differentiation_MuSC"].genes]),
    ]
    rank = np.select(ranks, range(len(ranks)), len(ranks))
    kept = np.sort(np.argsort(rank, kind="stable")[:n_genes])
    return table.iloc[kept].reset_index(drop=True)


def plant(symbols: pd.Index, rng: np.random.Generator, *, age_effect: bool = True) -> Effects:
    """Draw the expression profiles and plant the effects in them.

    Parameters
    ----------
    symbols
        The genes, from `gene_table`.
    rng
        Source of randomness.
    age_effect
        Whether age changes expression.

    Returns
    -------
    Effects
        One row a level 2 type and a donor of the published atlas, whichever of them the cells will have.
    """
    sets = _sets()
    absent = {"F": symbols.isin(sets["sex_male"].genes), "M": symbols.isin(sets["sex_female"].genes)}
    sex_linked = absent["F"] | absent["M"]
    mito, ribo = symbols.str.fullmatch(MITO), symbols.str.fullmatch(RIBO) & ~sex_linked
    named = sex_linked | symbols.isin([*AGE_UP, *AGE_DOWN])
    type_names, types = _type_effects(symbols, mito | ribo | named, rng)
    donor_names = pd.Index(read_table("donors")["DonorID"])
    level0_names = pd.Index(read_table("cell_types")["level0"].unique())
    donors = _donor_effects(len(donor_names), len(level0_names), len(symbols), rng)
    base = _base_expression(symbols, mito, ribo, named, rng)
    nuclei = np.where(mito, np.log(0.1), 0.0) + np.where(symbols == "MALAT1", np.log(6), 0.0)
    age = _age_effects(symbols, mito | ribo | sex_linked, rng)
    return Effects(base, types, type_names, donors, donor_names, level0_names, nuclei, age * age_effect, absent)


def draw_counts(
    cells: pd.DataFrame, effects: Effects, rng: np.random.Generator, regulation: Regulation | None = None
) -> sparse.csr_matrix:
    """Draw the counts of each cell from a multinomial distribution.

    Parameters
    ----------
    cells
        Table of `titin.demo.design.design`, one row a cell.
    effects
        What was planted.
    rng
        Source of randomness.
    regulation
        Regulators that move their targets from cell to cell, where any do.

    Returns
    -------
    scipy.sparse.csr_matrix
        int64 counts, canonical, shape ``(n_cells, n_genes)``. Only `BLOCK` cells at a time are dense.
    """
    in_nucleus = (cells["batch"] == "nuclei").to_numpy()
    median = np.where(in_nucleus, 1000, 1400)
    size = np.clip(median * rng.lognormal(0, 0.6, len(cells)), 250, 20_000).astype(np.int64)
    of_type = effects.type_names.get_indexer(pd.Index(cells["annotation_level2"]))
    of_donor = effects.donor_names.get_indexer(pd.Index(cells["DonorID"]))
    of_level0 = effects.level0_names.get_indexer(pd.Index(cells["annotation_level0"]))
    years = (cells["age_years"].to_numpy() - MIDDLE_AGE) / YEARS
    sex, level0 = cells["Sex"].to_numpy(str), cells["annotation_level0"].to_numpy(object)
    blocks = []
    for start in range(0, len(cells), BLOCK):
        at = slice(start, start + BLOCK)
        log_expression = effects.base + effects.types[of_type[at]] + effects.donors[of_donor[at], of_level0[at]]
        log_expression += in_nucleus[at, None] * effects.nuclei + years[at, None] * effects.age
        if regulation is not None:
            regulation.add(log_expression, at, level0[at], years[at])
        expression = np.exp(log_expression)
        for name, silent in effects.absent.items():
            expression[np.ix_(sex[at] == name, silent)] = 0
        share = expression / expression.sum(axis=1, keepdims=True)
        blocks.append(sparse.csr_matrix(rng.multinomial(size[at], share)))
    return sparse.vstack(blocks, format="csr")


def add_regulation(
    cells: pd.DataFrame, effects: Effects, symbols: pd.Index, seed: int, *, change: bool
) -> Regulation:  # fmt: skip
    """Plant regulators among the genes without any other role; strengths change in the type with the most cells.

    Raises
    ------
    TitinError
        If too few genes are left.
    """
    sets = _sets()
    roles = [*_all_genes(marker_genes().values()), *sets["sex_male"].genes, *sets["sex_female"].genes, "MALAT1"]
    spared = symbols.isin(roles) | symbols.str.fullmatch(MITO) | symbols.str.fullmatch(RIBO) | (effects.age != 0)
    most = str(cells["annotation_level0"].value_counts().index[0])
    return plant_regulation(effects.base, np.asarray(spared, bool), most, len(cells), seed, change=change)


def _base_expression(
    symbols: pd.Index,
    mito: NDArray[np.bool_],
    ribo: NDArray[np.bool_],
    named: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return log expression outside of any effect; mitochondrial and ribosomal genes and MALAT1 have fixed shares."""
    base = rng.lognormal(0, 1.8, len(symbols))
    high, middle = np.quantile(base, [0.95, 0.6])
    base[symbols.isin(_all_genes(marker_genes().values()))] = middle
    base[named] = high
    other = base[~(mito | ribo)].sum()
    for genes, share in ((mito, 0.06), (ribo, 0.12), (symbols == "MALAT1", 0.02)):
        if genes.any():
            base[genes] *= share * other / base[genes].sum()
    return np.asarray(np.log(base))


def _type_effects(
    symbols: pd.Index, even: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[pd.Index, NDArray[np.float64]]:
    """Return level 2 names and effects: a profile shared within the level 0 type, markers, and a little of its own.

    Genes that are ``even`` differ between types only as markers or where a label names them.
    """
    table = read_table("cell_types").drop_duplicates("level2").set_index("level2")
    markers = marker_genes()
    free = np.flatnonzero(~even & ~symbols.isin(_all_genes(markers.values())))
    shared = {}
    for level0 in dict.fromkeys(table["level0"]):
        shared[level0] = np.zeros(len(symbols))
        some = rng.choice(free, len(free) // 25, replace=False)
        shared[level0][some] = rng.normal(0, 1.6, len(some))
        shared[level0][symbols.isin(markers.get(level0, ()))] = np.log(MARKER_FOLD)
    effects = np.zeros((len(table), len(symbols)))
    for row, (level0, named) in zip(effects, table[["level0", "named_genes"]].itertuples(index=False), strict=True):
        some = rng.choice(free, len(free) // 100, replace=False)
        row[some] = rng.normal(0, 1.0, len(some))
        row += shared[level0]
        alluded = symbols.isin(named.split())
        row[alluded] = np.maximum(row[alluded], np.log(NAMED_FOLD))
    return table.index, effects


def _donor_effects(n_donors: int, n_types: int, n_genes: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return how each donor departs from the others in each gene: partly in all types alike, partly in each anew."""
    shared = rng.normal(0, 1, (n_donors, n_genes))
    other = rng.spawn(1)[0]
    sd = DONOR_SD * np.exp(other.normal(0, LOG_SD_OF_DONOR_SD, n_genes))
    found = other.standard_normal((n_donors, n_types, n_genes), np.float32)
    found *= np.sqrt(1 - SHARED_BY_TYPES) * sd
    found += (np.sqrt(SHARED_BY_TYPES) * sd * shared)[:, None]
    return found


def _age_effects(symbols: pd.Index, spared: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return log fold changes: the named genes', and random ones for a twentieth of the genes without a role."""
    effect = np.zeros(len(symbols))
    free = np.flatnonzero(~spared & ~symbols.isin(_all_genes(marker_genes().values())))
    some = rng.choice(free, min(len(free), len(symbols) // 20), replace=False)
    effect[some] = rng.choice([-1, 1], len(some)) * rng.uniform(*AGE_EFFECT, len(some))
    for gene, change in (AGE_UP | AGE_DOWN).items():
        effect[symbols == gene] = change
    return effect


def _all_genes(groups: Iterable[tuple[str, ...]]) -> list[str]:
    return [gene for genes in groups for gene in genes]
