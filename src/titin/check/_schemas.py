"""The schema that each Parquet file of a dataset must have, from its manifest."""

import json
from typing import Any

import pyarrow as pa

from titin.dataset import layout
from titin.dataset.layout import required
from titin.dataset.manifest import Manifest
from titin.dataset.tables import KINDS

_AGES = (layout.AGE_NUMERIC, layout.AGE_YEARS)


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
    labels = [by_name[name] for name in manifest.obs.get("labels", []) if name in by_name]
    beside = [by_name[layout.CELL_ID] if layout.CELL_ID in by_name else required(layout.CELL_ID, pa.string())]
    beside += [_as_dictionary(field) for field in labels]
    data = _data_field(manifest, found)
    schemas = {
        names.expression: pa.schema([*beside, *_matrix_fields(manifest, data)]),
        names.expression_by_gene: pa.schema(_gene_lists(data)),
        names.expression_panel: pa.schema([*beside, *_panel_fields(found.get(names.expression_panel), beside)]),
        names.sample_metadata: pa.schema(cells),
        names.feature_metadata: pa.schema(_gene_fields(manifest, found.get(names.feature_metadata))),
    }
    for entry in (*manifest.obsm.values(), *manifest.varm.values()):
        own = found.get(entry["file"])
        schemas[entry["file"]] = pa.schema([_field(record, own) for record in entry["columns"]])
    return schemas | _derived(manifest, found)


def _derived(manifest: Manifest, found: dict[str, pa.Schema]) -> dict[str, pa.Schema]:
    """Of tables computed from the dataset: which sets, and which labels make groups, only the files say."""
    names, schemas = manifest.layout, {}
    if own := found.get(names.gene_set_scores):
        sets = [required(name, pa.float32()) for name in own.names[1:]]
        schemas[names.gene_set_scores] = pa.schema([required(layout.CELL_ID, pa.string()), *sets])
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
    return schemas


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
    known = {field.name for field in fields}
    present = found.names if found is not None else []
    return fields + [pa.field(name, pa.float64()) for name in _AGES if name in present and name not in known]


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
    if manifest.kind == "real":
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
    if manifest.kind != "log1p":
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
    if manifest.kind == "real":
        del types[layout.N_COUNTS]
    own = [pa.field(name, kind) for name, kind in types.items()]
    return own + [_field(record, found) for record in manifest.var["columns"] if record["column"] not in types]
