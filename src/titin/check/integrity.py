"""The schema that each Parquet file of a dataset must have, from its manifest."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.registry import check
from titin.cluster import spread
from titin.dataset import layout
from titin.dataset.checksums import sha256
from titin.dataset.layout import required
from titin.dataset.manifest import RAW_VARM, Manifest, group_of
from titin.dataset.opened_files import arrow_schema
from titin.dataset.tables import KINDS


def expected_schemas(manifest: Manifest, found: dict[str, pa.Schema]) -> dict[str, pa.Schema]:
    """Schema by plain file name.

    Parameters
    ----------
    found
        Schemas as they are, by plain name: whether obs came with ages, and whether counts need 16 or 32 bits, only
        the files say; they must then agree with each other.
    """
    names = manifest.layout
    cells = _cell_fields(manifest, found.get(names.sample_metadata))
    by_name = {field.name: field for field in cells}
    identity = by_name[layout.CELL_ID] if layout.CELL_ID in by_name else required(layout.CELL_ID, pa.string())
    labels = [by_name[name] for name in manifest.obs.get("labels", []) if name in by_name]
    beside = [identity, *(_as_dictionary(field) for field in labels)]
    schemas = {
        **_matrix_schemas(manifest, found, beside),
        names.expression_panel: pa.schema([*beside, *_panel_fields(found.get(names.expression_panel), beside)]),
        names.sample_metadata: pa.schema(cells),
    }
    for place in manifest.parts:
        schemas |= _matrix_schemas(manifest.part(place), found, [identity])
    for entry in (*manifest.obsm.values(), *manifest.varm.values()):
        own = found.get(entry["file"])
        schemas[entry["file"]] = pa.schema([_field(record, own) for record in entry["columns"]])
    for own in (manifest, *map(manifest.part, manifest.parts)):
        schemas |= {entry["file"]: _array_schema(own, place, found.get(entry["file"]))
                    for place, entry in own.arrays.items() if group_of(place) != RAW_VARM}  # fmt: skip
    return schemas | _derived(manifest, found)


def _array_schema(manifest: Manifest, place: str, found: pa.Schema | None) -> pa.Schema:
    """Of an array that is kept beside the matrix: a table of its columns, or lists of its values."""
    entry = manifest.arrays[place]
    if entry["form"] == "frame":
        return pa.schema([_field(record, found) for record in entry["columns"]])
    index = layout.CELL_ID if place.startswith("obs") else manifest.var["columns"][0]["column"]
    lists = {layout.COLUMNS: pa.uint32()} if entry["form"] == "sparse" else {}
    lists[layout.ENTRIES] = layout.element_type(entry["dtype"])
    return pa.schema([required(index, pa.string()),
                      *(required(name, layout.list_of(kind)) for name, kind in lists.items())])  # fmt: skip


def _matrix_schemas(manifest: Manifest, found: dict[str, pa.Schema], beside: list[pa.Field]) -> dict[str, pa.Schema]:
    """Of a matrix both ways round, and of its genes if they are its own."""
    names, data = manifest.layout, _data_field(manifest, found)
    schemas = {
        names.expression: pa.schema([*beside, *_matrix_fields(manifest, data)]),
        names.expression_by_gene: pa.schema(_gene_lists(data)),
    }
    if names.detection == names.feature_metadata:
        schemas[names.feature_metadata] = pa.schema(_gene_fields(manifest, found.get(names.feature_metadata)))
    return schemas


def _derived(manifest: Manifest, found: dict[str, pa.Schema]) -> dict[str, pa.Schema]:
    """Of tables computed from the dataset: which sets, and which labels make groups, only the files say."""
    names, schemas = manifest.layout, {}
    if own := found.get(names.gene_set_scores):
        sets = [required(name, pa.float32()) for name in own.names[1:]]
        schemas[names.gene_set_scores] = pa.schema([required(layout.CELL_ID, pa.string()), *sets])
    schemas[names.label_check] = pa.schema(list(layout.LABEL_CHECK.items()))
    if own := found.get(names.pseudobulk):
        tokens = layout.gene_type(manifest.n_genes)
        lists = {layout.GENES: tokens, layout.COUNTS: pa.uint32(), layout.CELLS: pa.uint32()}
        if layout.COUNTS in own.names and own.field(layout.COUNTS).type.equals(layout.list_of(pa.uint64())):
            lists[layout.COUNTS] = pa.uint64()  # of sums beyond 32 bits
        labels = [field for field in own if field.name not in (*lists, layout.N_CELLS)]
        schemas[names.pseudobulk] = pa.schema([
            *labels, pa.field(layout.N_CELLS, pa.int64()),
            *(required(name, layout.list_of(kind)) for name, kind in lists.items()),
        ])  # fmt: skip
    for own in manifest.ageing_files.values():
        schemas |= _ageing(own, found.get(own.by_gene))
    return schemas | {
        names.regulators: layout.table_schema(layout.REGULATORS),
        names.regulator_donors: layout.table_schema(layout.REGULATOR_DONORS),
        names.regulator_edges: layout.table_schema(layout.REGULATOR_EDGES),
    }


def _ageing(names: layout.AgeingFiles, by_gene: pa.Schema | None) -> dict[str, pa.Schema]:
    """Of the tables of what changes with age by a level of cell types."""
    large = by_gene is not None and layout.COUNTS in by_gene.names and by_gene.field(layout.COUNTS).type.equals(
        layout.list_of(pa.uint64())
    )  # fmt: skip
    return {
        names.groups: layout.table_schema(layout.AGEING_GROUPS),
        names.by_gene: layout.ageing_by_gene_schema(large_sums=large),
        names.tests: layout.table_schema(layout.AGEING_TESTS),
        names.composition: layout.table_schema(layout.AGEING_COMPOSITION),
    }


def difference(expected: pa.Schema, found: pa.Schema) -> str | None:
    """Say where a schema first differs in names, order, types or what may be missing; None if nowhere."""
    for at, field in enumerate(expected):
        if at >= len(found):
            return f"column {field.name!r} is missing"
        own = found.field(at)
        if own.name != field.name:
            beyond = "missing" if field.name not in found.names else f"at place {found.names.index(field.name)}"
            return f"column {at} is {own.name!r}, where {field.name!r} belongs, which is {beyond}"
        if not same_type(own.type, field.type):
            return f"column {field.name!r} is {own.type}, not {field.type}"
        if own.nullable and not field.nullable:
            return f"column {field.name!r} may have missing values, and must not"
    if len(found) > len(expected):
        return f"column {found.field(len(expected)).name!r} does not belong there"
    return None


def same_type(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether two types are the same to a reader: how a list's element is called, and a label's index, do not count."""
    if pa.types.is_list(one) and pa.types.is_list(other):
        return bool(one.value_type.equals(other.value_type))
    if pa.types.is_dictionary(one) and pa.types.is_dictionary(other):
        return bool(one.value_type.equals(other.value_type) and one.ordered == other.ordered)
    return bool(one.equals(other))


