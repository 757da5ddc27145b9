"""The structure file, uns, the card and derived tables against what they speak of."""

import fnmatch
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.check.cells import CellColumns
from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.hub import MOST_CARD
from titin.check.registry import check
from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.shapes import ShapeError, list_of, record, table_of, text, whole
from titin.errors import TitinError
from titin.files import read_text

_WRITE_AGAIN = "write the card again"
_MOST = str(2**63)
_NUMBER = r"(?<![\d,])(\d[\d,]{0,24})"
_SIZE = re.compile(rf"{_NUMBER} cells × {_NUMBER} genes(?:, {_NUMBER} non-zeros)?")
_COUNTS = table_of(table_of(whole()))
_STRUCTURE = record({}, {"obsm_keys": list_of(text()), "annotation_mapping": _COUNTS, "category_counts": _COUNTS})


@check("integrity.structure", "detailed_structure.json says what the tables say.")
def structure(dataset: CheckedDataset) -> Outcome:
    """Shape, sparsity, columns, keys, and the count of every category."""
    manifest, obs = dataset.manifest, dataset.obs
    document = dataset.atlas.store.json(layout.STRUCTURE)
    try:
        _STRUCTURE(document)
    except ShapeError as error:
        return Outcome([Finding(str(error), layout.STRUCTURE, "build the dataset again")])
    own = [record["name"] for record in manifest.obs["columns"][1:]]
    expected: dict[str, Any] = {
        "shape": [manifest.n_cells, manifest.n_genes],
        "nonzeros": manifest.nnz,
        "sparsity": 100 * manifest.sparsity,
        "obs_columns": [str(name) for name in own],
        "var_columns": [str(record["name"]) for record in manifest.var["columns"][1:]],
    }
    found = []
    for key, wanted in expected.items():
        if document.get(key) != wanted:
            said = f"{key} is {_short(document.get(key))}, the tables give {_short(wanted)}"
            found.append(Finding(said, f"{layout.STRUCTURE}, {key}", "build the dataset again"))
    given = [key for key, entry in manifest.obsm.items() if "computed" not in entry]
    missing = [key for key in given if key not in document.get("obsm_keys", [])]
    found += [Finding(f"obsm_keys lacks {key!r}", f"{layout.STRUCTURE}, obsm_keys") for key in missing]
    n_columns = 0
    for part in ("annotation_mapping", "category_counts"):
        for name, counts in document.get(part, {}).items():
            n_columns += 1
            found += _category_differences(obs, own, part, name, counts)
    return Outcome(found, f"{n_columns:,} columns of labels, {len(expected):,} facts")


def _category_differences(
    obs: CellColumns, own: list[Any], part: str, name: str, counts: dict[str, int]
) -> Iterator[Finding]:
    where = f"{layout.STRUCTURE}, {part}, {name}"
    columns = [c for c in own if str(c) == name]
    if not columns:
        yield Finding(f"obs has no column {name!r}", where)
        return
    actual = obs[columns[0]].value_counts()
    actual = {str(k): int(n) for k, n in actual.items() if n}
    for label in {**counts, **actual}:
        if counts.get(label) != actual.get(label):
            said = f"{label!r} has {counts.get(label, 0)} cells there and {actual.get(label, 0)} in obs"
            yield Finding(said, where, "build the dataset again")
            return


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


@check("integrity.uns", "The unstructured metadata can be read back.")
def unstructured(dataset: CheckedDataset) -> Outcome:
    """JSON, and the record that restores its types."""
    name = dataset.layout.unstructured_metadata
    try:
        document = dataset.atlas.uns
        keys = list(document)
    except TitinError as error:
        return Outcome([Finding(str(error.args[0]), name, error.hint)])
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        return Outcome([Finding(f"its record of types does not fit it: {error}", name, "build the dataset again")])
    return Outcome(read=f"{len(keys):,} keys")


@check("integrity.card", "The card's sizes, files and configs are those of the dataset.")
def card(dataset: CheckedDataset) -> Outcome:
    """Rows and bytes of every table of files, sizes in the text, and the files of every config in the front matter."""
    try:
        content = read_text(dataset.folder / layout.CARD, MOST_CARD)
    except (OSError, ValueError) as error:
        return Outcome([Finding(f"it cannot be read: {error}", layout.CARD, _WRITE_AGAIN)])
    lines, front = content.splitlines(), _front_matter(content)
    found = [*_wrong_sizes(dataset, lines), *_wrong_rows(dataset, lines), *_wrong_configs(dataset, front)]
    return Outcome(found, f"{len(lines):,} lines")


