"""Size, write time and decode time of the ways in which a dataset's Parquet files could be encoded.

The evidence for the choices of `titin.dataset.layout`. The first cells of a twin are built with titin itself; its
columns are then written again with pyarrow in every variant, and read back to NumPy by one thread (the panel: by
pandas, as users do). Times are medians over rounds, each round going through all variants of a table, so that a
busy moment of the machine does not fall on one variant. The current choice is marked with ``*``.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from _measure import TWIN_SCRIPT, describe, finish, load_average, machine, note, table, title, twin_or_make
from _twins import head
from titin.builder import build
from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.manifest import Manifest

DELTA, SPLIT, PLAIN, DICTIONARY = "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT", "PLAIN", "dictionary"
DELTA_TEXT, DELTA_LENGTH = "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"
UNSET_LEVEL = 1  # what pyarrow takes where zstd is given no level
LEVELS = (1, 3, 6)
RANDOM_GENES = 300


@dataclass
class Variant:
    """One way to write a table.

    Attributes
    ----------
    name
        Cells of its row in the result.
    options
        Of ``pyarrow.parquet.ParquetWriter``.
    groups
        Rows of each row group: start, stop.
    read
        Measured operations on the written file, each with the seconds it returns.
    columns
        Columns whose size counts; the whole file where empty.
    current
        Whether the format has it so.
    """

    name: tuple[str, ...]
    options: dict[str, Any]
    groups: list[tuple[int, int]]
    read: dict[str, Callable[[Path], float]]
    columns: tuple[str, ...] = ()
    current: bool = False
    n_bytes: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A question, its variants, and the headers of their names."""

    question: str
    header: tuple[str, ...]
    table: pa.Table
    variants: list[Variant]


@dataclass(frozen=True)
class Sample:
    """Tables of a built dataset and its number of non-zeros."""

    expression: pa.Table
    by_gene: pa.Table
    panel: pa.Table
    nnz: int


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--twin", type=Path, help="take this .h5ad instead of making a twin")
    add("--twin-script", type=Path, default=TWIN_SCRIPT, help="script that makes a twin (default: %(default)s)")
    add("--preset", default="muscle", help="preset of the build; '' for none (default: %(default)s)")
    add("--cells", type=int, default=20_000, help="first cells of the twin to take (default: %(default)s)")
    add("--rounds", type=int, default=3, help="measurements to take the median of (default: %(default)s)")
    add("--only", nargs="+", choices=sorted(STUDIES), metavar="NAME", help=f"some of {', '.join(sorted(STUDIES))}")
    add("--markdown", action="store_true", help="print the tables as Markdown")
    add("--json", type=Path, metavar="FILE", help="write everything measured to FILE ('-': stdout, and no tables)")
    return parser.parse_args(arguments)


def benchmark(options: argparse.Namespace) -> int:
    before = load_average()
    with tempfile.TemporaryDirectory(prefix="titin-benchmark-") as folder:
        sample = take_sample(options, Path(folder))
        found = {}
        for name in options.only or STUDIES:
            note(name)
            studies = STUDIES[name](sample)
            found[name] = [measure(study, Path(folder), sample.nnz, options.rounds) for study in studies]
    document = {
        "schema_version": 1,
        "machine": machine(),
        "load_average": {"before": before, "after": load_average()},
        "sample": {"cells": len(sample.expression), "genes": len(sample.by_gene), "nnz": sample.nnz},
        "rounds": options.rounds,
        "studies": found,
    }
    text = json.dumps(document, indent=2)
    if options.json is not None and str(options.json) != "-":
        options.json.write_text(text + "\n", "utf-8")
    print(text if str(options.json) == "-" else report(document, markdown=options.markdown))
    return 0


def take_sample(options: argparse.Namespace, folder: Path) -> Sample:
    """Build the first cells of the twin with titin and load its tables."""
    note("taking the twin")
    twin = twin_or_make(options.twin, options.twin_script, folder, options.cells)
    head(twin, folder / "head.h5ad", options.cells)
    note("building a dataset from its first cells")
    dataset = folder / "dataset"
    build(folder / "head.h5ad", dataset, preset=options.preset or None)
    manifest = Manifest.read(dataset)
    names = manifest.layout
    return Sample(
        _load(dataset, names.expression),
        _load(dataset, names.expression_by_gene),
        _load(dataset, names.expression_panel),
        manifest.nnz,
    )


