"""What two datasets do not have in common: cells, genes, values, labels, projections, roles and settings."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.atlas import Atlas, open_atlas
from titin.atlas.row_groups import dataset_blocks
from titin.check.comparison import differing, frame_difference
from titin.check.kernels import digest_common
from titin.check.passes import value_words
from titin.dataset.manifest import ARRAY_GROUPS, PAIRWISE, RAW, RAW_VARM, Manifest, group_of
from titin.masking import mask
from titin.progress import Progress
from titin.resources import Resources, make_resources

ORDER = ("seed", "shuffle")  # settings that say in which order the cells are, and nothing of what they hold
_MOST_PAIRS = 1_000  # of labels in a cross table
_MOST_LABELS = 1_000  # distinct entries of a column that is told label by label

Pair = tuple[Any, Any]


@dataclass
class NamesCompared:
    """Cells or genes of two datasets, by name.

    Attributes
    ----------
    a, b, common
        How many.
    only_a, only_b
        Names of the others.
    """

    a: int
    b: int
    common: int
    only_a: list[str] = field(default_factory=list)
    only_b: list[str] = field(default_factory=list)


@dataclass
class ColumnDifference:
    """One column, over the cells or genes that both datasets have.

    Attributes
    ----------
    n
        How many have another entry.
    types
        What the column holds in each, where that differs.
    changes
        Of labels: entry in a, entry in b, and how many have that; the most frequent first.
    largest
        Of numbers: the largest difference.
    """

    n: int
    types: Pair | None = None
    changes: list[tuple[Any, Any, int]] = field(default_factory=list)
    largest: float | None = None


@dataclass
class DatasetDifference:
    """What `diff` finds of two datasets.

    Attributes
    ----------
    a, b
        The datasets, as they were named.
    cells, genes
        Which both have.
    values
        ``cells`` and ``genes``: how many of those that both have differ in a value; ``first_cells`` and
        ``first_genes``: some of their names; ``kinds``, where the datasets store another kind of values.
    layers
        The same of each further matrix (``layers/spliced``, ``raw``) that differs; None where only one dataset has it.
        ``genes_only`` counts genes of raw that only one has.
    obs
        By column: how it differs; ``obs_only``: columns that only one dataset has.
    var
        The same of genes, with ``var_only``.
    projections
        By key: how many cells have other coordinates; None where only one dataset has it, or they have other
        dimensions.
    roles
        Column in a and in b, of those that differ.
    settings
        Entry in a and in b, of those that differ.
    parts
        In words, what else is not the same: uns, the panel, tables that only one dataset has.
    beside
        In words, what differs and says nothing of the content: the order of the cells, the source, versions,
        projections that each dataset has computed by itself.
    """

    a: str
    b: str
    cells: NamesCompared
    genes: NamesCompared
    values: dict[str, Any] = field(default_factory=dict)
    layers: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    obs: dict[str, ColumnDifference] = field(default_factory=dict)
    obs_only: dict[str, list[str]] = field(default_factory=dict)
    var: dict[str, ColumnDifference] = field(default_factory=dict)
    var_only: dict[str, list[str]] = field(default_factory=dict)
    projections: dict[str, int | None] = field(default_factory=dict)
    roles: dict[str, Pair] = field(default_factory=dict)
    settings: dict[str, Pair] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether the datasets differ."""
        names = (self.cells, self.genes)
        return bool(
            any(compared.only_a or compared.only_b for compared in names)
            or any(self.values.get(part) for part in ("cells", "genes", "kinds"))
            or self.layers or self.obs or self.obs_only or self.var or self.var_only or self.projections or self.roles
            or self.settings or self.parts
        )  # fmt: skip

    def document(self) -> dict[str, Any]:
        """All of it, JSON-safe."""
        return {"schema_version": 1, "differ": bool(self), **asdict(self)}


