"""Files against the manifest, and the manifest against itself; no value of the matrix is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from titin.check._schemas import difference, expected_schemas, metadata_problem
from titin.check.context import Context
from titin.check.registry import Finding, Outcome, check
from titin.dataset import layout
from titin.dataset.arrow import sha256
from titin.dataset.codec import KINDS
from titin.parallel import ordered_map

_RESTORE = "restore the file from where it was published, or build the dataset again"
_UNREADABLE = (OSError, ValueError, pa.ArrowException)


def expected_files(context: Context) -> list[str]:
    """Plain names of what every dataset of this manifest has; those with one row a cell first."""
    names = context.layout
    return [*cell_tables(context), *gene_tables(context), names.unstructured_metadata, layout.STRUCTURE, layout.CARD]


def cell_tables(context: Context) -> list[str]:
    """Plain names of the files with one row a cell, ``expression`` first."""
    names = context.layout
    projections = [entry["file"] for entry in context.manifest.obsm.values()]
    scores = [names.gene_set_scores] if names.gene_set_scores in context.manifest.files else []
    return [names.expression, names.expression_panel, names.sample_metadata, *projections, *scores]


def gene_tables(context: Context) -> list[str]:
    """Plain names of the files with one row a gene, ``feature_metadata`` first."""
    names = context.layout
    loadings = [entry["file"] for entry in context.manifest.varm.values()]
    return [names.feature_metadata, names.expression_by_gene, *loadings]


def plain_name(context: Context, file: str) -> str:
    """Name of the whole that a Parquet file is a shard of."""
    for whole in (*cell_tables(context), *gene_tables(context), context.layout.pseudobulk):
        stem = whole.removesuffix(".parquet")
        if file == whole or (file.startswith(f"{stem}-") and file[len(stem) + 1 :][:5].isdecimal()):
            return whole
    return file


@check("integrity.manifest", "titin.json does not contradict itself.")
def manifest(context: Context) -> Outcome:
    """Sizes, kind, names and roles."""
    own, where = context.manifest, layout.MANIFEST
    found = []
    if own.kind not in KINDS:
        found.append(Finding(f"kind is {own.kind!r}, which is none of {', '.join(KINDS)}", where))
    for name in ("n_cells", "n_genes", "nnz"):
        value = getattr(own, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < (name != "nnz"):
            found.append(Finding(f"{name} is {value!r}, not a number of cells, genes or values", where))
    if not found and own.nnz > own.n_cells * own.n_genes:
        size = f"{own.n_cells:,} cells × {own.n_genes:,} genes"
        found.append(Finding(f"nnz is {own.nnz:,}, more than {size} have", where))
    if own.prefix != f"{own.tissue}_{own.method}":
        found.append(Finding(f"prefix is {own.prefix!r}, not {own.tissue}_{own.method}", where))
    found += [Finding(text, where) for text in _role_problems(context)]
    found += [Finding(f"the dataset has no {name}, which every dataset has", where, _RESTORE)
              for name in expected_files(context) if not _has(context, name)]  # fmt: skip
    found += [
        Finding(f"{key!r} has no {what}", f"{where}, obsm or varm")
        for key, what in _obsm_problems({**own.obsm, **own.varm})
    ]
    return Outcome(found, f"{len(own.files):,} files, {own.n_cells:,} cells, {own.n_genes:,} genes, {own.nnz:,} values")


def _has(context: Context, name: str) -> bool:
    return any(plain_name(context, file) == name for file in context.manifest.files)


def _role_problems(context: Context) -> Iterator[str]:
    for role, column in context.roles.items():
        reason = context.missing(role) if column else None
        if reason:
            yield reason
    labels = context.manifest.obs.get("labels", [])
    known = {record["column"] for record in context.manifest.obs["columns"]} | {layout.AGE_NUMERIC, layout.AGE_YEARS}
    for name in labels:
        if name not in known:
            yield f"the label {name!r} is no column of {context.layout.sample_metadata}"


def _obsm_problems(obsm: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, entry in obsm.items():
        for part in ("file", "columns"):
            if not entry.get(part):
                yield key, part


@check("integrity.files", "Every file of titin.json is there, and no other data.")
def files(context: Context) -> Outcome:
    """Missing and extra files; hidden files and folders are passed over."""
    listed = set(context.manifest.files)
    gone = [name for name in sorted(listed) if not (context.folder / name).is_file()]
    found = [Finding("the file is missing", name, _RESTORE) for name in gone]
    found += [Finding(text, name, _RESTORE) for name, text in _missing_shards(context)]
    present = {
        path.relative_to(context.folder).as_posix()
        for path in context.folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(context.folder).parts)
    }
    for name in sorted(present - listed - {layout.MANIFEST}):
        data = name.endswith(".parquet")
        hint = "remove it: readers that take all files of a folder would take it too" if data else "remove or move it"
        found.append(Finding(f"the file is not in {layout.MANIFEST}", name, hint, None if data else "warning"))
    return Outcome(found, f"{len(listed):,} files listed, {len(present):,} found")


def _missing_shards(context: Context) -> Iterator[tuple[str, str]]:
    """Shards that the names of the others say there are."""
    for name in expected_files(context):
        shards = [f for f in context.manifest.files if f != name and plain_name(context, f) == name]
        if not shards:
            continue
        total = int(shards[0].removesuffix(".parquet")[-5:])
        for i in range(total):
            if layout.shard(name, i, total) not in shards:
                yield layout.shard(name, i, total), f"shard {i + 1} of {total} is not in {layout.MANIFEST}"


@check("integrity.checksums", "Every file has the bytes that titin.json says.")
def checksums(context: Context) -> Outcome:
    """Size and sha256 of every file; at both levels, as nothing else proves the bytes."""
    entries = {name: e for name, e in context.manifest.files.items() if (context.folder / name).is_file()}
    found = []
    total = 0

    def digest(name: str) -> tuple[str, int, str]:
        path = context.folder / name
        return name, path.stat().st_size, sha256(path)

    for name, size, sum_ in ordered_map(digest, entries, context.threads):
        total += size
        if size != entries[name].get("bytes"):
            expected = entries[name].get("bytes")
            said = (
                f"it has {size:,} bytes, {layout.MANIFEST} says {expected:,}" if expected else "its size is not listed"
            )
            found.append(Finding(said, name, _RESTORE))
        elif sum_ != entries[name].get("sha256"):
            place = _damaged_place(context.folder / name)
            listed = str(entries[name].get("sha256"))
            said = f"its sha256 is {sum_[:16]}…, {layout.MANIFEST} says {listed[:16]}…"
            found.append(Finding(said, f"{name}{place}", _RESTORE))
    return Outcome(found, f"{len(entries):,} files, {total:,} bytes", {"bytes": total})


def _damaged_place(path: Path) -> str:
    """The first row group and column of a Parquet file that cannot be read, its pages' checksums being verified."""
    if path.suffix != ".parquet":
        return ""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            for group in range(file.num_row_groups):
                try:
                    file.read_row_group(group)
                except _UNREADABLE:
                    return f", row group {group}, column {_damaged_column(file, group, names)}"
    except _UNREADABLE:
        return ", footer"
    return ""