def _load(dataset: Path, name: str) -> pa.Table:
    """A file of the dataset, or its shards, with every column as one chunk."""
    files = sorted(dataset.glob(f"{name.removesuffix('.parquet')}*-of-*.parquet")) or [dataset / name]
    whole = pa.concat_tables([pq.ParquetFile(file).read() for file in files])
    return whole.combine_chunks()


def measure(study: Study, folder: Path, nnz: int, rounds: int) -> dict[str, Any]:
    """Write and read every variant, round by round."""
    path = folder / "variant.parquet"
    for _ in range(rounds):
        for variant in study.variants:
            variant.seconds.setdefault("write", []).append(_write(study.table, variant, path))
            variant.n_bytes = _size(path, variant.columns)
            for name, read in variant.read.items():
                variant.seconds.setdefault(name, []).append(read(path))
    rows = [
        {
            "variant": dict(zip(study.header, variant.name, strict=True)),
            "current": variant.current,
            "bytes": variant.n_bytes,
            "bits_per_nonzero": round(8 * variant.n_bytes / max(1, nnz), 4),
            "seconds": {name: round(statistics.median(s), 5) for name, s in variant.seconds.items()},
        }
        for variant in study.variants
    ]
    return {"question": study.question, "rows": rows}


def _write(data: pa.Table, variant: Variant, path: Path) -> float:
    began = time.perf_counter()
    with pq.ParquetWriter(path, data.schema, **variant.options) as writer:
        for start, stop in variant.groups:
            writer.write_table(data.slice(start, stop - start), row_group_size=max(1, stop - start))
    return time.perf_counter() - began


def _size(path: Path, columns: tuple[str, ...]) -> int:
    """Bytes of the file, or of some columns in it."""
    if not columns:
        return path.stat().st_size
    metadata = pq.read_metadata(path)
    parts = [
        metadata.row_group(g).column(c) for g in range(metadata.num_row_groups) for c in range(metadata.num_columns)
    ]
    return sum(part.total_compressed_size for part in parts if part.path_in_schema.split(".list.")[0] in columns)


def cut(rows: int, step: int) -> list[tuple[int, int]]:
    """Row groups of ``step`` rows."""
    return [(a, min(a + step, rows)) for a in range(0, rows, step)]


def cut_by_nonzeros(n_cells: NDArray[np.int64], limit: int) -> list[tuple[int, int]]:
    """Row groups of as many genes as have ``limit`` non-zeros together, at least one."""
    ends, groups, first = np.cumsum(n_cells), [], 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + limit, side="right")))
        groups.append((first, last))
        first = last
    return groups


def _by_gene_groups(by_gene: pa.Table, limit: int = layout.ROW_GROUP_NONZEROS) -> list[tuple[int, int]]:
    return cut_by_nonzeros(by_gene.column(layout.N_CELLS).to_numpy(), limit)


# what is timed when reading


def decode(path: Path) -> float:
    """Seconds to have every column as NumPy arrays, one row group after another, in one thread."""
    began = time.perf_counter()
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            for column in file.read_row_group(group, use_threads=False).columns:
                _to_numpy(column)
    return time.perf_counter() - began


def _to_numpy(column: pa.ChunkedArray) -> None:
    if pa.types.is_list(column.type):
        list_arrays(column)
    else:
        column.to_numpy()


def random_group(path: Path) -> float:
    """Median seconds to have genes and counts of one row group, its file being open."""
    with pq.ParquetFile(path) as file:
        names = [name for name in (layout.GENES, layout.COUNTS, layout.VALUES) if name in file.schema_arrow.names]
        groups = np.random.default_rng(0).integers(file.num_row_groups, size=20).tolist()
        return statistics.median(list(_group_times(file, groups, names)))


def _group_times(file: pq.ParquetFile, groups: Sequence[int], names: list[str]) -> Iterator[float]:
    for group in groups:
        began = time.perf_counter()
        for column in file.read_row_group(group, names, use_threads=False).columns:
            list_arrays(column)
        yield time.perf_counter() - began


def open_file(path: Path) -> float:
    """Seconds to open the file, which parses its footer."""
    began = time.perf_counter()
    pq.ParquetFile(path).close()
    return time.perf_counter() - began


def random_genes(
    groups: list[tuple[int, int]], n_cells: NDArray[np.int64], percentile: float
) -> Callable[[Path], float]:
    """Seconds to have the row group of a random expressed gene, its file being open, at a percentile of genes."""
    expressed = np.flatnonzero(n_cells)
    genes = np.random.default_rng(0).choice(expressed, min(RANDOM_GENES, len(expressed)), replace=False)
    of_gene = np.searchsorted([stop for _, stop in groups], genes, side="right").tolist()

    def read(path: Path) -> float:
        with pq.ParquetFile(path) as file:
            names = [name for name in (layout.CELLS, layout.COUNTS, layout.VALUES) if name in file.schema_arrow.names]
            return float(np.percentile(list(_group_times(file, of_gene, names)), percentile))

    return read


