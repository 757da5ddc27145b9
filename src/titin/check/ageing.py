"""The tables of what changes with age that a dataset may hold; see `titin.ageing.ageing_tables`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.atlas.comparable import ComparableStore
from titin.atlas.row_groups import gene_blocks
from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.kept_tables import read_told
from titin.check.registry import check
from titin.check.units import all_groups
from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.block import GeneBlock
from titin.dataset.pages import Lists
from titin.dataset.shapes import anything, list_of, record, text
from titin.study.design import level_name
from titin.study.groups import CellGroups, level_keys

_AGAIN = "find it anew: titin age tables"
_TOLD = b"titin.ageing"
_OF_CELLS = (layout.GROUPS, layout.COUNTS, layout.CELLS)
_OF_TESTS = (layout.COMPARISONS, *layout.AGEING_STATISTICS)
_SHAPE = record({"cell_type_level": text(), "expression": record({}, {"tests": list_of(anything)})})


@check("derived.ageing", "Sums of donors are those of their cells, and changes with age are told alike.", level="full")
def ageing(dataset: CheckedDataset) -> Outcome:
    """Of every level, groups and sums against the matrix, and the tests by gene against the same by comparison."""
    if not dataset.manifest.ageing:
        return Outcome(skipped="what changes with age is not kept in the dataset")
    found: list[Finding] = []
    read: list[_Level] = []
    cells = all_groups(dataset)
    for level, names in dataset.manifest.ageing_files.items():
        own = _read(dataset, level, names, cells)
        if isinstance(own, _Level):
            read.append(own)
        else:
            found += own
    found += _wrong_sums(dataset, read)
    for own in read:
        found += _wrong_tests(dataset, own)
    n_groups, n_sums, n_tests = (sum(map(len, part)) for part in (
        [own.groups for own in read], *([own.lists[name].elements for own in read]
                                        for name in (layout.GROUPS, layout.COMPARISONS))))  # fmt: skip
    several = f" by {len(read):,} levels" if len(read) > 1 else ""
    return Outcome(found, f"{n_groups:,} groups, {n_sums:,} sums, {n_tests:,} tests{several}")


@dataclass(frozen=True)
class _Level:
    """The tables of one level of cell types, as they were read; and the row in `groups` of every cell, -1 for none."""

    names: layout.AgeingFiles
    told: dict[str, Any]
    groups: pa.Table
    lists: dict[str, Lists]
    code: NDArray[np.int64]

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """Counts of each group, summed up while the genes are passed."""
        return np.zeros(self.groups.num_rows)


def _read(
    dataset: CheckedDataset, level: str, names: layout.AgeingFiles, cells: CellGroups
) -> _Level | list[Finding]:  # fmt: skip
    told = read_told(dataset, tuple(names), _TOLD, _SHAPE, "what changes with age is not", _AGAIN)
    if isinstance(told, Outcome):
        return list(told.findings) or [
            Finding(f"{layout.MANIFEST} tells of it, and it is not there", names.groups, _AGAIN)
        ]
    if told["cell_type_level"] != level_name(level):
        said = f"it is by {told['cell_type_level']!r}, {layout.MANIFEST} says {level!r}"
        return [Finding(said, names.groups, _AGAIN)]
    store = dataset.atlas.store
    groups, by_gene = store.table(names.groups), store.table(names.by_gene)
    lists = {name: list_arrays(by_gene.column(name)) for name in (*_OF_CELLS, *_OF_TESTS)}
    found = [finding for own in (_OF_CELLS, _OF_TESTS) for finding in _lengths(lists, own, names.by_gene)]
    if found:
        return found
    code, found = _places(cells, groups, told["cell_type_level"], names.groups)
    return found or _Level(names, told, groups, lists, code)


def _lengths(lists: dict[str, Lists], own: tuple[str, ...], name: str) -> Iterator[Finding]:
    for column in own[1:]:
        differ = np.flatnonzero(lists[column].indptr != lists[own[0]].indptr)
        if len(differ):
            where = f"{name}, column {column}, row {int(differ[0]) - 1:,}"
            yield Finding(f"a list of {column} is not as long as that of {own[0]}", where, _AGAIN)
            return


def _places(
    cells: CellGroups, groups: pa.Table, level: str, name: str
) -> tuple[NDArray[np.int64], list[Finding]]:  # fmt: skip
    """Row of the table of groups of every cell, -1 for a cell that is in none; and where the table is not of them."""
    if level not in (*cells.levels, layout.ALL_CELLS):
        return np.zeros(0, np.int64), [Finding(f"it is of {level!r}, which is no level of cell types", name, _AGAIN)]
    keys = level_keys(cells, level)
    columns = ["protocol", "cell_type", "donor", "age"]
    lacking = [column for column in columns if column not in keys]
    if lacking:
        return np.zeros(0, np.int64), [Finding(f"the dataset has no {lacking[0]} any more", name, _AGAIN)]
    stored = groups.select(columns).to_pandas()
    row = {_key(*values): at for at, values in enumerate(stored.itertuples(index=False))}
    complete = keys[columns].notna().all(axis=1)
    own = zip(keys[columns].itertuples(index=False), complete, strict=True)
    place = np.array([row.get(_key(*values), -1) if whole else -1 for values, whole in own], np.int64)
    found = []
    strange = np.flatnonzero((place < 0) & complete.to_numpy())
    if len(strange):
        first = keys[columns].iloc[strange[0]]
        found.append(Finding(f"it has no group of {', '.join(map(str, first))}", name, _AGAIN))
    known = np.bincount(place[place >= 0], cells.table[layout.N_CELLS].to_numpy()[place >= 0], groups.num_rows)
    wrong = np.flatnonzero(known != groups.column(layout.N_CELLS).to_numpy())
    if len(wrong):
        said = f"{len(wrong):,} groups have other numbers of cells than the dataset"
        found.append(Finding(said, f"{name}, column {layout.N_CELLS}, row {int(wrong[0]):,}", _AGAIN))
    code = place[cells.codes]
    code[cells.codes < 0] = -1
    return code, found


def _key(protocol: Any, cell_type: Any, donor: Any, age: Any) -> tuple[str, str, str, float]:
    return str(protocol), str(cell_type), str(donor), float(age)


def _wrong_sums(dataset: CheckedDataset, levels: list[_Level]) -> Iterator[Finding]:
    """Genes whose sums are not those of the matrix, which is passed once; of each level the first."""
    store = dataset.atlas.store
    comparable = dataset.atlas.comparable().store
    kept = np.ones(dataset.manifest.n_genes, bool)
    if isinstance(comparable, ComparableStore):
        kept[:] = False
        kept[comparable.kept] = True
    sound = []
    for own in levels:
        groups = own.lists[layout.GROUPS].elements
        if len(groups) and int(groups.max()) >= own.groups.num_rows:
            said = f"it names group {int(groups.max()):,} of {own.groups.num_rows:,}"
            yield Finding(said, own.names.by_gene, _AGAIN)
        else:
            sound.append(own)
    for block in gene_blocks(store) if sound else ():
        for own in tuple(sound):
            if finding := _wrong_block(own, block, kept):
                yield finding
                sound.remove(own)
    for own in sound:
        wrong = np.flatnonzero(own.totals != own.groups.column(layout.N_COUNTS).to_numpy())
        if len(wrong):
            where = f"{own.names.groups}, column {layout.N_COUNTS}, row {int(wrong[0]):,}"
            yield Finding(f"{len(wrong):,} groups have other counts in all than their cells", where, _AGAIN)


def _wrong_block(level: _Level, block: GeneBlock, kept: NDArray[np.bool_]) -> Finding | None:
    """The first gene of a block whose sums are not those of its cells; the others are added to the totals."""
    n_groups, (indptr, groups) = level.groups.num_rows, level.lists[layout.GROUPS]
    gene = np.repeat(np.arange(block.n_genes), np.diff(block.indptr))
    own = level.code[block.cells]
    used = (own >= 0) & kept[block.first + gene]
    at, size = gene[used] * n_groups + own[used], block.n_genes * n_groups
    sums, cells = np.bincount(at, block.stored[used], size), np.bincount(at, minlength=size)
    np.add(level.totals, sums.reshape(block.n_genes, n_groups).sum(axis=0), out=level.totals)
    first, end = indptr[block.first], indptr[block.first + block.n_genes]
    rows = np.repeat(np.arange(block.n_genes), np.diff(indptr[block.first : block.first + block.n_genes + 1]))
    told = rows * n_groups + groups[first:end].astype(np.int64)
    for column, known in {layout.COUNTS: sums, layout.CELLS: cells}.items():
        wide = np.zeros(size)
        wide[told] = level.lists[column].elements[first:end]
        wrong = np.flatnonzero(wide != known)
        if len(wrong) or len(np.unique(told)) < len(told):
            token = block.first + int(wrong[0] if len(wrong) else told[0]) // n_groups
            said = f"its {column} are not those of the cells: gene {token:,}"
            return Finding(said, f"{level.names.by_gene}, column {column}, row {token:,}", _AGAIN)
    return None


def _wrong_tests(dataset: CheckedDataset, level: _Level) -> Iterator[Finding]:
    """Tests by gene that are not those by comparison, or that cannot be."""
    name, lists = level.names.tests, level.lists
    n_tests = len(level.told["expression"].get("tests", []))
    table = dataset.atlas.store.table(name).to_pandas().sort_values([layout.TOKEN, "comparison"], kind="stable")
    by_gene = pd.DataFrame({column: lists[column].elements for column in _OF_TESTS})
    token = np.repeat(np.arange(dataset.manifest.n_genes), np.diff(lists[layout.COMPARISONS].indptr))
    same = len(table) == len(by_gene) and np.array_equal(table[layout.TOKEN], token) and all(
        np.array_equal(table[mine].to_numpy(), by_gene[other].to_numpy(), equal_nan=True)
        for mine, other in zip(("comparison", *layout.AGEING_STATISTICS), _OF_TESTS, strict=True)
    )  # fmt: skip
    if not same:
        yield Finding(f"its tests are not those of {level.names.by_gene}", name, _AGAIN)
        return
    if len(table) and int(table["comparison"].max()) >= n_tests:
        yield Finding(f"it names comparison {int(table['comparison'].max()):,} of {n_tests:,}", name, _AGAIN)
    inside = table["ci_low"].le(table["log2_fold_change"]) & table["log2_fold_change"].le(table["ci_high"])
    likely = table["p_value"].between(0, 1) & table["adj_p_value"].between(0, 1)
    wrong = np.flatnonzero(~(inside & likely).to_numpy())
    if len(wrong):
        said = f"{len(wrong):,} tests have p beyond 0 to 1, or an effect outside its interval"
        yield Finding(said, f"{name}, token {int(table[layout.TOKEN].iloc[wrong[0]]):,}", _AGAIN)
