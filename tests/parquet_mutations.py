"""Parquet that says something else than the format allows, in datasets whose manifest agrees with it; and who reads it.

Run as a script it reads changed datasets one after another and prints what came of each, so that a crash of the process
is seen by whoever started it.
"""

import hashlib
import json
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numba.core.dispatcher import Dispatcher
from scipy import sparse

import titin
from titin.builder import options
from titin.cli import main
from titin.dataset import layout
from titin.errors import TitinError
from titin.jit import Kernel
from titin.load.tokens import tokens
from titin.publish.upload import public_copy

N_CELLS, N_GENES = 70, 30
SEED = 20
Change = Callable[[pa.Table], pa.Table]


def make(folder: Path, kind: str) -> Path:
    """A small dataset of a kind, with donors, ages, types and a projection."""
    rng = np.random.default_rng(3)
    X = rng.poisson(rng.uniform(0.2, 40, N_GENES), (N_CELLS, N_GENES)).astype(np.float32)
    X[:, 0] += 1  # no cell is empty
    if kind == "log1p":
        X = np.log1p(X / X.sum(axis=1, keepdims=True) * 1e4)
    if kind == "real":
        X *= rng.uniform(0.5, 2, X.shape).astype(np.float32)
    donor = np.arange(N_CELLS) % 8
    obs = pd.DataFrame(
        {"donor": pd.Categorical([f"D{d}" for d in donor]), "age": 20 + 7 * donor, "note": [f"n{d}" for d in donor],
         "sex": pd.Categorical(np.where(donor % 2, "F", "M")), "score": rng.normal(size=N_CELLS),
         "cell_type": pd.Categorical(rng.choice(["A", "B"], N_CELLS))},
        index=[f"cell{i}" for i in range(N_CELLS)],
    )  # fmt: skip
    atlas = ad.AnnData(sparse.csr_matrix(X), obs, pd.DataFrame(index=[f"G{i}" for i in range(N_GENES)]))
    atlas.obsm["X_umap"] = rng.normal(size=(N_CELLS, 2)).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    atlas.write_h5ad(folder / "atlas.h5ad")
    return titin.build(folder / "atlas.h5ad", folder / "dataset").path


def file_of(dataset: Path, part: str) -> Path:
    (path,) = [path for path in dataset.glob("*.parquet") if path.name.endswith(f"_{part}.parquet")]
    return path