def metadata_problem(schema: pa.Schema, index: str | None) -> str | None:
    """Say what is wrong with the format version and pandas' index that a file's schema carries."""
    metadata = schema.metadata or {}
    try:
        version = json.loads(metadata.get(b"titin", b"{}")).get("format_version")
        columns = json.loads(metadata.get(b"pandas", b"{}")).get("index_columns")
    except (ValueError, AttributeError):
        return "its metadata are no JSON"
    if version != layout.FORMAT_VERSION:
        return f"it says format version {version}, not {layout.FORMAT_VERSION}"
    if columns != (None if index is None else [index]):
        return f"pandas would take {columns} as the index, not {index!r}"
    return None


def _cell_fields(manifest: Manifest, found: pa.Schema | None) -> list[pa.Field]:
    fields = [_field(record, found) for record in manifest.obs["columns"]]
    kinds = {"text": pa.string()}
    return fields + [pa.field(name, kinds.get(origin.get("type", ""), pa.float64()))
                     for name, origin in manifest.derived.items()]  # fmt: skip


def _field(record: dict[str, Any], found: pa.Schema | None) -> pa.Field:
    """The column that a record of `titin.dataset.tables` describes."""
    kind = _labels(record, found) if record["kind"] == "category" else KINDS[record["kind"]].arrow(record)
    return pa.field(record["column"], kind)


def _labels(record: dict[str, Any], found: pa.Schema | None) -> pa.DataType:
    """Text labels are a dictionary, or plain where there are very many: which, only the file says."""
    of, name = KINDS[record["of"]["kind"]].arrow(record["of"]), record["column"]
    plain = found is not None and name in found.names and found.field(name).type.equals(of)
    return of if plain or not pa.types.is_string(of) else pa.dictionary(pa.int32(), of, ordered=record["ordered"])


