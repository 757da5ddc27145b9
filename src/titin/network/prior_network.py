"""A network that is known beforehand: which regulator acts on which gene, and how strongly; read from a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing.design import NotTestableError
from titin.errors import TitinError
from titin.study.table_files import read_table_file

SOURCE, TARGET, WEIGHT = "source", "target", "weight"
MIN_TARGETS = 5
_MOST_BYTES = 256 << 20
_HOLDS = "the columns source, target and weight (1 where there is none)"
_NAMED = 6


@dataclass(frozen=True, eq=False)
class PriorNetwork:
    """Regulators and their targets.

    Attributes
    ----------
    edges
        One row an edge, each once: ``source`` and ``target`` (text, symbols of genes, or of a source the name of a
        complex or pathway), ``weight`` (float64, not 0; its sign is that of the regulation).
    name
        What it is called, such as the name of its file.

    Raises
    ------
    TitinError
        If a column is missing, there is no edge, a weight is no number, or an edge is there twice.

    Examples
    --------
    >>> network = PriorNetwork(pd.DataFrame({"source": ["SPI1", "SPI1"], "target": ["CD14", "LYZ"], "weight": [1, 1]}))
    >>> network.sources
    ['SPI1']
    """

    edges: pd.DataFrame
    name: str = "the network"

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", _check_edges(self.edges, self.name))

    @cached_property
    def sources(self) -> list[str]:
        """Its regulators, sorted."""
        return sorted(self.edges[SOURCE].unique())

    def matrix(self, genes: Sequence[str]) -> tuple[list[str], sparse.csr_matrix]:
        """Its regulators that have a target among some genes, and the weights as regulators × genes (float64).

        Parameters
        ----------
        genes
            Symbols; of several of one symbol the first has the target.
        """
        place: dict[str, int] = {}
        for i, gene in enumerate(genes):
            place.setdefault(str(gene), i)
        column = self.edges[TARGET].map(place).fillna(-1).to_numpy().astype(np.int64)
        own = self.edges[column >= 0]
        row, names = pd.factorize(own[SOURCE], sort=True)
        shape = (len(names), len(genes))
        weights = sparse.csr_matrix((own[WEIGHT].to_numpy(float), (row, column[column >= 0])), shape=shape)
        return [str(name) for name in names], weights

    def with_targets(self, genes: Sequence[str], least: int) -> tuple[list[str], sparse.csr_matrix]:
        """As `matrix`, of the regulators that have so many targets among the genes.

        Raises
        ------
        NotTestableError
            If none has.
        """
        names, weights = self.matrix(genes)
        enough = np.flatnonzero(sizes(weights)["n"] >= least)
        if not len(enough):
            raise NotTestableError(f"no regulator of {self.name} has {least} targets among the genes of this dataset",
                                   "genes are matched by symbol, spelled as in the dataset")  # fmt: skip
        return [names[i] for i in enough], weights[enough]

    def signs(self, sources: Sequence[str], targets: Sequence[str]) -> NDArray[np.int8]:
        """Sign of the weight of each of some edges; 0 for those that it does not have."""
        known = dict(zip(zip(self.edges[SOURCE], self.edges[TARGET], strict=True),
                         np.sign(self.edges[WEIGHT]), strict=True))  # fmt: skip
        return np.array([known.get(pair, 0) for pair in zip(sources, targets, strict=True)], np.int8)


def _check_edges(edges: pd.DataFrame, name: str) -> pd.DataFrame:
    missing = [column for column in (SOURCE, TARGET) if column not in edges]
    if missing:
        known = ", ".join(str(column) for column in edges.columns[:_NAMED])
        raise TitinError(f"{name} has no column {missing[0]}: its columns are {known}", f"give a table with {_HOLDS}")
    table = pd.DataFrame({column: edges[column].astype("string").str.strip() for column in (SOURCE, TARGET)})
    given = edges[WEIGHT] if WEIGHT in edges else pd.Series(1.0, edges.index)
    table[WEIGHT] = pd.to_numeric(given, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if not len(table):
        raise TitinError(f"{name} has no edge", f"give a table with {_HOLDS}")
    blank = (table[[SOURCE, TARGET]].isna() | (table[[SOURCE, TARGET]] == "")).any(axis=1).to_numpy(bool)
    wrong = np.flatnonzero(blank | ~np.isfinite(table[WEIGHT]).to_numpy() | (table[WEIGHT] == 0).to_numpy())
    if len(wrong):
        raise TitinError(f"{name}, row {wrong[0] + 1}: an edge needs a source, a target and a weight that is a number "
                         "and not 0", "drop the row, or mend it")  # fmt: skip
    table[[SOURCE, TARGET]] = table[[SOURCE, TARGET]].astype(str).astype(object)
    table = table.drop_duplicates(ignore_index=True)
    twice = table[table.duplicated([SOURCE, TARGET])]
    if len(twice):
        source, target = twice.iloc[0][[SOURCE, TARGET]]
        raise TitinError(f"{name} has the edge from {source} to {target} with two weights", "leave one of them")
    return table


def read_network(path: Path | str, option: str = "--network") -> PriorNetwork:
    """Read a network from a table, such as CollecTRI's: ``source``, ``target`` and ``weight``.

    Parameters
    ----------
    path
        CSV, TSV or Parquet, packed or not.
    option
        By which it was given, for errors.

    Raises
    ------
    TitinError
        If it cannot be read, or is no network.
    """
    path = Path(path)
    table = read_table_file(path, option, _HOLDS, most=_MOST_BYTES, keep_default_na=False)
    return PriorNetwork(table, path.name)


def shuffled(network: PriorNetwork, rng: np.random.Generator) -> PriorNetwork:
    """A network of as many targets of each regulator, and as many regulators of each target, but other edges.

    Two edges at a time exchange their targets, where neither new edge is there already: ten tries an edge.
    """
    source, sources = pd.factorize(network.edges[SOURCE])
    target, targets = pd.factorize(network.edges[TARGET])
    pairs = set(zip(source.tolist(), target.tolist(), strict=True))
    one, other = rng.integers(0, len(source), (2, 10 * len(source)))
    to = target.copy()
    for i, j in zip(one.tolist(), other.tolist(), strict=True):
        a, b, c, d = int(source[i]), int(to[i]), int(source[j]), int(to[j])
        if a == c or b == d or (a, d) in pairs or (c, b) in pairs:
            continue
        pairs -= {(a, b), (c, d)}
        pairs |= {(a, d), (c, b)}
        to[i], to[j] = d, b
    edges = {SOURCE: np.asarray(sources)[source], TARGET: np.asarray(targets)[to],
             WEIGHT: network.edges[WEIGHT].to_numpy()}  # fmt: skip
    return PriorNetwork(pd.DataFrame(edges), network.name)


def sizes(weights: sparse.csr_matrix) -> Mapping[str, NDArray[np.float64]]:
    """Of each row of weights: how many there are (``n``), their ``sum``, and that of their ``squares``."""
    return {"n": np.diff(weights.indptr).astype(np.float64), "sum": np.asarray(weights.sum(axis=1)).ravel(),
            "squares": np.asarray(weights.multiply(weights).sum(axis=1)).ravel()}  # fmt: skip