def _front_matter(text: str) -> str:
    parts = re.split(r"^---\s*$", text, maxsplit=2, flags=re.M)
    return parts[1] if len(parts) == 3 and not parts[0].strip() else ""


def _wrong_sizes(dataset: CheckedDataset, lines: list[str]) -> Iterator[Finding]:
    manifest = dataset.manifest
    actual = (manifest.n_cells, manifest.n_genes, manifest.nnz)
    for number, line in enumerate(lines, 1):
        for match in _SIZE.finditer(line):
            said = tuple(int(n.replace(",", "")) for n in match.groups() if n)
            if said != actual[: len(said)]:
                right = " × ".join(f"{n:,}" for n in actual[: len(said)])
                yield Finding(
                    f"it says {match[0]!r}, the files hold {right}", f"{layout.CARD}, line {number}", _WRITE_AGAIN
                )


def _wrong_rows(dataset: CheckedDataset, lines: list[str]) -> Iterator[Finding]:
    """Tables whose first column is ``file``: their columns ``rows`` and ``bytes``."""
    header: list[str] = []
    for number, line in enumerate(lines, 1):
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            header = []
        elif not header:
            header = [cell.lower() for cell in cells]
        elif header[0] == "file" and cells[0] in dataset.manifest.files:
            entry = dataset.manifest.files[cells[0]]
            for name, cell in zip(header, cells, strict=False):
                digits = cell.replace(",", "")
                if (
                    name in ("rows", "bytes")
                    and digits.isdecimal()
                    and len(digits) < len(_MOST)
                    and int(digits) != entry.get(name)
                ):
                    said = f"it gives {cells[0]} {cell} {name}, {layout.MANIFEST} {entry.get(name, 0):,}"
                    yield Finding(said, f"{layout.CARD}, line {number}", _WRITE_AGAIN)
        elif header[0] == "file" and cells[0].endswith((".parquet", ".json")):
            yield Finding(
                f"it lists {cells[0]}, which the dataset has not", f"{layout.CARD}, line {number}", _WRITE_AGAIN
            )


def _wrong_configs(dataset: CheckedDataset, front: str) -> Iterator[Finding]:
    """Data files of every config exist, and every table of cells or genes is in one."""
    tables = {name: e.get("rows", 0) for name, e in dataset.manifest.files.items() if name.endswith(".parquet")}
    used: set[str] = set()
    for block in re.split(r"^\s*- config_name:", front, flags=re.M)[1:]:
        config = block.split("\n", 1)[0].strip().strip("'\"")
        patterns = re.findall(r"(?<![\w.*?\[\]/-])[\w.*?\[\]/-]+\.parquet", block)
        files = [name for name in tables if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
        used.update(files)
        where = f"{layout.CARD}, config {config}"
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(name, pattern) for name in tables):
                yield Finding(f"it names {pattern}, which the dataset has not", where, _WRITE_AGAIN)
        said = [int(n) for n in re.findall(r"num_examples:\s*(\d{1,20})\b", block)]
        if files and said and sum(said) != sum(tables[name] for name in files):
            rows = sum(tables[name] for name in files)
            yield Finding(f"it says {sum(said):,} examples, the files have {rows:,} rows", where, _WRITE_AGAIN)
    beside = {entry["file"] for entry in dataset.manifest.varm.values()}  # what belongs to a projection may go without
    empty = {name for name, rows in tables.items() if not rows}  # which `datasets` does not load
    for name in sorted(set(tables) - used - beside - empty):
        yield Finding(f"no config of the card has {name}", f"{layout.CARD}, configs", _WRITE_AGAIN)


_AGAIN = "compute it again: titin age de --save-pseudobulk"