def _damaged_column(file: pq.ParquetFile, group: int, names: list[str]) -> str:
    for name in names:
        try:
            file.read_row_group(group, [name])
        except _UNREADABLE:
            return name
    return "?"


@check("integrity.rows", "Every Parquet file has the rows that titin.json says, and the matrix's cells or genes.")
def rows(context: Context) -> Outcome:
    """Rows in the footers, each file and all shards together."""
    found = []
    totals: dict[str, int] = {}
    for name, footer, problem in _footers(context):
        if footer is None:
            found.append(Finding(f"its footer cannot be read: {problem}", name, _RESTORE))
            continue
        listed = context.manifest.files[name].get("rows")
        if footer.num_rows != listed:
            found.append(Finding(f"it has {footer.num_rows:,} rows, {layout.MANIFEST} says {listed:,}", name, _RESTORE))
        whole = plain_name(context, name)
        totals[whole] = totals.get(whole, 0) + footer.num_rows
    genes = gene_tables(context)
    for whole, n in totals.items():
        if whole == context.layout.pseudobulk:  # a row a group, as many as there are
            continue
        wanted, unit = (context.manifest.n_genes, "genes") if whole in genes else (context.manifest.n_cells, "cells")
        if n != wanted:
            found.append(Finding(f"it has {n:,} rows for {wanted:,} {unit}", whole, _RESTORE))
    return Outcome(found, f"{len(totals):,} tables, {sum(totals.values()):,} rows")


def _footers(context: Context) -> Iterator[tuple[str, Any, str]]:
    for name in sorted(context.manifest.files):
        path = context.folder / name
        if path.suffix == ".parquet" and path.is_file():
            try:
                yield name, pq.read_metadata(path), ""
            except _UNREADABLE as error:
                yield name, None, str(error)


@check("integrity.schema", "Every Parquet file has the format's columns, in their order and of their types.")
def schema(context: Context) -> Outcome:
    """Names, order, types, what may be missing, format version, and pandas' index."""
    schemas = {name: footer.schema.to_arrow_schema() for name, footer, _ in _footers(context) if footer is not None}
    wholes: dict[str, pa.Schema] = {}
    for name, own in schemas.items():
        wholes.setdefault(plain_name(context, name), own)
    expected = expected_schemas(context.manifest, wholes)
    genes = dict.fromkeys(gene_tables(context), context.manifest.var["columns"][0]["column"])
    genes[context.layout.expression_by_gene] = layout.GENE
    found = []
    for name, own in schemas.items():
        whole = plain_name(context, name)
        if whole not in expected:
            found.append(Finding("it is no file of the format", name))
            continue
        index = None if whole == context.layout.pseudobulk else genes.get(whole, layout.CELL_ID)
        problem = difference(expected[whole], own) or metadata_problem(own, index)
        if problem:
            found.append(Finding(problem, name, _RESTORE))
    columns = sum(len(own) for own in schemas.values())
    return Outcome(found, f"{len(schemas):,} files, {columns:,} columns")