def _as_dictionary(field: pa.Field) -> pa.Field:
    return field.with_type(pa.dictionary(pa.int32(), pa.string())) if pa.types.is_string(field.type) else field


def _data_field(manifest: Manifest, found: dict[str, pa.Schema]) -> pa.Field:
    if not manifest.value_kind.has_counts:
        narrow = manifest.source.get("dtype") in ("float32", "float16", ">f4", ">f2")
        return required(layout.VALUES, layout.list_of(pa.float32() if narrow else pa.float64()))
    schema = found.get(manifest.layout.expression)
    wide = schema is not None and layout.COUNTS in schema.names and _is_wide(schema.field(layout.COUNTS).type)
    return required(layout.COUNTS, layout.list_of(pa.uint32() if wide else pa.uint16()))


def _is_wide(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) and bool(kind.value_type.equals(pa.uint32()))


def _matrix_fields(manifest: Manifest, data: pa.Field) -> list[pa.Field]:
    fields = [required(layout.SOURCE_ROW, pa.int64())]
    genes = required(layout.GENES, layout.list_of(layout.gene_type(manifest.n_genes)))
    if not manifest.value_kind.has_levels:
        return [*fields, genes, data]
    exact = pa.float64() if manifest.source.get("dtype") in ("float64", ">f8") else pa.float32()
    levels = required(layout.LEVELS, layout.list_of(exact))
    return [*fields, required(layout.SCALE, pa.float32()), genes, data, levels]


def _gene_lists(data: pa.Field) -> list[pa.Field]:
    return [
        required(layout.GENE, pa.string()), required(layout.GENE_ID, pa.string()), required(layout.TOKEN, pa.int32()),
        required(layout.N_CELLS, pa.int64()), required(layout.CELLS, layout.list_of(pa.uint32())), data,
    ]  # fmt: skip


def _panel_fields(found: pa.Schema | None, beside: list[pa.Field]) -> list[pa.Field]:
    """Columns of genes: which they are, `titin.check.matrix` compares with the genes themselves."""
    labels = {field.name for field in beside}
    names = [name for name in found.names if name not in labels] if found is not None else []
    return [required(name, pa.float32()) for name in names]


def _gene_fields(manifest: Manifest, found: pa.Schema | None) -> list[pa.Field]:
    types = {
        layout.GENE: pa.string(), layout.GENE_IDS: pa.string(), layout.TOKEN: pa.int32(),
        layout.SOURCE_COLUMN: pa.int64(), layout.N_CELLS: pa.int64(), layout.MEAN: pa.float64(),
        layout.VARIANCE: pa.float64(), layout.N_COUNTS: pa.int64(),
    }  # fmt: skip
    if not manifest.value_kind.has_counts:
        del types[layout.N_COUNTS]
    own = [pa.field(name, kind) for name, kind in types.items()]
    return own + [_field(record, found) for record in manifest.var["columns"] if record["column"] not in types]


_RESTORE = "restore the file from where it was published, or build the dataset again"
_UNREADABLE = (OSError, ValueError, pa.ArrowException)


def expected_files(dataset: CheckedDataset) -> list[str]:
    """Plain names of what every dataset of this manifest has; those with one row a cell first."""
    names = dataset.layout
    return [*cell_tables(dataset), *gene_tables(dataset), names.unstructured_metadata, layout.STRUCTURE, layout.CARD]


def cell_tables(dataset: CheckedDataset) -> list[str]:
    """Plain names of the files with one row a cell, ``expression`` first."""
    names = dataset.layout
    projections = [entry["file"] for entry in dataset.manifest.obsm.values()]
    scores = [names.gene_set_scores] if names.gene_set_scores in dataset.manifest.files else []
    further = [part.layout.expression for part in _parts(dataset)]
    return [names.expression, names.expression_panel, names.sample_metadata, *projections, *scores, *further,
            *dataset.manifest.arrays_of("cells")]  # fmt: skip


