"""The format's names, columns and types, version 1. No other module spells them."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

FORMAT = "titin"
FORMAT_VERSION = 1

MANIFEST = "titin.json"
STRUCTURE = "detailed_structure.json"
CARD = "README.md"

# columns of the format's own
CELL_ID = "cell_id"
SOURCE_ROW = "source_row"
SCALE = "scale"
GENES = "genes"
COUNTS = "counts"
VALUES = "values"
LEVELS = "levels"
GENE = "gene"
GENE_ID = "gene_id"
GENE_IDS = "gene_ids"
TOKEN = "token"
CELLS = "cells"
N_CELLS = "n_cells"
N_COUNTS = "n_counts"
MEAN = "mean"
VARIANCE = "variance"
SOURCE_COLUMN = "source_column"
AGE_NUMERIC = "age_numeric"
AGE_YEARS = "age_years"

TARGET_SUM = 1e4  # counts a cell that a matrix of counts is log-normalised to wherever values are shown
CELL_COLUMNS = (CELL_ID, SOURCE_ROW, SCALE, GENES, COUNTS, VALUES, LEVELS)
GENE_COLUMNS = (GENE, GENE_IDS, TOKEN, SOURCE_COLUMN, N_CELLS, N_COUNTS, MEAN, VARIANCE)

ROW_GROUP_CELLS = 1024  # of expression; measured over size and decode speed together
PANEL_ROW_GROUP_CELLS = 16_384
TABLE_ROW_GROUP_ROWS = 65_536
ROW_GROUP_NONZEROS = 250_000  # of expression_by_gene, unless one gene alone has more; measured against 1 M and 125 k
PANEL_GENES = 512
SHARD_BYTES = 500_000_000
MAX_UINT16_GENES = 65_536

Role = Literal["cell_type", "donor", "sample", "age", "sex", "protocol", "chemistry"]
ROLES: tuple[Role, ...] = ("cell_type", "donor", "sample", "age", "sex", "protocol", "chemistry")


@dataclass(frozen=True)
class Layout:
    """File names of a dataset.

    Parameters
    ----------
    prefix
        ``{tissue}_{method}``, e.g. ``liver_10x``.

    Examples
    --------
    >>> Layout("liver_10x").expression
    'liver_10x_expression.parquet'
    >>> Layout("liver_10x").projection("X_umap")
    'liver_10x_projection_X_umap.parquet'
    """

    prefix: str

    @property
    def expression(self) -> str:
        """The matrix, one cell a row."""
        return f"{self.prefix}_expression.parquet"

    @property
    def expression_by_gene(self) -> str:
        """The matrix, one gene a row."""
        return f"{self.prefix}_expression_by_gene.parquet"

    @property
    def expression_panel(self) -> str:
        """A wide view of a few hundred genes."""
        return f"{self.prefix}_expression_panel.parquet"

    @property
    def sample_metadata(self) -> str:
        """One cell a row: obs."""
        return f"{self.prefix}_sample_metadata.parquet"

    @property
    def feature_metadata(self) -> str:
        """One gene a row, by token: var."""
        return f"{self.prefix}_feature_metadata.parquet"

    @property
    def pseudobulk(self) -> str:
        """Counts summed over the cells of each donor, sample, protocol and type; there once it was asked for."""
        return f"{self.prefix}_pseudobulk.parquet"

    @property
    def gene_set_scores(self) -> str:
        """One cell a row, one gene set a column; there once it was asked for."""
        return f"{self.prefix}_gene_set_scores.parquet"

    @property
    def unstructured_metadata(self) -> str:
        """The unstructured metadata: uns."""
        return f"{self.prefix}_unstructured_metadata.json"

    def projection(self, key: str) -> str:
        """The embedding that AnnData calls ``obsm[key]``."""
        return f"{self.prefix}_projection_{re.sub(r'[^A-Za-z0-9._-]', '_', key)}.parquet"

    def varm(self, key: str) -> str:
        """What AnnData calls ``varm[key]``: one gene a row, by token."""
        return f"{self.prefix}_varm_{re.sub(r'[^A-Za-z0-9._-]', '_', key)}.parquet"


def shard(name: str, index: int, total: int) -> str:
    """Name of one shard of a Parquet file; the plain name if it is the only one.

    Examples
    --------
    >>> shard("liver_10x_expression.parquet", 0, 8)
    'liver_10x_expression-00000-of-00008.parquet'
    """
    return name if total == 1 else f"{name.removesuffix('.parquet')}-{index:05d}-of-{total:05d}.parquet"


def projection_columns(key: str, n: int) -> list[str]:
    """Column names of an embedding: the key without ``X_``, in capitals, numbered from 1.

    Examples
    --------
    >>> projection_columns("X_umap", 2)
    ['UMAP1', 'UMAP2']
    """
    stem = key.removeprefix("X_").upper() or key
    return [f"{stem}{i + 1}" for i in range(n)]


def list_of(element: pa.DataType) -> pa.DataType:
    """A list without missing elements."""
    return pa.list_(pa.field("element", element, nullable=False))


def gene_type(n_genes: int) -> pa.DataType:
    """Type of gene tokens."""
    return pa.uint16() if n_genes <= MAX_UINT16_GENES else pa.uint32()


def required(name: str, dtype: pa.DataType) -> pa.Field:
    """A column without missing values."""
    return pa.field(name, dtype, nullable=False)


# per list column: its encoding and zstd level; level 1 makes byte-split counts smaller than level 3 does, and faster
_LIST_ENCODING = {
    GENES: ("DELTA_BINARY_PACKED", 3),
    CELLS: ("DELTA_BINARY_PACKED", 3),
    COUNTS: ("BYTE_STREAM_SPLIT", 1),
    VALUES: ("BYTE_STREAM_SPLIT", 3),
    LEVELS: ("BYTE_STREAM_SPLIT", 3),
}
_CHUNKING = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Writer options for a file of this schema: encodings, compression, index, checksums, content-defined chunking."""
    encodings, levels, dictionaries = {}, {}, []
    for field in schema:
        if pa.types.is_list(field.type):
            path = f"{field.name}.list.element"
            encodings[path], levels[path] = _LIST_ENCODING[field.name]
        elif pa.types.is_dictionary(field.type) or pa.types.is_boolean(field.type):
            dictionaries.append(field.name)
    return {
        "compression": "zstd",
        "compression_level": levels or None,
        "column_encoding": encodings or None,
        "use_dictionary": dictionaries or False,
        "write_page_index": True,
        "write_page_checksum": True,
        "use_content_defined_chunking": _CHUNKING,
        "store_schema": True,
    }


def file_metadata() -> dict[bytes, bytes]:
    """Schema metadata that every Parquet file of a dataset carries."""
    chunking = repr(_CHUNKING).replace("'", '"').encode()
    # the Hub looks for the first key, `datasets` writes the second
    return {b"use_content_defined_chunking": chunking, b"content_defined_chunking": chunking,
            b"titin": f'{{"format_version": {FORMAT_VERSION}}}'.encode()}  # fmt: skip
