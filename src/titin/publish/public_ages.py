"""Ages as they may be published: exact ones in bins of five years, in every file that has them."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from titin.dataset import layout
from titin.dataset.ages import parse_ages
from titin.dataset.arrow import ParquetFile
from titin.dataset.manifest import Manifest, describe_file, write_json
from titin.dataset.revision import Draft
from titin.dataset.tables import encode_values, with_pandas_index
from titin.publish.privacy import plain

BIN_YEARS, OLDEST = 5, 90  # from 90 years on, ages are one bin: so few people reach them

Column = Callable[[pa.ChunkedArray], pa.ChunkedArray]


def age_bins(years: pd.Series) -> pd.Series:
    """Labels such as ``45-50`` (45 and above, below 50), ``90+`` from 90 on; missing where the age is.

    Examples
    --------
    >>> age_bins(pd.Series([19.0, 20.0, 93.0, None])).tolist()
    ['15-20', '20-25', '90+', nan]
    """
    low = np.floor(years.to_numpy(np.float64) / BIN_YEARS) * BIN_YEARS
    labels = [_label(value) for value in low]
    return pd.Series(pd.Categorical(labels, categories=sorted({v for v in labels if v is not None}, key=_first)),
                     index=years.index)  # fmt: skip


def _label(low: float) -> str | None:
    if np.isnan(low):
        return None
    return f"{OLDEST}+" if low >= OLDEST else f"{low:.0f}-{low + BIN_YEARS:.0f}"


def _first(label: str) -> int:
    return int(label.split("-")[0].rstrip("+"))


def bin_middles(years: pd.Series) -> pd.Series:
    """Middle of each age's bin; missing from 90 on, where the bin has no end."""
    low = np.floor(years.to_numpy(np.float64) / BIN_YEARS) * BIN_YEARS
    return pd.Series(np.where(low >= OLDEST, np.nan, low + BIN_YEARS / 2), index=years.index)


def coarsen_ages(draft: Draft, columns: list[Any]) -> None:
    """Replace exact ages by bins in all files of a draft.

    ``age_years`` and ontology terms are dropped; ``age_numeric`` becomes the middle of the bin; any other column its
    label. The manifest and the structure file say the same, and a note says what was done.

    Parameters
    ----------
    draft
        Of the copy to publish.
    columns
        From `titin.publish.privacy.exact_age_columns`.
    """
    manifest, names = draft.manifest, draft.manifest.layout
    stored = {record["name"]: record["column"] for record in manifest.obs["columns"][1:]}
    chosen = {stored.get(column, column): column for column in columns}
    dropped = {name for name, column in chosen.items() if column == layout.AGE_YEARS or "ontology" in plain(column)}
    binned = [name for name in chosen if name not in dropped and name != layout.AGE_NUMERIC]
    for file in (names.sample_metadata, names.expression, names.expression_panel):
        _rewrite(draft, file, dropped, binned, layout.AGE_NUMERIC in chosen and layout.AGE_NUMERIC not in binned)
    _restate(draft, manifest, {chosen[name] for name in dropped}, {chosen[name]: name for name in binned})
    shown = ", ".join(str(chosen[name]) for name in chosen)
    manifest.notes.append(f"exact ages ({shown}) are published in bins of {BIN_YEARS} years, or left out")


def _rewrite(draft: Draft, file: str, dropped: set[str], binned: list[str], middles: bool) -> None:
    """Write a table again, row group by row group, its other columns as they are."""
    shards = draft.manifest.shards(file)
    schema = pq.read_schema(draft.folder / shards[0])
    mine: dict[str, Column] = {name: _to_bins for name in binned if name in schema.names}
    if middles and layout.AGE_NUMERIC in schema.names:
        mine[layout.AGE_NUMERIC] = _to_middles
    kept = [name for name in schema.names if name not in dropped]
    if not mine and len(kept) == len(schema.names):
        return
    fields = [pa.field(name, _TYPES[mine[name]]) if name in mine else schema.field(name) for name in kept]
    written = with_pandas_index(pa.schema(fields, schema.metadata), layout.CELL_ID)
    scratch = draft.folder.parent / "coarse"
    scratch.mkdir(exist_ok=True)
    target = ParquetFile(scratch, file, written)
    for shard in shards:
        source = pq.ParquetFile(draft.folder / shard)
        for group in range(source.metadata.num_row_groups):
            part = source.read_row_group(group, columns=kept)
            arrays = [mine[name](part.column(name)) if name in mine else part.column(name) for name in kept]
            target.write(pa.table(arrays, names=kept).cast(written).combine_chunks())
    for shard in shards:
        draft.remove(shard)
    for name in target.close():
        (scratch / name).replace(draft.replace(name))
        draft.manifest.files[name] = describe_file(draft.folder / name)
    scratch.rmdir()


def _years(column: pa.ChunkedArray) -> pd.Series:
    values = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    return parse_ages(values.to_pandas())


def _to_bins(column: pa.ChunkedArray) -> pa.ChunkedArray:
    labels = age_bins(_years(column)).astype(object)
    return pa.chunked_array([pa.array(labels, pa.string(), from_pandas=True).dictionary_encode()])


def _to_middles(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(bin_middles(_years(column)).to_numpy(), pa.float64(), from_pandas=True)])


_TYPES: dict[Column, pa.DataType] = {_to_bins: pa.dictionary(pa.int32(), pa.string()), _to_middles: pa.float64()}


def _restate(draft: Draft, manifest: Manifest, dropped: set[Any], binned: dict[Any, str]) -> None:
    """Bring the manifest's record of obs and the structure file up to date."""
    known = set(pq.read_schema(draft.folder / manifest.shards(manifest.layout.sample_metadata)[0]).names)
    records = []
    for record in manifest.obs["columns"]:
        if record["name"] in binned:
            labels = _labels(draft, manifest, binned[record["name"]])
            records.append({"name": record["name"], "column": record["column"], **encode_values(labels)[1]})
        elif record["column"] == layout.AGE_NUMERIC:
            records.append({"name": record["name"], "column": record["column"], "kind": "number", "dtype": "float64"})
        elif record["column"] in known:
            records.append(record)
    manifest.obs["columns"] = records
    manifest.obs["labels"] = [name for name in manifest.obs["labels"] if name in known]
    path = draft.folder / layout.STRUCTURE
    structure = json.loads(path.read_text("utf-8"))
    structure["obs_columns"] = [name for name in structure["obs_columns"] if name not in {str(c) for c in dropped}]
    counted = structure.get("category_counts", {})
    for column in [*dropped, *binned]:
        counted.pop(str(column), None)
    for column, name in binned.items():
        counts = pd.Series(_labels(draft, manifest, name)).value_counts()
        counted[str(column)] = {str(label): int(n) for label, n in counts.items() if n}
    write_json(draft.replace(layout.STRUCTURE), structure)
    manifest.files[layout.STRUCTURE] = describe_file(path)


def _labels(draft: Draft, manifest: Manifest, name: str) -> pd.Categorical:
    """The new labels of all cells, categories sorted as the format sorts them."""
    shards = manifest.shards(manifest.layout.sample_metadata)
    column = pa.concat_tables([pq.read_table(draft.folder / shard, columns=[name]) for shard in shards]).column(0)
    return pd.Categorical(column.cast(pa.string()).to_pandas())