@check("derived.pseudobulk", "The pseudobulk's sums are those of the cells that it is made of.", level="full")
def pseudobulk(dataset: CheckedDataset) -> Outcome:
    """Tokens, counts and detection of every group; their sums by gene against ``feature_metadata``."""
    name, manifest, store = dataset.layout.pseudobulk, dataset.manifest, dataset.atlas.store
    if not any(file.startswith(name.removesuffix(".parquet")) for file in manifest.files):
        return Outcome(skipped="the dataset has no pseudobulk")
    table = store.table(name)
    indptr, tokens = list_arrays(table.column(layout.GENES))
    found = list(_lengths(table, indptr, name))
    if found:
        return Outcome(found)
    if len(tokens) and int(tokens.max()) >= manifest.n_genes:
        return Outcome([Finding(f"it names gene {int(tokens.max()):,} of {manifest.n_genes:,}", name, _AGAIN)])
    n_cells = int(table.column(layout.N_CELLS).to_numpy().sum())
    if n_cells > manifest.n_cells:
        said = f"its groups hold {n_cells:,} cells, the dataset {manifest.n_cells:,}"
        found.append(Finding(said, f"{name}, column {layout.N_CELLS}", _AGAIN))
    genes = store.table(dataset.layout.feature_metadata)
    names = genes.column(layout.GENE).to_pylist()
    for own, total in ((layout.COUNTS, layout.N_COUNTS), (layout.CELLS, layout.N_CELLS)):
        values = list_arrays(table.column(own))[1]
        sums = np.zeros(manifest.n_genes)
        np.add.at(sums, tokens, values)
        wrong = _wrong(sums, genes.column(total).to_numpy(), whole=n_cells == manifest.n_cells)
        if len(wrong):
            at = int(wrong[0])
            known = int(genes.column(total)[at].as_py())
            said = (f"{len(wrong):,} of {manifest.n_genes:,} genes have other sums of {own} than {total} says; the "
                    f"first is {names[at]}: {int(sums[at]):,}, not {known:,}")  # fmt: skip
            found.append(Finding(said, f"{name}, column {own}, gene {names[at]}", _AGAIN))
    return Outcome(found, f"{table.num_rows:,} groups of {n_cells:,} cells, {len(tokens):,} sums")


def _lengths(table: pa.Table, indptr: NDArray[np.int64], name: str) -> list[Finding]:
    """Lists of one group are of one length, and its tokens ascend."""
    for column in (layout.COUNTS, layout.CELLS):
        differ = np.flatnonzero(list_arrays(table.column(column))[0] != indptr)
        if len(differ):
            where = f"{name}, column {column}, row {int(differ[0]) - 1:,}"
            return [Finding(f"a list of {column} is not as long as that of {layout.GENES}", where, _AGAIN)]
    tokens = list_arrays(table.column(layout.GENES))[1].astype(np.int64)
    steps = np.diff(tokens)
    inside = np.ones(len(steps), bool)
    edges = indptr[1:-1]
    inside[edges[(edges > 0) & (edges < len(tokens))] - 1] = False
    bad = np.flatnonzero((steps <= 0) & inside)
    if not len(bad):
        return []
    row = int(np.searchsorted(indptr, bad[0], side="right")) - 1
    return [Finding("its tokens do not ascend", f"{name}, column {layout.GENES}, row {row:,}", _AGAIN)]


def _wrong(sums: NDArray[np.float64], totals: NDArray[np.int64], *, whole: bool) -> NDArray[np.int64]:
    """Genes whose sum is not the total; where groups leave cells out, those whose sum is more."""
    return np.flatnonzero(sums != totals) if whole else np.flatnonzero(sums > totals)


@check("derived.gene_set_scores", "Every gene-set score is a number.", level="full")
def gene_set_scores(dataset: CheckedDataset) -> Outcome:
    """Every score of every cell."""
    name = dataset.layout.gene_set_scores
    if name not in dataset.manifest.files:
        return Outcome(skipped="the dataset has no gene-set scores")
    table = dataset.atlas.store.table(name)
    found = []
    for column in table.column_names[1:]:
        bad = np.flatnonzero(~np.isfinite(table.column(column).to_numpy()))
        if len(bad):
            where = f"{name}, column {column}, row {bad[0]:,}"
            found.append(Finding(f"{len(bad):,} scores are not finite", where, "compute the scores again"))
    return Outcome(found, f"{table.num_columns - 1:,} sets of {table.num_rows:,} cells")