def read_pandas(columns: list[str] | None) -> Callable[[Path], float]:
    """Seconds of ``pandas.read_parquet``."""

    def read(path: Path) -> float:
        began = time.perf_counter()
        pd.read_parquet(path, columns=columns)
        return time.perf_counter() - began

    return read


# the studies


def list_columns(sample: Sample) -> list[Study]:
    """Encoding and zstd level of each list column."""
    integers, floats = (DELTA, SPLIT, PLAIN, DICTIONARY), (SPLIT, PLAIN, DICTIONARY)
    by_cell = cut(len(sample.expression), layout.ROW_GROUP_CELLS)
    by_gene = _by_gene_groups(sample.by_gene)
    studies = []
    for file, data, groups in (("expression", sample.expression, by_cell), ("by gene", sample.by_gene, by_gene)):
        for name in (layout.GENES, layout.CELLS, layout.COUNTS, layout.VALUES, layout.LEVELS):
            if name in data.column_names:
                encodings = floats if pa.types.is_floating(data.schema.field(name).type.value_type) else integers
                question = f"{file}: list column {name}"
                studies.append(_column_study(question, data.select([name]), groups, encodings, LEVELS))
    return studies


def other_columns(sample: Sample) -> list[Study]:
    """Encoding of cell_id and of the numbers beside it."""
    groups = cut(len(sample.expression), layout.ROW_GROUP_CELLS)
    texts, numbers = (PLAIN, DICTIONARY, DELTA_TEXT, DELTA_LENGTH), (PLAIN, DICTIONARY, SPLIT)
    wanted = {layout.CELL_ID: texts, layout.SOURCE_ROW: (DELTA, *numbers), layout.SCALE: numbers}
    return [
        _column_study(f"expression: column {name}", sample.expression.select([name]), groups, encodings, (1, 3))
        for name, encodings in wanted.items()
        if name in sample.expression.column_names
    ]


def _column_study(
    question: str, data: pa.Table, groups: list[tuple[int, int]], encodings: Sequence[str], levels: Sequence[int]
) -> Study:
    """All encodings of a table's only column with all levels."""
    name = data.column_names[0]
    path = f"{name}.list.element" if pa.types.is_list(data.schema.field(name).type) else name
    options = layout.parquet_options(data.schema)
    current = (
        (options["column_encoding"] or {}).get(path, PLAIN),
        (options["compression_level"] or {}).get(path, UNSET_LEVEL),
    )
    variants = [
        Variant(
            (encoding, str(level)), encoded(options, [path], encoding, level), groups, {"decode": decode}, (name,),
            (encoding, level) == current,
        )
        for encoding in encodings
        for level in levels
    ]  # fmt: skip
    return Study(question, ("encoding", "zstd"), data, variants)


def encoded(options: dict[str, Any], paths: list[str], encoding: str, level: int) -> dict[str, Any]:
    """Writer options with another encoding and level for some columns."""
    encodings = {k: v for k, v in (options["column_encoding"] or {}).items() if k not in paths}
    levels = {**(options["compression_level"] or {}), **dict.fromkeys(paths, level)}
    dictionaries = list(options["use_dictionary"] or [])
    if encoding == DICTIONARY:
        dictionaries += paths
    else:
        encodings |= dict.fromkeys(paths, encoding)
    return {
        **options,
        "column_encoding": encodings or None,
        "compression_level": levels,
        "use_dictionary": dictionaries or False,
    }


def expression_row_groups(sample: Sample) -> list[Study]:
    """Cells of a row group of the whole expression file."""
    data = sample.expression
    options = layout.parquet_options(data.schema)
    variants = [
        Variant(
            (str(cells),), options, cut(len(data), cells), {"decode": decode, "one group": random_group},
            current=cells == layout.ROW_GROUP_CELLS,
        )
        for cells in (256, 512, 1024, 2048, 4096, 8192)
    ]  # fmt: skip
    return [Study("expression: cells of a row group (whole file)", ("cells",), data, variants)]