def diff(
    a: "str | PathLike[str] | Atlas",
    b: "str | PathLike[str] | Atlas",
    *,
    threads: int | None = None,
    memory: int | str | None = None,
    progress: Progress | None = None,
) -> DatasetDifference:
    """Say what two datasets do not have in common.

    Cells and genes are matched by name, so that their order does not matter. Values are compared by 128-bit digests of
    every cell and every gene, over (cell, gene, value), bit for bit; they are not read where both datasets have the
    same files. What follows from order alone, and where the datasets come from, is told beside and is no difference.

    Parameters
    ----------
    a, b
        Folders or URLs, as for `titin.open`: ``hf://datasets/user/name@revision`` is a revision on the Hub.
    threads, memory
        As for `titin.build`.
    progress
        Told what is going on.

    Returns
    -------
    DatasetDifference
        True where they differ.

    Raises
    ------
    DatasetError
        If one is no dataset, or damaged.

    Examples
    --------
    >>> bool(titin.diff("dataset", "hf://datasets/me/atlas@v1"))  # doctest: +SKIP
    True
    """
    resources, progress = make_resources(threads, memory), progress or Progress()
    one, other = (_opened(place, resources) for place in (a, b))
    cells, genes = _Matched(one.obs_names, other.obs_names), _Matched(one.var_names, other.var_names)
    found = DatasetDifference(mask(one.store.name), mask(other.store.name), cells.compared, genes.compared)
    found.values = _values(one, other, cells, genes, progress)
    found.layers = _layers(one, other, cells, progress)
    found.obs, found.obs_only = _columns(one.obs, other.obs, cells)
    found.var, found.var_only = _columns(one.var, other.var, genes)
    before, now = one.manifest, other.manifest
    found.roles = _entries(before.roles, now.roles)
    found.settings = _settings(before, now)
    _projections(one, other, cells, found)
    _parts(one, other, found)
    _arrays(one, other, cells, genes, found)
    _beside(before, now, found)
    return found


def _opened(place: "str | PathLike[str] | Atlas", resources: Resources) -> Atlas:
    if isinstance(place, Atlas):
        return place
    return open_atlas(place, threads=resources.threads, memory=resources.memory)


class _Matched:
    """Names of two datasets, and where those that both have stand in each."""

    def __init__(self, a: pd.Index, b: pd.Index) -> None:
        places = b.get_indexer(a)
        self.of_a = np.flatnonzero(places >= 0)
        self.of_b = places[self.of_a]
        only_b = np.ones(len(b), bool)
        only_b[self.of_b] = False
        self.names = a[self.of_a]
        self.compared = NamesCompared(len(a), len(b), len(self.of_a), _texts(a[places < 0]), _texts(b[only_b]))

    def numbers(self, n: int, *, first: bool) -> NDArray[np.int64]:
        """Number that both share of each cell or gene of one dataset; -1 for those that it has alone."""
        numbers = np.full(n, -1, np.int64)
        numbers[self.of_a if first else self.of_b] = np.arange(len(self.of_a))
        return numbers


def _texts(names: Iterable[Any]) -> list[str]:
    return [str(name) for name in names]


def _values(one: Atlas, other: Atlas, cells: _Matched, genes: _Matched, progress: Progress) -> dict[str, Any]:
    """How many cells and genes differ in a value, and the first of them."""
    kinds = (one.manifest.kind, other.manifest.kind)
    found: dict[str, Any] = {"cells": 0, "genes": 0, "first_cells": [], "first_genes": []}
    if kinds[0] != kinds[1]:
        found["kinds"] = kinds
    if _same_files(one.manifest, other.manifest):
        return found
    progress.start("compare values", one.n_obs + other.n_obs, "cells")
    digests = [_digests(atlas, cells, genes, progress, first=first) for atlas, first in ((one, True), (other, False))]
    progress.finish()
    for part, matched, at in (("cells", cells, 0), ("genes", genes, 1)):
        differ = (digests[0][at] != digests[1][at]).any(axis=1)
        found[part] = int(differ.sum())
        found[f"first_{part}"] = _texts(matched.names[differ][:10])
    return found


def _layers(one: Atlas, other: Atlas, cells: _Matched, progress: Progress) -> dict[str, dict[str, Any] | None]:
    """Further matrices that differ, and how."""
    found: dict[str, dict[str, Any] | None] = {}
    for place in dict.fromkeys([*one.manifest.parts, *other.manifest.parts]):
        if place not in one.manifest.parts or place not in other.manifest.parts:
            found[place] = None
            continue
        a, b = one.part(place), other.part(place)
        genes = _Matched(a.var_names, b.var_names)
        values = _values(a, b, cells, genes, progress)
        if a.layout.own_genes and (only := len(genes.compared.only_a) + len(genes.compared.only_b)):
            values["genes_only"] = only
        if any(values.get(part) for part in ("cells", "genes", "kinds", "genes_only")):
            found[place] = values
    return found


def _same_files(a: Manifest, b: Manifest) -> bool:
    """Whether the matrix and the names of cells and genes are the same files, byte for byte."""

    def sums(manifest: Manifest) -> list[Any]:
        names = manifest.layout
        return [manifest.files[shard].get("sha256") for name in (names.expression, names.feature_metadata)
                for shard in manifest.shards(name)]  # fmt: skip

    return sums(a) == sums(b)


