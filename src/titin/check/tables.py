"""Tables of cells and genes, and projections, against each other."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from titin.check.comparison import column_difference, file_difference, value
from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome, Problems
from titin.check.integrity import cell_tables
from titin.check.registry import check
from titin.check.repeats import Repeats
from titin.dataset import layout

_RESTORE = "restore the file from where it was published, or build the dataset again"


@check("integrity.cell_ids", "All files with one row a cell have the same cells in the same order, each once.")
def cell_ids(dataset: CheckedDataset) -> Outcome:
    """Every barcode of every file."""
    names, store = cell_tables(dataset), dataset.atlas.store
    sizes = {name: store.n_rows(name) for name in names}
    groups: list[list[str]] = []  # files that agree
    left = names
    while left:
        agreed, left = _alike(dataset, left, sizes)
        groups.append(agreed)
    groups.sort(key=lambda group: -len(group))
    agreed, *others = groups
    cells = dataset.layout.sample_metadata
    found = list(_repeated(dataset.repeats(cells if cells in agreed else agreed[0]), agreed))
    if others:
        reference = store.column(agreed[0], layout.CELL_ID)
        found += [_disagreement(store.column(name, layout.CELL_ID), name, reference, agreed[0])
                  for members in others for name in members]  # fmt: skip
    found += _other_rows(dataset)
    return Outcome(found, f"{len(names):,} files of {sizes[agreed[0]]:,} cells")


def _alike(dataset: CheckedDataset, files: list[str], sizes: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """The first of some files with those that have the same names, and the others; all are read at once, by ranges."""
    store = dataset.atlas.store
    first, *rest = [store.ranges(name, [layout.CELL_ID]) for name in files if sizes[name] == sizes[files[0]]]
    differ = {name for name in files if sizes[name] != sizes[files[0]]}
    names = [name for name in files[1:] if name not in differ]
    for parts in zip(first, *rest, strict=True):
        column = parts[0].column(0)
        differ |= {name for name, other in zip(names, parts[1:], strict=True)
                   if name not in differ and column_difference(column, other.column(0))[0]}  # fmt: skip
    return [name for name in files if name not in differ], [name for name in files if name in differ]


def _other_rows(dataset: CheckedDataset) -> Iterator[Finding]:
    """Further matrices whose cells are said to be other rows of the source than those of X."""
    if not dataset.parts:
        return
    store, X = dataset.atlas.store, dataset.layout.expression
    for part in dataset.parts.values():
        own = part.layout.expression
        if store.n_rows(own) != store.n_rows(X):
            continue
        n, _, _ = file_difference(store, own, X, layout.SOURCE_ROW)
        if n:
            yield Finding(f"{n:,} cells are other rows of the source than in {X}", f"{own}, column {layout.SOURCE_ROW}",
                          _RESTORE)  # fmt: skip


def _repeated(repeats: Repeats, files: list[str]) -> Iterator[Finding]:
    names = pc.unique(repeats.names)
    if len(names):
        at = pc.index(repeats.names, names[0]).as_py()
        row = int(repeats.rows[at]) if at >= 0 else at
        where = f"{files[0]}, row {row:,}" + (", and all others" if files[1:] else "")
        said = f"{len(names):,} cell_id name several cells, {names[0].as_py()!r} the first"
        yield Finding(said, where, "give each cell a name of its own in the source")
    if repeats.n_missing:
        yield Finding(f"{repeats.n_missing:,} cells have no cell_id", files[0])


def _disagreement(column: pa.ChunkedArray, name: str, reference: pa.ChunkedArray, other: str) -> Finding:
    if len(column) != len(reference):
        return Finding(f"it has {len(column):,} cells, {other} has {len(reference):,}", name, _RESTORE)
    n, row = column_difference(column, reference)
    missing = len(column) - pc.sum(pc.is_in(column, value_set=reference.combine_chunks())).as_py()
    sort = f"{missing:,} of them are in no other file" if missing else "the same cells in another order"
    said = f"{n:,} cell_id differ from {other} ({sort}); the first is {value(column, row)}, not {value(reference, row)}"
    return Finding(said, f"{name}, row {row:,}", _RESTORE)


@check("integrity.labels", "The labels beside the expression are those of the cells' metadata.")
def labels(dataset: CheckedDataset) -> Outcome:
    """Every label of ``expression`` and the panel against ``sample_metadata``."""
    store, names = dataset.atlas.store, dataset.layout
    found = []
    wanted = list(dataset.manifest.obs.get("labels", []))
    for name in wanted:
        n_cells = store.n_rows(names.sample_metadata)
        for file in (names.expression, names.expression_panel):
            if store.n_rows(file) != n_cells:
                said = f"{store.n_rows(file):,} labels for {n_cells:,} cells"
                found.append(Finding(said, f"{file}, column {name}", _RESTORE))
                continue
            n, row, first = file_difference(store, file, names.sample_metadata, name)
            if n:
                said = f"{n:,} cells have another {name} than in {names.sample_metadata}; the first has {first}"
                found.append(Finding(said, f"{file}, column {name}, row {row:,}", _RESTORE))
    return Outcome(found, f"{len(wanted):,} labels in 2 files of {dataset.manifest.n_cells:,} cells")


@check("integrity.projections", "Every projection has a finite place for every cell.", needs=["projection"])
def projections(dataset: CheckedDataset) -> Outcome:
    """Every coordinate of every embedding, and the loadings of computed ones."""
    manifest = dataset.manifest
    found: list[Finding] = []
    facts, n_values = {}, 0
    for key, entry in manifest.obsm.items():
        columns = [record["column"] for record in entry["columns"][1:]]
        facts[key] = len(columns)
        if not entry["frame"] and columns != layout.projection_columns(key, len(columns)):
            found.append(Finding(f"its columns are {', '.join(columns[:3])} …", f"{entry['file']}, columns"))
        n_values += _look(dataset, entry["file"], columns, manifest.n_cells, found)
    for entry in manifest.varm.values():
        columns = [record["column"] for record in entry["columns"][1:]]
        n_values += _look(dataset, entry["file"], columns, manifest.n_genes, found)
    return Outcome(found, f"{len(facts):,} projections, {n_values:,} values", {"dimensions": facts})


def _look(dataset: CheckedDataset, file: str, columns: list[str], n_rows: int, found: list[Finding]) -> int:
    """Look at every number of an embedding; what is wrong is added to ``found``. Returns how many there are."""
    store = dataset.atlas.store
    if store.n_rows(file) != n_rows:
        found.append(Finding(f"{store.n_rows(file):,} rows, not {n_rows:,}", file, _RESTORE))
    bad = Problems()
    n_values = first = 0
    for part in store.ranges(file, columns):
        for name in columns:
            column = part.column(name)
            n_values += len(column)
            if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
                values = column.cast(pa.float64(), safe=False).to_numpy()
                wrong = np.flatnonzero(~np.isfinite(values))
                if len(wrong):
                    where = f"{file}, column {name}, row {first + wrong[0]:,}"
                    bad.add(name, len(wrong), str(values[wrong[0]]), where)
        first += part.num_rows
    for name in columns:
        if name in bad:
            said = f"{bad[name].n:,} values are not finite; the first is {bad[name].first}"
            hint = "build again without it (--no-obsm KEY), or mend it in the source"
            found.append(Finding(said, bad[name].where, hint))
    return n_values


@check("integrity.genes", "Genes are numbered by falling detection, and named alike in both files of genes.")
def genes(dataset: CheckedDataset) -> Outcome:
    """Tokens, source columns and names of ``feature_metadata`` and ``expression_by_gene``."""
    names, n_genes, store = dataset.layout, dataset.manifest.n_genes, dataset.atlas.store
    table = store.table(names.feature_metadata)
    found = []
    for name, what in ((layout.TOKEN, "ascend from 0"), (layout.SOURCE_COLUMN, "name every column of the source once")):
        numbers = table.column(name).to_numpy()
        own = numbers if name == layout.TOKEN else np.sort(numbers)
        wrong = np.flatnonzero(own != np.arange(len(own)))
        if len(wrong):
            at = int(wrong[0]) if name == layout.TOKEN else _repeated_at(numbers)
            said = f"{name} does not {what}: {int(numbers[at])} at row {at:,}"
            found.append(Finding(said, f"{names.feature_metadata}, column {name}, row {at:,}", _RESTORE))
    if not found:
        found += list(_detection_order(table, names.feature_metadata))
    pairs = ((layout.GENE, layout.GENE), (layout.GENE_ID, layout.GENE_IDS), (layout.TOKEN, layout.TOKEN),
             (layout.N_CELLS, layout.N_CELLS))  # fmt: skip
    for theirs, ours in pairs:
        column, reference = store.column(names.expression_by_gene, theirs), table.column(ours)
        if len(column) != len(reference):
            said = f"{len(column):,} genes, {names.feature_metadata} has {len(reference):,}"
            found.append(Finding(said, names.expression_by_gene, _RESTORE))
            break
        n, row = column_difference(column, reference)
        if n:
            said = (f"{n:,} genes have another {theirs} than in {names.feature_metadata}; the first has "
                    f"{value(column, row)}, not {value(reference, row)}")  # fmt: skip
            found.append(Finding(said, f"{names.expression_by_gene}, column {theirs}, row {row:,}", _RESTORE))
    index = dataset.manifest.var["columns"][0]["column"]
    beside = [*(entry["file"] for entry in dataset.manifest.varm.values()), *dataset.manifest.arrays_of("genes")]
    for file in beside:
        n, row = _names_differ(store.column(file, index), table.column(index))
        if n:
            said = f"{n:,} genes have another name than in {names.feature_metadata}"
            found.append(Finding(said, f"{file}, column {index}, row {row:,}", _RESTORE))
    return Outcome(found, f"{n_genes:,} genes in {2 + len(beside)} files")


def _names_differ(column: pa.ChunkedArray, reference: pa.ChunkedArray) -> tuple[int, int]:
    if len(column) != len(reference):
        return abs(len(column) - len(reference)), min(len(column), len(reference))
    return column_difference(column, reference)


def _repeated_at(numbers: np.ndarray) -> int:
    """First row whose number is out of range or was there before."""
    seen: set[int] = set()
    for at, number in enumerate(numbers.tolist()):
        if number in seen or not 0 <= number < len(numbers):
            return at
        seen.add(number)
    return 0


def _detection_order(table: pa.Table, file: str) -> Iterator[Finding]:
    """Tokens go by falling number of cells, ties by the source's order."""
    n_cells = table.column(layout.N_CELLS).to_numpy()
    columns = table.column(layout.SOURCE_COLUMN).to_numpy()
    falls = (n_cells[1:] < n_cells[:-1]) | ((n_cells[1:] == n_cells[:-1]) & (columns[1:] > columns[:-1]))
    wrong = np.flatnonzero(~falls)
    if len(wrong):
        row = int(wrong[0]) + 1
        said = (f"{len(wrong):,} tokens are out of the order of falling n_cells; the first has {int(n_cells[row]):,} "
                f"after {int(n_cells[row - 1]):,}")  # fmt: skip
        yield Finding(said, f"{file}, column {layout.N_CELLS}, row {row:,}", _RESTORE)