def gene_row_groups(sample: Sample) -> list[Study]:
    """Non-zeros of a row group, and size of a page, of the whole by-gene file."""
    data, n_cells = sample.by_gene, sample.by_gene.column(layout.N_CELLS).to_numpy()
    variants = []
    for limit, page in ((250_000, None), (2_000_000, None), (2_000_000, 32_768), (2_000_000, 8192), (4_000_000, 8192)):
        groups = cut_by_nonzeros(n_cells, limit)
        read: dict[str, Callable[[Path], float]] = {"decode": decode, "open": open_file}
        read |= {
            f"group {name}": random_genes(groups, n_cells, p) for name, p in (("p50", 50), ("p95", 95), ("max", 100))
        }
        current = (limit, page) == (layout.ROW_GROUP_NONZEROS, layout.GENE_PAGE_BYTES)
        names = f"{limit:,}", str(len(groups)), "pyarrow's" if page is None else f"{page:,}"
        variants.append(Variant(names, layout.parquet_options(data.schema, page), groups, read, current=current))
    question = "by gene: non-zeros of a row group and bytes of a page (whole file), and reading the row group of a gene"
    return [Study(question, ("non-zeros", "groups", "page"), data, variants)]


def panel(sample: Sample) -> list[Study]:
    """Encoding, level and row groups of the panel."""
    data = sample.panel
    genes = [f.name for f in data.schema if pa.types.is_float32(f.type)]
    options = layout.parquet_options(data.schema)
    current = (PLAIN, UNSET_LEVEL, layout.PANEL_ROW_GROUP_CELLS)
    some = [layout.CELL_ID, *genes[:: max(1, len(genes) // 3)][:3]]
    read = {"pandas, all": read_pandas(None), "pandas, 3 genes": read_pandas(some)}
    variants = [
        Variant(
            (encoding, str(level), f"{rows:,}"), encoded(options, genes, encoding, level), cut(len(data), rows), read,
            current=(encoding, level, rows) == current,
        )
        for encoding in (PLAIN, DICTIONARY, SPLIT)
        for level in LEVELS
        for rows in (4096, 16_384, 65_536)
    ]  # fmt: skip
    return [Study("panel (whole file)", ("encoding", "zstd", "rows of a group"), data, variants)]


def chunking(sample: Sample) -> list[Study]:
    """Content-defined chunking on and off."""
    studies = []
    for name, data, groups in (
        ("expression", sample.expression, cut(len(sample.expression), layout.ROW_GROUP_CELLS)),
        ("by gene", sample.by_gene, _by_gene_groups(sample.by_gene)),
        ("panel", sample.panel, cut(len(sample.panel), layout.PANEL_ROW_GROUP_CELLS)),
    ):
        options = layout.parquet_options(data.schema)
        choices = {"on": options["use_content_defined_chunking"], "off": False}
        variants = [
            Variant(
                (state,), {**options, "use_content_defined_chunking": choice}, groups, {"decode": decode},
                current=state == "on",
            )
            for state, choice in choices.items()
        ]  # fmt: skip
        studies.append(Study(f"{name}: content-defined chunking (whole file)", ("chunking",), data, variants))
    return studies


STUDIES: dict[str, Callable[[Sample], list[Study]]] = {
    "list-columns": list_columns,
    "other-columns": other_columns,
    "expression-row-groups": expression_row_groups,
    "gene-row-groups": gene_row_groups,
    "panel": panel,
    "chunking": chunking,
}


def report(document: dict[str, Any], *, markdown: bool = False) -> str:
    """Turn what was measured into tables."""
    sample = document["sample"]
    fact = (
        f"{sample['cells']:,} cells × {sample['genes']:,} genes, {sample['nnz']:,} non-zeros; "
        f"medians of {document['rounds']} rounds; * is the current choice"
    )
    parts = [describe(document, [fact], markdown=markdown)]
    for studies in document["studies"].values():
        for study in studies:
            parts += [title(study["question"], markdown=markdown), _study_table(study["rows"], markdown)]
    return "\n".join(parts)


def _study_table(rows: list[dict[str, Any]], markdown: bool) -> str:
    timed = rows[0]["seconds"]
    header = ["", *rows[0]["variant"], "bytes", "bits per non-zero", *(f"{name} ms" for name in timed)]
    lines = [
        ["*" if row["current"] else "", *row["variant"].values(), f"{row['bytes']:,}", f"{row['bits_per_nonzero']:.3f}",
         *(f"{1000 * s:.{1 if s > 0.01 else 2}f}" for s in row["seconds"].values())]
        for row in rows
    ]  # fmt: skip
    return table(header, lines, markdown=markdown)


if __name__ == "__main__":
    finish(lambda: benchmark(parse()))