def _digests(
    atlas: Atlas, cells: _Matched, genes: _Matched, progress: Progress, *, first: bool
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Digest of each cell and of each gene that both datasets have."""
    rows = cells.numbers(atlas.n_obs, first=first)
    columns = genes.numbers(atlas.n_vars, first=first)[atlas.source_columns]
    by_cell, by_gene = np.zeros((len(cells.of_a), 2), np.uint64), np.zeros((len(genes.of_a), 2), np.uint64)
    for block in dataset_blocks(atlas.store, threads=atlas.reader.resources.threads):
        own = rows[block.start : block.start + block.n_cells]
        digest_common(block.indptr, block.indices, value_words(block.data), columns, own, by_cell, by_gene)
        progress.advance(block.n_cells)
    return by_cell, by_gene


def _columns(
    one: pd.DataFrame, other: pd.DataFrame, matched: _Matched
) -> tuple[dict[str, ColumnDifference], dict[str, list[str]]]:
    """How the columns of two tables differ, and which only one has."""
    only = {"a": _texts(c for c in one.columns if c not in other.columns),
            "b": _texts(c for c in other.columns if c not in one.columns)}  # fmt: skip
    found = {}
    for name in one.columns:
        if name in other.columns:
            column = _column(one[name].take(matched.of_a), other[name].take(matched.of_b))
            if column.n or column.types:
                found[str(name)] = column
    return found, {side: names for side, names in only.items() if names}


def _column(one: pd.Series, other: pd.Series) -> ColumnDifference:
    types = _holds(one), _holds(other)
    a, b = (column.astype(object).to_numpy(object) for column in (one, other))
    missing, absent = pd.isna(a), pd.isna(b)
    differ, both = missing != absent, ~missing & ~absent
    differ[both] = np.asarray(a[both] != b[both], bool)  # of pandas' NA nothing is the same, and nothing another
    found = ColumnDifference(int(differ.sum()), None if types[0] == types[1] else types)
    if not found.n:
        return found
    if all(pd.api.types.is_numeric_dtype(column.dtype) and column.dtype != bool for column in (one, other)):
        gaps = np.abs(one.to_numpy(np.float64, na_value=np.nan) - other.to_numpy(np.float64, na_value=np.nan))
        found.largest = None if np.isnan(gaps).all() else float(np.nanmax(gaps))
    elif max(one.nunique(), other.nunique()) <= _MOST_LABELS:
        pairs = pd.DataFrame({"a": a[differ], "b": b[differ]}).groupby(["a", "b"], dropna=False, sort=False).size()
        rows = [(_plain(x), _plain(y), int(n)) for x, y, n in pairs.reset_index().itertuples(index=False, name=None)]
        found.changes = sorted(rows, key=lambda row: (-row[2], str(row[0]), str(row[1])))[:_MOST_PAIRS]
    return found


def _plain(value: Any) -> Any:
    """An entry as JSON has it; None for a missing one."""
    if pd.isna(value):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | int | float | bool) else str(value)


def _holds(column: pd.Series) -> str:
    """The type of a column, with what of its categories is not told by its entries."""
    dtype = column.dtype
    if not isinstance(dtype, pd.CategoricalDtype):
        return str(dtype)
    ordered = f", in the order {', '.join(map(str, dtype.categories))}" if dtype.ordered else ""
    return f"categories of {dtype.categories.dtype}{ordered}"


def _entries(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Pair]:
    """Entries of two tables that differ, by the way to them."""
    found: dict[str, Pair] = {}
    for key in dict.fromkeys([*a, *b]):
        before, now = a.get(key), b.get(key)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found |= {f"{key}.{inner}": pair for inner, pair in _entries(before, now).items()}
        elif before != now:
            found[key] = (before, now)
    return found


def _settings(a: Manifest, b: Manifest) -> dict[str, Pair]:
    decided = ({k: v for k, v in manifest.settings.items() if k not in ORDER} for manifest in (a, b))
    found = {key: pair for key, pair in _entries(*decided).items() if any(pair)}  # what one titin writes as unset
    presets = a.preset.get("name"), b.preset.get("name")
    return found | ({"preset of the dataset": presets} if presets[0] != presets[1] else {})


def _projections(one: Atlas, other: Atlas, cells: _Matched, found: DatasetDifference) -> None:
    """Coordinates of the cells that both have; those that both have computed alike follow from what they stand on."""
    a, b = one.manifest.obsm, other.manifest.obsm
    for key in dict.fromkeys([*a, *b]):
        if key not in a or key not in b:
            found.projections[key] = None
            continue
        ways = [(entry["computed"]["method"], entry["computed"]["parameters"]) if "computed" in entry else None
                for entry in (a[key], b[key])]  # fmt: skip
        ours, theirs = (np.asarray(atlas.obsm[key]) for atlas in (one, other))
        if ours.shape[1] != theirs.shape[1]:
            found.projections[key] = None
            continue
        differ = differing(ours[cells.of_a], theirs[cells.of_b])
        n = int(differ.any(axis=1).sum())
        if n and ways[0] is not None and ways[0] == ways[1]:
            found.beside.append(f"{key} was computed in each by the same method; {n:,} cells have other coordinates")
        elif n:
            found.projections[key] = n


def _parts(one: Atlas, other: Atlas, found: DatasetDifference) -> None:
    """What else of the content is not the same."""
    computed = {entry["computed"]["method"] for atlas in (one, other) for entry in atlas.manifest.obsm.values()
                if "computed" in entry}  # fmt: skip
    names = [atlas.manifest.layout.unstructured_metadata for atlas in (one, other)]
    documents = [atlas.store.json(name) for atlas, name in zip((one, other), names, strict=True)]
    keys = [key for key in dict.fromkeys([*documents[0], *documents[1]]) if key not in {*computed, "__types__"}
            and documents[0].get(key) != documents[1].get(key)]  # fmt: skip
    if keys:
        found.parts.append(f"uns differs in {', '.join(keys)}")
    panels = [set(atlas.manifest.panel.get("genes", {})) for atlas in (one, other)]
    if panels[0] != panels[1]:
        found.parts.append(f"the panel has {len(panels[0] - panels[1]):,} genes in a only, "
                           f"{len(panels[1] - panels[0]):,} in b only")  # fmt: skip
    for what, has in _TABLES.items():
        there = [has(atlas.manifest) for atlas in (one, other)]
        if there[0] != there[1]:
            found.parts.append(f"{what} is in {'a' if there[0] else 'b'} only")


def _arrays(one: Atlas, other: Atlas, cells: _Matched, genes: _Matched, found: DatasetDifference) -> None:
    """Arrays that are kept beside the matrix, over the cells or genes that both have."""
    for place in dict.fromkeys([*one.manifest.arrays, *other.manifest.arrays]):
        there = [place in atlas.manifest.arrays for atlas in (one, other)]
        if not all(there):
            found.parts.append(f"{place} is in {'a' if there[0] else 'b'} only")
        elif _differs(place, one, other, cells, genes):
            found.parts.append(f"{place} differs")


def _differs(place: str, one: Atlas, other: Atlas, cells: _Matched, genes: _Matched) -> bool:
    group = group_of(place)
    if group == RAW_VARM:
        a, b = one.part(RAW), other.part(RAW)
        return _differs(place.removeprefix(f"{RAW}/"), a, b, cells, _Matched(a.var_names, b.var_names))
    own = cells if ARRAY_GROUPS[group] == "cells" else genes
    ours, theirs = (getattr(atlas, group)[place.removeprefix(f"{group}/")] for atlas in (one, other))
    if type(ours) is not type(theirs) or ours.shape[1:] != theirs.shape[1:]:
        return True
    if isinstance(ours, pd.DataFrame):
        return frame_difference(ours.iloc[own.of_a], theirs.iloc[own.of_b]) is not None
    ours, theirs = (array[at][:, at] if group in PAIRWISE else array[at]
                    for array, at in ((ours, own.of_a), (theirs, own.of_b)))  # fmt: skip
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return True
    if not sparse.issparse(ours):
        return bool(differing(ours, theirs).any())
    lists = [csr.tocsr() for csr in (ours, theirs)]
    for csr in lists:
        csr.sort_indices()
    a, b = lists
    return not (np.array_equal(a.indptr, b.indptr) and np.array_equal(a.indices, b.indices)
                and not differing(a.data, b.data).any())  # fmt: skip


def _has(name: str) -> Callable[[Manifest], bool]:
    def has(manifest: Manifest) -> bool:
        stem = getattr(manifest.layout, name).removesuffix(".parquet")
        return any(file.startswith(stem) for file in manifest.files)

    return has


_TABLES = {"the pseudobulk": _has("pseudobulk"), "the table of gene-set scores": _has("gene_set_scores"),
           "what changes with age": lambda manifest: bool(manifest.ageing),
           "regulators": _has("regulators")}  # fmt: skip


def _beside(a: Manifest, b: Manifest, found: DatasetDifference) -> None:
    """What differs and says nothing of the content."""
    if any(a.settings.get(name) != b.settings.get(name) for name in ORDER):
        found.beside.append("the cells are in another order")
    for part, said in (("source", "the sources are"), ("libraries", "they were written by")):
        pairs = _entries(getattr(a, part), getattr(b, part))
        if pairs:
            told = ", ".join(f"{key} {_short(before)} and {_short(now)}" for key, (before, now) in pairs.items())
            found.beside.append(f"{said} {told}")
    if a.prefix != b.prefix:
        found.beside.append(f"the files are called {a.prefix}_… and {b.prefix}_…")


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) > 40 else text