def apply(dataset: Path, part: str, change: Change, writer: str) -> None:
    """Change a table; the manifest is told its size, checksum and rows."""
    path = file_of(dataset, part)
    table = change(pq.read_table(path))
    try:
        own = WRITERS[writer]
        own = layout.parquet_options(table.schema) if own is None else own
        pq.write_table(table, path, row_group_size=32, **own)
    except (KeyError, OSError):  # the format's own encodings are not for such columns
        pq.write_table(table, path, row_group_size=32)
    document = json.loads((dataset / layout.MANIFEST).read_text("utf-8"))
    entry = {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    document["files"][path.name] = {**entry, "rows": table.num_rows}
    (dataset / layout.MANIFEST).write_text(json.dumps(document), "utf-8")


def _swap(table: pa.Table, column: str, values: Any) -> pa.Table:
    i = table.schema.get_field_index(column)
    array = values if isinstance(values, pa.Array) else pa.array(values, table.schema.field(i).type)
    return table.set_column(i, pa.field(column, array.type), array)


def _lists(column: str, change: Callable[[list[list[Any]]], Any]) -> Change:
    def of(table: pa.Table) -> pa.Table:
        lists = table.column(column).to_pylist()
        changed = change(lists)
        return _swap(table, column, lists if changed is None else changed)

    return of


def _as(column: str, kind: pa.DataType) -> Change:
    """The same lists as another type."""
    return lambda table: _swap(table, column, pa.array(table.column(column).to_pylist(), kind))


def _set(at: int, to: Any) -> Callable[[list[list[Any]]], None]:
    def change(lists: list[list[Any]]) -> None:
        lists[7][at] = to

    return change


def _numbers(column: str, change: Callable[[np.ndarray], Any]) -> Change:
    return lambda table: _swap(table, column, change(table.column(column).to_numpy().copy()))


def _put(at: int, to: Any) -> Callable[[np.ndarray], np.ndarray]:
    def change(numbers: np.ndarray) -> np.ndarray:
        numbers[at] = to
        return numbers

    return change


def list_changes(column: str, kind: pa.DataType, rng: np.random.Generator) -> Iterator[tuple[str, Change]]:
    """What may be wrong with a list column."""
    whole = pa.types.is_integer(kind)
    extremes = [0, 1, N_GENES - 1, N_GENES, N_CELLS, 40_000, 65_535] if whole else [0.0, -1.0, np.nan, np.inf, 1e30]
    if whole and kind.bit_width > 16:
        extremes += [2**31, 2**32 - 1]
    for to in extremes:
        yield f"first is {to}", _lists(column, _set(0, to))
        yield f"last is {to}", _lists(column, _set(-1, to))
    yield "repeated", _lists(column, lambda lists: [[x[0]] * len(x) for x in lists])
    yield "two alike", _lists(column, _set_alike)
    yield "backwards", _lists(column, lambda lists: [x[::-1] for x in lists])
    yield "rows backwards", _lists(column, lambda lists: lists[::-1])
    yield "one shorter", _lists(column, lambda lists: lists[9].pop() and None)
    yield "one longer", _lists(column, lambda lists: lists[9].append(lists[9][-1]))
    yield "one empty", _lists(column, lambda lists: lists[9].clear())
    yield "all empty", _lists(column, lambda lists: [[] for _ in lists])
    yield "all in one", _lists(column, lambda lists: [[v for x in lists for v in x], *([] for _ in lists[1:])])
    yield "shuffled", _lists(column, lambda lists: [list(rng.permutation(x)) for x in lists])
    yield "missing lists", lambda t: _swap(t, column, pa.array([None] * t.num_rows, pa.list_(kind)))
    yield "missing elements", lambda t: _swap(t, column, pa.array([[None, 1]] * t.num_rows, pa.list_(kind)))
    for other in (pa.int64(), pa.float64(), pa.string(), pa.uint32(), pa.uint16(), pa.int8()):
        if not other.equals(kind):
            yield f"of {other}", lambda t, other=other: _swap(
                t, column, pa.array([[str(v) if other == pa.string() else int(v) % 100 for v in x]
                                     for x in t.column(column).to_pylist()], pa.list_(other))
            )  # fmt: skip
    yield "negative", lambda t: _swap(t, column, pa.array([[-5, -4]] * t.num_rows, pa.list_(pa.int64())))
    yield "long lists", _as(column, pa.large_list(kind))
    yield "a number", lambda t: _swap(t, column, pa.array([1] * t.num_rows))


def _set_alike(lists: list[list[Any]]) -> None:
    lists[7][1] = lists[7][0]


def number_changes(column: str, kind: pa.DataType, rng: np.random.Generator) -> Iterator[tuple[str, Change]]:
    """What may be wrong with a column of numbers."""
    for to in (0, -1, 1, N_GENES, N_CELLS, 10**6, *([2**62, -(2**62)] if kind == pa.int64() else [])):
        yield f"first is {to}", _numbers(column, _put(0, to))
    yield "all 0", _numbers(column, np.zeros_like)
    yield "backwards", _numbers(column, lambda n: n[::-1])
    yield "shuffled", _numbers(column, rng.permutation)
    yield "shifted", _numbers(column, lambda n: n + np.array(1, n.dtype))
    yield "missing", lambda t: _swap(t, column, pa.array([None] * t.num_rows, kind))
    if pa.types.is_floating(kind):
        for to in (np.nan, np.inf, -np.inf, 1e-45):
            yield f"first is {to}", _numbers(column, _put(0, to))
    for other in (pa.string(), pa.int8(), pa.float64(), pa.bool_()):
        if not other.equals(kind):
            yield f"of {other}", lambda t, other=other: _swap(
                t, column, pa.array([None if v is None else str(v) if other == pa.string() else v % 2 for v in
                                     t.column(column).to_pylist()]).cast(other)
            )  # fmt: skip


def text_changes(column: str, _: pa.DataType, __: np.random.Generator) -> Iterator[tuple[str, Change]]:
    """What may be wrong with a column of names or labels."""
    for name, texts in (("empty", [""]), ("all alike", ["x"]), ("odd", ["\x00", "\n", "é" * 300])):
        yield name, lambda t, texts=texts: _swap(t, column, pa.array((texts * t.num_rows)[: t.num_rows], pa.string()))
    yield "missing", lambda t: _swap(t, column, pa.array([None] * t.num_rows, pa.string()))
    yield "backwards", lambda t: _swap(t, column, t.column(column).combine_chunks()[::-1])
    yield "numbers", lambda t: _swap(t, column, pa.array(range(t.num_rows)))
    yield "bytes", lambda t: _swap(t, column, pa.array([b"\xff\xfe"] * t.num_rows))


def table_changes(names: list[str]) -> Iterator[tuple[str, Change]]:
    """What may be wrong with a table as such."""
    yield "no rows", lambda t: t.slice(0, 0)
    yield "a row less", lambda t: t.slice(1)
    yield "a row more", lambda t: pa.concat_tables([t, t.slice(0, 1)])
    yield "rows backwards", lambda t: t.take(pa.array(np.arange(t.num_rows)[::-1]))
    yield "columns backwards", lambda t: t.select(t.column_names[::-1])
    yield "no columns but the first", lambda t: t.select(t.column_names[:1])
    for name in names:
        yield f"no {name}", lambda t, name=name: t.drop_columns([name])
        yield f"{name} twice", lambda t, name=name: t.append_column(t.schema.field(name), t.column(name))
        yield (
            f"{name} as NAME",
            lambda t, name=name: t.rename_columns([n.upper() if n == name else n for n in t.column_names]),
        )


PARTS = ("expression", "expression_by_gene", "expression_panel", "sample_metadata", "feature_metadata",
         "projection_X_umap")  # fmt: skip
WRITERS: dict[str, dict[str, Any] | None] = {
    "titin": None,
    "snappy": {"compression": "snappy"},
    "zstd, other encodings": {"compression": "zstd", "use_dictionary": False},
    "pages of version 2": {"data_page_version": "2.0"},
}


def mutations(dataset: Path, seed: int) -> list[tuple[str, str, Change, str]]:
    """Name, part of the dataset, change, and writer of every mutation."""
    rng = np.random.default_rng(seed)
    found = []
    for part in PARTS:
        schema = pq.read_schema(file_of(dataset, part))
        for field in list(schema)[:12]:  # of the panel's genes some are enough
            if pa.types.is_list(field.type):
                changes = list_changes(field.name, field.type.value_type, rng)
            elif pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
                changes = number_changes(field.name, field.type, rng)
            else:
                changes = text_changes(field.name, field.type, rng)
            found += [(f"{part}, {field.name}: {name}", part, change) for name, change in changes]
        found += [(f"{part}: {name}", part, change) for name, change in table_changes(schema.names[:12])]
    writers = list(WRITERS)
    return [(f"{n}, by {writers[w]}", part, change, writers[w])
            for (n, part, change), w in zip(found, rng.choice(len(writers), len(found), p=[0.7, 0.1, 0.1, 0.1]),
                                            strict=True)]  # fmt: skip


# what a reader that knows nothing but the documents of the format makes of the files


def plain_by_cell(dataset: Path, kind: str, *, counts: bool = False) -> np.ndarray:
    """Cells × genes in the order of the files, float64."""
    table = pq.read_table(file_of(dataset, "expression"))
    columns = pq.read_table(file_of(dataset, "feature_metadata")).column(layout.SOURCE_COLUMN).to_pylist()
    found = np.zeros((table.num_rows, len(columns)))
    stored = table.column(layout.VALUES if kind == "real" else layout.COUNTS).to_pylist()
    levels = table.column(layout.LEVELS).to_pylist() if kind == "log1p" and not counts else [None] * table.num_rows
    for c, (genes, own, exact) in enumerate(zip(table.column(layout.GENES).to_pylist(), stored, levels, strict=True)):
        values = own if exact is None else dict(zip(sorted(set(own)), exact, strict=True))
        for token, value in zip(genes, own if exact is None else [values[k] for k in own], strict=True):
            found[c, columns[token]] = value
    return found


def plain_by_gene(dataset: Path, kind: str) -> np.ndarray:
    """Cells × genes of the gene-major file: counts, or values of kind real."""
    table = pq.read_table(file_of(dataset, "expression_by_gene"))
    columns = pq.read_table(file_of(dataset, "feature_metadata")).column(layout.SOURCE_COLUMN).to_pylist()
    found = np.zeros((N_CELLS, len(columns)))
    stored = table.column(layout.VALUES if kind == "real" else layout.COUNTS).to_pylist()
    for token, cells, own in zip(
        table.column(layout.TOKEN).to_pylist(), table.column(layout.CELLS).to_pylist(), stored, strict=True
    ):
        found[cells, columns[token]] = own
    return found


def _names(dataset: Path) -> list[str]:
    return pq.read_table(file_of(dataset, "sample_metadata")).column(layout.CELL_ID).to_pylist()


def _exported(atlas: titin.Atlas) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = titin.export(atlas.folder, "h5ad", Path(folder) / "back.h5ad")
        back = ad.read_h5ad(path).X.toarray()
    rows = pq.read_table(file_of(atlas.folder, "expression")).column(layout.SOURCE_ROW).to_numpy()
    return back[rows]


def _loaded(atlas: titin.Atlas, **options: Any) -> np.ndarray:
    parts = [X for X, _ in titin.Loader(atlas, 16, shuffle=False, buffer_cells=40, **options)]
    return np.concatenate([X.toarray() if sparse.issparse(X) else X for X in parts])


def _all_genes(atlas: titin.Atlas, *, counts: bool) -> np.ndarray:
    return atlas.reader.by_gene.matrix(atlas.reader.genes.token, counts=counts).toarray()


def _cached(atlas: titin.Atlas) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        _loaded(atlas, cache=folder)
        return _loaded(atlas, cache=folder)


def _tensors(atlas: titin.Atlas) -> np.ndarray:
    from titin.load import TorchDataset

    loader = titin.Loader(atlas, 16, shuffle=False, values="lognorm")
    return np.concatenate([X.to_dense().numpy() for X, _ in TorchDataset(loader)])


# each gives cells × genes in the order of the files: the source's values, or (COUNTS) counts
VALUES: dict[str, Callable[[titin.Atlas], np.ndarray]] = {
    "X": lambda atlas: atlas.X[:].toarray(),
    "X of cells": lambda atlas: np.concatenate([atlas.X[[i]].toarray() for i in range(0, N_CELLS, 7)]),
    "iter_blocks": lambda atlas: np.concatenate([block.X.toarray() for block in atlas.iter_blocks()]),
    "expression": lambda atlas: atlas.expression.to_numpy(),
    "to_anndata": lambda atlas: atlas.to_anndata().X.toarray(),
    "export": _exported,
}
LOADED: dict[str, Callable[[titin.Atlas], np.ndarray]] = {
    "Loader": _loaded,
    "dense Loader": lambda atlas: _loaded(atlas, dense=True),
    "cached Loader": _cached,
}
COMMANDS = [
    "info DATASET", "validate DATASET --no-report", "card DATASET --force",
    "export DATASET --format mtx -o mtx --force", "export DATASET --format wide -o wide.parquet --force",
    "embed DATASET pca --force", "age de DATASET", "age composition DATASET", "publish DATASET me/x --dry-run",
    "report DATASET -o report.html --force",
]  # fmt: skip

REWRITERS = [
    "publish", "relabel DATASET --drop note -q", "roles DATASET --chemistry none -q",
    "subset DATASET --where score>0 -o part --force -q", "site DATASET -o site --force -q",
]  # fmt: skip


class WrongError(Exception):
    """A reader gave something else than the files say."""


def _plain(read: Callable[[], Any]) -> Any:
    """What a plain reader reads; None where it reads nothing."""
    try:
        return read()
    except (ArithmeticError, LookupError, TypeError, ValueError, pa.ArrowException):
        return None


def _compare(name: str, read: Callable[[], Any], right: Any) -> str:
    """A reader refuses, or gives what the plain reader gives."""
    try:
        found = read()
    except TitinError:
        return "refused"
    if right is None:
        raise WrongError(f"{name} gives what a plain reader cannot read")
    if not np.array_equal(np.asarray(found), right, equal_nan=np.asarray(right).dtype.kind == "f"):
        raise WrongError(f"{name} differs from a plain reader")
    return "read"


def look(dataset: Path, kind: str, *, commands: bool) -> dict[str, str]:
    """Have every reader, and the commands, read a dataset; what came of it by reader."""
    values = _plain(lambda: plain_by_cell(dataset, kind).astype(np.float32).astype(float))
    by_gene = _plain(lambda: plain_by_gene(dataset, kind))
    counts = None if kind == "real" else _plain(lambda: plain_by_cell(dataset, kind, counts=True))
    said = {}
    for name, read in VALUES.items():
        right = values[::7] if name == "X of cells" and values is not None else values
        said[name] = _compare(name, lambda read=read: read(titin.open(dataset)), right)
    if kind != "counts":  # else they give logarithms of counts
        for name, read in LOADED.items():
            said[name] = _compare(name, lambda read=read: read(titin.open(dataset)), values)
    if kind != "real":
        said["counts"] = _compare("counts", lambda: titin.open(dataset).counts[:].toarray(), counts)
    said["genes"] = _compare("genes", lambda: _all_genes(titin.open(dataset), counts=kind != "real"), by_gene)
    said["names"] = _compare("names", lambda: list(titin.open(dataset).obs_names), _plain(lambda: _names(dataset)))
    atlas = titin.open(dataset)
    for name, read in (
        ("gene values", lambda: [atlas[f"G{i}"] for i in range(N_GENES)]), ("obs", lambda: atlas.obs),
        ("var", lambda: atlas.var), ("obsm", lambda: [atlas.obsm[key] for key in atlas.obsm]),
        ("tokens", lambda: list(tokens(atlas))), ("var of X", lambda: atlas.expression.var()),
    ):  # fmt: skip
        try:
            read()
            said[name] = "read"
        except TitinError:
            said[name] = "refused"
    for line in COMMANDS if commands else ():
        said[line] = _command(line, dataset)
    return said


def _command(line: str, dataset: Path) -> str:
    try:
        main([str(dataset) if word == "DATASET" else word for word in line.split()])
    except SystemExit as done:
        if done.code not in (0, 1, 2, None):
            raise WrongError(f"{line} ends with {done.code}") from None
        return f"exit {done.code or 0}"
    return "exit 0"


def rewrite(dataset: Path, number: int, place: Path) -> dict[str, str]:
    """Have what writes a dataset anew take a changed one; what came of it, or WrongError with the command."""
    name, part, change, writer = mutations(dataset, SEED)[number]
    said = {}
    for command in REWRITERS:
        copy = Path(shutil.copytree(dataset, place / "dataset"))
        try:
            apply(copy, part, change, writer)
        except (ArithmeticError, LookupError, TypeError, ValueError, pa.ArrowException):
            shutil.rmtree(copy)
            return {}
        try:
            said[command] = _public(copy) if command == "publish" else _command(command, copy)
        except Exception as error:
            raise WrongError(f"{name}: {command}") from error
        shutil.rmtree(copy)
    return said


def _public(dataset: Path) -> str:
    try:
        with public_copy(dataset, "me/x", "mit", exact_ages=False):
            return "exit 0"
    except TitinError:
        return "exit 2"


def run(dataset: Path, kind: str, numbers: list[int], seed: int, *, commands: bool) -> None:
    """Say before and after each of some mutations, on a line of standard error each, what came of it."""
    warnings.simplefilter("ignore")
    options.DEFAULT_PROJECTIONS = ()
    known = mutations(dataset, seed)
    with tempfile.TemporaryDirectory() as home:
        for number in numbers:
            name, part, change, writer = known[number]
            _say(begun=name)
            _spoil_memory()
            copy = Path(shutil.copytree(dataset, Path(home) / "dataset"))
            try:
                apply(copy, part, change, writer)
            except (ArithmeticError, LookupError, TypeError, ValueError, pa.ArrowException) as error:
                _say(impossible=str(error))
            else:
                try:
                    _say(came=look(copy, kind, commands=commands))
                except Exception:
                    _say(wrong=traceback.format_exc())
            shutil.rmtree(copy)


def _say(**what: Any) -> None:
    sys.__stderr__.write(f"MUTATION {json.dumps(what)}\n")
    sys.__stderr__.flush()


class _Dirty:
    """numpy, but an array in which nobody has filled something shows it: memory that was just got is often zero."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any = float, *args: Any, **kwargs: Any) -> Any:
        array = np.empty(shape, dtype, *args, **kwargs)
        if array.dtype.kind in "iuf":
            array.fill(90)
        return array


def _spoil_memory() -> None:
    """Give it to every module of the package but those of kernels, which numba compiles with numpy itself."""
    for name, module in list(sys.modules.items()):
        if name.startswith("titin.") and getattr(module, "np", None) is np and not _has_kernels(module):
            module.np = _Dirty()


def _has_kernels(module: Any) -> bool:
    return any(isinstance(f, Dispatcher | Kernel) and f.__module__ == module.__name__ for f in vars(module).values())


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]), commands=sys.argv[5] == "commands")