def gene_tables(dataset: CheckedDataset) -> dict[str, Manifest]:
    """Plain names of the files with one row a gene, ``feature_metadata`` first; each with its manifest."""
    manifest = dataset.manifest
    found = dict.fromkeys([manifest.layout.feature_metadata, manifest.layout.expression_by_gene], manifest)
    beside = [*(entry["file"] for entry in manifest.varm.values()), *manifest.arrays_of("genes")]
    found |= dict.fromkeys(beside, manifest)
    found |= {own.by_gene: manifest for own in manifest.ageing_files.values() if own.by_gene in manifest.files}
    for part in _parts(dataset):
        found |= dict.fromkeys([part.layout.detection, part.layout.expression_by_gene, *part.arrays_of("genes")], part)
    return found


def _parts(dataset: CheckedDataset) -> list[Manifest]:
    return [dataset.manifest.part(place) for place in dataset.manifest.parts]


def plain_name(dataset: CheckedDataset, file: str) -> str:
    """Name of the whole that a Parquet file is a shard of."""
    for whole in (*cell_tables(dataset), *gene_tables(dataset), *dataset.manifest.summaries):
        stem = whole.removesuffix(".parquet")
        if file == whole or (file.startswith(f"{stem}-") and file[len(stem) + 1 :][:5].isdecimal()):
            return whole
    return file


@check("integrity.manifest", "titin.json does not contradict itself.")
def manifest(dataset: CheckedDataset) -> Outcome:
    """Sizes, kind, names and roles."""
    own, where = dataset.manifest, layout.MANIFEST
    found = []
    for one in (own, *_parts(dataset)):
        if one.nnz > one.n_cells * one.n_genes:
            size = f"{one.n_cells:,} cells × {one.n_genes:,} genes"
            found.append(Finding(f"nnz is {one.nnz:,}, more than {size} have", where))
    if own.prefix != f"{own.tissue}_{own.method}":
        found.append(Finding(f"prefix is {own.prefix!r}, not {own.tissue}_{own.method}", where))
    found += [Finding(text, where) for text in _role_problems(dataset)]
    found += [Finding(f"the dataset has no {name}, which every dataset has", where, _RESTORE)
              for name in expected_files(dataset) if not _has(dataset, name)]  # fmt: skip
    return Outcome(found, f"{len(own.files):,} files, {own.n_cells:,} cells, {own.n_genes:,} genes, {own.nnz:,} values")


def _has(dataset: CheckedDataset, name: str) -> bool:
    return any(plain_name(dataset, file) == name for file in dataset.manifest.files)


def _role_problems(dataset: CheckedDataset) -> Iterator[str]:
    for role, column in dataset.roles.items():
        reason = dataset.missing(role) if column else None
        if reason:
            yield reason
    labels = dataset.manifest.obs.get("labels", [])
    known = {*(record["column"] for record in dataset.manifest.obs["columns"]), *dataset.manifest.derived}
    for name in labels:
        if name not in known:
            yield f"the label {name!r} is no column of {dataset.layout.sample_metadata}"


@check("integrity.files", "Every file of titin.json is there, and no other data.")
def files(dataset: CheckedDataset) -> Outcome:
    """Missing and extra files; hidden files and folders are passed over."""
    listed = set(dataset.manifest.files)
    gone = [name for name in sorted(listed) if not (dataset.folder / name).is_file()]
    found = [Finding("the file is missing", name, _RESTORE) for name in gone]
    found += [Finding(text, name, _RESTORE) for name, text in _missing_shards(dataset)]
    present = {
        path.relative_to(dataset.folder).as_posix()
        for path in dataset.folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(dataset.folder).parts)
    }
    for name in sorted(present - listed - {layout.MANIFEST}):
        data = name.endswith(".parquet")
        hint = "remove it: readers that take all files of a folder would take it too" if data else "remove or move it"
        found.append(Finding(f"the file is not in {layout.MANIFEST}", name, hint, None if data else "warning"))
    return Outcome(found, f"{len(listed):,} files listed, {len(present):,} found")


def _missing_shards(dataset: CheckedDataset) -> Iterator[tuple[str, str]]:
    """Shards that the names of the others say there are."""
    for name in expected_files(dataset):
        shards = [f for f in dataset.manifest.files if f != name and plain_name(dataset, f) == name]
        if not shards:
            continue
        total = int(shards[0].removesuffix(".parquet")[-5:])
        for i in range(total):
            if layout.shard(name, i, total) not in shards:
                yield layout.shard(name, i, total), f"shard {i + 1} of {total} is not in {layout.MANIFEST}"


