"""What changes with age, kept in the dataset for pages that compute nothing: donors' sums and the tests of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing.comparison import ALL, Comparisons
from titin.ageing.composition import Composition, composition, say_composition
from titin.ageing.differential_expression import DifferentialExpression, compare_apart
from titin.ageing.expression_comparisons import ExpressionComparisons, expression_comparisons
from titin.ageing.pseudobulk import Pseudobulk, check_counts, open_again, pseudobulk
from titin.ageing.verdict import say_genes
from titin.atlas import Atlas, open_atlas
from titin.atlas.comparable import ComparableStore
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile, list_column
from titin.dataset.block import bounded_runs
from titin.dataset.replace import Draft, revise
from titin.dataset.summaries import write_summary
from titin.errors import TitinError, reason_of
from titin.progress import Progress
from titin.publish import refresh_card
from titin.study.design import AGE, ALL_CELLS, choose_level, labels_of, level_columns, need
from titin.text import json_safe

_ROW_GROUP_ENTRIES = 80_000  # of the table by gene: whoever shows one gene reads one row group, at once
_ONE = 2**62  # bytes of a shard: none of these tables has more than one
TOLD = b"titin.ageing"  # among the metadata of the table of groups: how all of them were made, as JSON
EVERY = "all"  # in the place of levels
_PLACE = ["protocol", "cell_type"]
_Found = TypeVar("_Found")


@dataclass(frozen=True, eq=False)
class AgeingTables:
    """Sums of donors by one level of cell types, and how they change with age.

    Attributes
    ----------
    groups
        One row a donor, protocol and type, with the columns of `titin.dataset.layout.AGEING_GROUPS`.
    counts
        int64 CSC, groups × genes of the dataset by token: counts summed over the cells of the group.
    detected
        int64 CSC: cells of the group with a count.
    tests
        One row a gene and comparison, with the columns of `titin.dataset.layout.AGEING_TESTS`.
    composition
        One row a type and protocol, with the columns of `titin.dataset.layout.AGEING_COMPOSITION`.
    told
        How they were made: JSON.
    """

    groups: pd.DataFrame
    counts: sparse.csc_matrix
    detected: sparse.csc_matrix
    tests: pd.DataFrame
    composition: pd.DataFrame
    told: dict[str, Any]


def ageing_tables(
    atlas: Atlas, *, cell_type_level: int | str | None = None, threads: int | None = None,
    progress: Progress | None = None,
) -> AgeingTables:  # fmt: skip
    """Sum the counts of donors, and test them as `titin age de` and `titin age composition` do by a level of types.

    Parameters
    ----------
    atlas
        The dataset. Of several studies these are the genes that all of them measured.
    cell_type_level
        Name of the level, or its place; the coarsest where not given.
    threads, progress
        As for `titin.ageing.pseudobulk`.

    Raises
    ------
    TitinError
        If the dataset has no counts, donors or ages, or no such level.
    """
    found = _sum(atlas, threads, progress)
    return _tables(atlas, found, choose_level(found.levels, cell_type_level, whole=not found.levels))


def _sum(atlas: Atlas, threads: int | None, progress: Progress | None) -> Pseudobulk:
    """The sums of all levels at once, where ages are known."""
    check_counts(atlas)
    found = pseudobulk(atlas, threads=threads, progress=progress)
    need([str(name) for name in found.groups if found.groups[name].notna().any()], AGE, "what changes with age is kept")
    return found


def _tables(atlas: Atlas, found: Pseudobulk, level: str) -> AgeingTables:
    asked = level if found.levels else None
    compared, why = _if_evaluable(lambda: expression_comparisons(found, cell_type_level=asked))
    genes = None if compared is None else compare_apart(compared, "voom")
    types, why_not = _if_evaluable(lambda: composition(atlas, cell_type_level=asked))
    sums = _by_donor(found, level)
    groups = sums.groups[["donor", *_PLACE, AGE, layout.N_CELLS]].copy()
    groups[layout.N_COUNTS] = np.asarray(sums.counts.sum(axis=1)).ravel().astype(np.int64)
    groups["library"] = _libraries(groups, compared)
    made = [result for result in (genes, types) if result is not None]
    told = {
        "cell_type_level": level, "age_cut": next((result.settings["age_cut"] for result in made), None),
        "cells_left_out": int(found.groups[layout.N_CELLS].sum() - groups[layout.N_CELLS].sum()),
        "expression": _tell(genes, lambda own: say_genes(own.table, own.settings), why),
        "composition": _tell(types, say_composition, why_not),
    }  # fmt: skip
    tokens = _tokens(atlas)
    wide = sparse.csc_matrix((np.ones(len(tokens), np.int64), (np.arange(len(tokens)), tokens)),
                             (len(tokens), atlas.n_vars))  # fmt: skip
    counts, detected = (sparse.csc_matrix(one @ wide) for one in (sums.counts, sums.detected))
    for one in (counts, detected):
        one.sort_indices()
    return AgeingTables(groups, counts, detected, _tests(compared, genes, tokens), _fractions(types),
                        json_safe(told))  # fmt: skip


def _if_evaluable(make: Callable[[], _Found]) -> tuple[_Found | None, str]:
    """What is made, or why it cannot be."""
    try:
        return make(), ""
    except TitinError as reason:
        return None, reason_of(reason)


def _by_donor(found: Pseudobulk, level: str) -> Pseudobulk:
    """Sums by donor, age, protocol and type; what lacks one of them is left out."""
    groups = found.groups.assign(cell_type=labels_of(found.groups, level))
    if "protocol" not in groups or groups["protocol"].isna().all():
        groups["protocol"] = ALL
    return replace(found, groups=groups).aggregate([*_PLACE, "donor", AGE])


def _libraries(groups: pd.DataFrame, compared: ExpressionComparisons | None) -> NDArray[np.float64]:
    """Counts × normalisation factor of the groups that were compared; NaN of the others."""
    known: dict[tuple[str, str, str, float], tuple[int, float]] = {}
    for one in compared.comparisons if compared is not None else ():
        units = one.compared.units
        for donor, decades, n_cells, library in zip(
            units["donor"], units[AGE], units[layout.N_CELLS], one.library, strict=True
        ):
            known[one.protocol, one.cell_type, str(donor), round(10 * decades, 6)] = (int(n_cells), float(library))
    rows = zip(groups["protocol"], groups["cell_type"], groups["donor"], groups[AGE], groups[layout.N_CELLS],
               strict=True)  # fmt: skip
    libraries = []
    for protocol, cell_type, donor, age, n_cells in rows:
        cells, library = known.get((str(protocol), str(cell_type), str(donor), round(age, 6)), (-1, np.nan))
        libraries.append(library if cells == n_cells else np.nan)  # a part of its cells is another sum than this one
    return np.array(libraries, np.float64)


def _tell(found: Comparisons | None, say: Callable[[Any], str], why: str) -> dict[str, Any]:
    if found is None:
        return {"missing": why}
    return {"settings": found.settings, "tests": found.tests, "skipped": found.skipped, "caveat": found.caveat,
            "verdict": say(found), "left_out": found.left_out_sentences}  # fmt: skip


def _tokens(atlas: Atlas) -> NDArray[np.int64]:
    """Token in the dataset of every gene that can be compared."""
    store = atlas.comparable().store
    return store.kept.astype(np.int64) if isinstance(store, ComparableStore) else np.arange(atlas.n_vars)


def _tests(
    compared: ExpressionComparisons | None, found: DifferentialExpression | None, tokens: NDArray[np.int64]
) -> pd.DataFrame:
    """Comparison by comparison, in the order in which they are told of, the genes by token."""
    if compared is None or found is None or not compared.comparisons:
        return pd.DataFrame({name: [] for name in layout.AGEING_TESTS})
    genes = [one.genes for one in compared.comparisons]  # ascending, as the rows of the results are
    number = np.repeat(np.arange(len(genes)), [len(own) for own in genes])
    return found.table.assign(comparison=number, token=tokens[np.concatenate(genes)])[list(layout.AGEING_TESTS)]


def _fractions(found: Composition | None) -> pd.DataFrame:
    columns = list(layout.AGEING_COMPOSITION)
    return pd.DataFrame({name: [] for name in columns}) if found is None else found.table[columns]


def write_ageing_tables(
    atlas: Atlas | Path, *, levels: Sequence[int | str] | int | str | None = None, threads: int | None = None,
    progress: Progress | None = None,
) -> Atlas:  # fmt: skip
    """Put into a dataset what its explorer shows of ageing, recorded in its manifest, in one step.

    Parameters
    ----------
    atlas
        A local dataset, opened, or its folder.
    levels
        Levels of cell types, by name or place, that the dataset shall hold, and no others; ``all`` for every level, the
        coarsest alone where not given.
    threads, progress
        As for `ageing_tables`.

    Returns
    -------
    Atlas
        The dataset as it is now.

    Raises
    ------
    TitinError
        If the dataset lies elsewhere, or has no counts, donors or ages, or not such levels.
    OutputError
        If it cannot be written.

    Examples
    --------
    >>> atlas = write_ageing_tables(titin.open("dataset"), levels="all")  # doctest: +SKIP
    """
    atlas = open_atlas(atlas) if isinstance(atlas, Path) else atlas
    folder = atlas.folder
    _choose_levels(list(level_columns(atlas.roles)), levels)  # refused before the pass
    found = _sum(atlas, threads, progress)
    chosen = _choose_levels(found.levels, levels)
    genes = {layout.GENE: list(atlas.whole.reader.genes.symbols), layout.GENE_ID: list(atlas.whole.reader.genes.ids)}
    by_token = pd.DataFrame(genes).take(atlas.whole.source_columns)
    with revise(folder) as draft:
        draft.remove_ageing()
        for level in chosen:
            place = found.levels.index(level) if draft.manifest.ageing else 0
            draft.manifest.ageing[level] = {"file": layout.ageing_file(place)}
            _write(draft, draft.manifest.ageing_files[level], _tables(atlas, found, level), by_token)
        refresh_card(draft)
    return open_again(atlas)


def _choose_levels(known: list[str], asked: Sequence[int | str] | int | str | None) -> list[str]:
    """The levels that are asked for, coarsest first, each once."""
    several = asked if isinstance(asked, Sequence) and not isinstance(asked, str) else [asked]
    if EVERY in several and EVERY not in known:
        return known or [ALL_CELLS]
    chosen = {choose_level(known, one, whole=not known) for one in several or [None]}
    return [level for level in known or [ALL_CELLS] if level in chosen]


def _write(draft: Draft, names: layout.AgeingFiles, found: AgeingTables, genes: pd.DataFrame) -> None:
    write_summary(draft.folder, names.groups, found.groups, layout.AGEING_GROUPS, told=(TOLD, found.told))
    _write_by_gene(draft.folder, names.by_gene, found, genes)
    ends = np.searchsorted(found.tests["comparison"], np.arange(found.tests["comparison"].nunique() + 1))
    write_summary(draft.folder, names.tests, found.tests, layout.AGEING_TESTS, ends=ends.tolist())
    write_summary(draft.folder, names.composition, found.composition, layout.AGEING_COMPOSITION)
    draft.changed.update(names)


def _write_by_gene(folder: Path, name: str, found: AgeingTables, genes: pd.DataFrame) -> None:
    """One row a gene of the dataset, by token: lists of its groups, and of its comparisons."""
    n_genes, tests = found.counts.shape[1], found.tests.sort_values(["token", "comparison"])
    sums = found.counts.indptr.astype(np.int64)
    tested = np.searchsorted(tests["token"].to_numpy(np.int64), np.arange(n_genes + 1)).astype(np.int64)
    large = bool(found.counts.data.max(initial=0) > np.iinfo(np.uint32).max)
    lists: dict[str, tuple[NDArray[np.int64], NDArray[Any]]] = {
        layout.GROUPS: (sums, found.counts.indices.astype(np.uint32)),
        layout.COUNTS: (sums, found.counts.data.astype(np.uint64 if large else np.uint32)),
        layout.CELLS: (sums, found.detected.data.astype(np.uint32)),
        layout.COMPARISONS: (tested, tests["comparison"].to_numpy(np.uint32)),
        **{column: (tested, tests[column].to_numpy(kind.to_pandas_dtype()))
           for column, kind in layout.AGEING_STATISTICS.items()},
    }  # fmt: skip
    schema = layout.ageing_by_gene_schema(large_sums=large)
    file = ParquetFile(folder, name, schema, shard_bytes=_ONE, page_bytes=layout.GENE_PAGE_BYTES)
    for start, end in bounded_runs(sums, _ROW_GROUP_ENTRIES):
        names = genes.iloc[start:end]
        file.write(pa.Table.from_arrays([
            pa.array(names[layout.GENE], pa.string()), pa.array(names[layout.GENE_ID], pa.string()),
            pa.array(np.arange(start, end, dtype=np.int32)),
            *(list_column(indptr[start : end + 1], elements) for indptr, elements in lists.values()),
        ], schema=schema))  # fmt: skip
    file.close()
