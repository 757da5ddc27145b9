"""Which genes of a dataset are in a set, and which stand beside it for comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.features.gene_sets import GeneSet

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Members:
    """Sets of genes of one dataset.

    Attributes
    ----------
    tokens
        int64, tokens of the genes of each set that the dataset has, in the order of var.
    missing
        Symbols of each set that it does not have.
    left_out
        Sets with too few genes, and why.
    """

    tokens: dict[str, Tokens]
    missing: dict[str, list[str]]
    left_out: dict[str, str]


def find_members(atlas: Atlas, sets: Mapping[str, GeneSet | Sequence[str]], *, min_genes: int) -> Members:
    """Find the genes of sets in a dataset by symbol; of several genes with one symbol, the one in most cells.

    Raises
    ------
    TitinError
        If no set has genes enough.
    """
    symbols = atlas.store.column(atlas.layout.feature_metadata, layout.GENE).to_pylist()
    tokens = atlas.store.column(atlas.layout.feature_metadata, layout.TOKEN).to_pylist()
    token_of: dict[str, int] = {}
    for token, symbol in sorted(zip(tokens, symbols, strict=True)):  # tokens go by falling number of cells
        token_of.setdefault(symbol, token)
    places = atlas.source_columns
    found, missing, left_out = {}, {}, {}
    for name, chosen in sets.items():
        genes = chosen.genes if isinstance(chosen, GeneSet) else tuple(dict.fromkeys(chosen))
        present = np.array([token_of[g] for g in genes if g in token_of], np.int64)
        missing[name] = [g for g in genes if g not in token_of]
        if len(present) < min_genes:
            left_out[name] = f"{len(present) or 'none'} of its {len(genes)} genes in the dataset"
            continue
        found[name] = present[np.argsort(places[present])]
    if not found:
        raise TitinError(
            f"none of the {len(sets)} gene sets has {min_genes} genes or more in this dataset",
            "sets are matched by symbol, spelled as in the dataset: see its feature metadata",
        )
    return Members(found, missing, left_out)


def draw_controls(means: pd.Series, genes: Sequence[str], *, n_bins: int, size: int, seed: int) -> pd.Index:
    """Draw genes about as much expressed as those of a set: the same as scanpy's ``score_genes`` of the same seed.

    Parameters
    ----------
    means
        Mean of every gene, by name, in the order of var.
    genes
        Names of the set's genes, in the order of var.
    n_bins, size
        Bins of genes by their mean; genes drawn from each bin that a gene of the set is in.

    Returns
    -------
    Index
        Names of the genes drawn, none of the set.
    """
    random = np.random.RandomState(seed)  # scanpy draws from this generator
    each = int(np.round(len(means) / (n_bins - 1)))
    bins = means.rank(method="min") // max(1, each)
    wanted: Any = bins.loc[list(genes)]
    inside = bins.to_numpy()
    chosen = np.zeros(len(means), bool)
    for place in np.unique(wanted):
        candidates = np.flatnonzero(inside == place)
        if size < len(candidates):
            candidates = pd.Series(candidates).sample(size, random_state=random).to_numpy()
        chosen[candidates] = True
    return means.index[chosen].difference(pd.Index(genes), sort=False)