@check("integrity.checksums", "Every file has the bytes that titin.json says.")
def checksums(dataset: CheckedDataset) -> Outcome:
    """Size and sha256 of every file; at both levels, as nothing else proves the bytes."""
    entries = {name: e for name, e in dataset.manifest.files.items() if (dataset.folder / name).is_file()}
    found = []
    total = 0

    for name, size, sum_ in spread(_digest, (dataset.folder,), entries, dataset.threads, dataset.resources.cluster):
        total += size
        if size != entries[name].get("bytes"):
            expected = entries[name].get("bytes")
            said = (
                f"it has {size:,} bytes, {layout.MANIFEST} says {expected:,}" if expected else "its size is not listed"
            )
            found.append(Finding(said, name, _RESTORE))
        elif sum_ != entries[name].get("sha256"):
            place = _damaged_place(dataset.folder / name)
            listed = str(entries[name].get("sha256"))
            said = f"its sha256 is {sum_[:16]}…, {layout.MANIFEST} says {listed[:16]}…"
            found.append(Finding(said, f"{name}{place}", _RESTORE))
    return Outcome(found, f"{len(entries):,} files, {total:,} bytes", {"bytes": total})


def _digest(folder: Path, name: str) -> tuple[str, int, str]:
    path = folder / name
    return name, path.stat().st_size, sha256(path)


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
def rows(dataset: CheckedDataset) -> Outcome:
    """Rows in the footers, each file and all shards together."""
    found = []
    totals: dict[str, int] = {}
    for name, footer, problem in _footers(dataset):
        if footer is None:
            found.append(Finding(f"its footer cannot be read: {problem}", name, _RESTORE))
            continue
        listed = dataset.manifest.files[name].get("rows")
        if footer.num_rows != listed:
            found.append(Finding(f"it has {footer.num_rows:,} rows, {layout.MANIFEST} says {listed:,}", name, _RESTORE))
        whole = plain_name(dataset, name)
        totals[whole] = totals.get(whole, 0) + footer.num_rows
    genes = gene_tables(dataset)
    for whole, n in totals.items():
        if whole in dataset.manifest.summaries:
            continue
        wanted, unit = (genes[whole].n_genes, "genes") if whole in genes else (dataset.manifest.n_cells, "cells")
        if n != wanted:
            found.append(Finding(f"it has {n:,} rows for {wanted:,} {unit}", whole, _RESTORE))
    return Outcome(found, f"{len(totals):,} tables, {sum(totals.values()):,} rows")


def _footers(dataset: CheckedDataset) -> Iterator[tuple[str, Any, str]]:
    for name in sorted(dataset.manifest.files):
        path = dataset.folder / name
        if path.suffix == ".parquet" and path.is_file():
            try:
                yield name, pq.read_metadata(path), ""
            except _UNREADABLE as error:
                yield name, None, str(error)


@check("integrity.schema", "Every Parquet file has the format's columns, in their order and of their types.")
def schema(dataset: CheckedDataset) -> Outcome:
    """Names, order, types, what may be missing, format version, and pandas' index."""
    schemas = {name: arrow_schema(footer) for name, footer, _ in _footers(dataset) if footer is not None}
    wholes: dict[str, pa.Schema] = {}
    for name, own in schemas.items():
        wholes.setdefault(plain_name(dataset, name), own)
    expected = expected_schemas(dataset.manifest, wholes)
    genes = {name: layout.GENE if name == said.layout.expression_by_gene else said.var["columns"][0]["column"]
             for name, said in gene_tables(dataset).items()}  # fmt: skip
    found = []
    for name, own in schemas.items():
        whole = plain_name(dataset, name)
        if whole not in expected:
            found.append(Finding("it is no file of the format", name))
            continue
        ageing = {name for own in dataset.manifest.ageing_files.values() for name in own}
        plain = {dataset.layout.pseudobulk, *ageing, *dataset.layout.regulation}
        index = None if whole in plain else genes.get(whole, layout.CELL_ID)
        problem = difference(expected[whole], own) or metadata_problem(own, index)
        if problem:
            found.append(Finding(problem, name, _RESTORE))
    columns = sum(len(own) for own in schemas.values())
    return Outcome(found, f"{len(schemas):,} files, {columns:,} columns")
