"""The format's names, columns and types, version 1.2. No other module spells them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

FORMAT = "titin"
FORMAT_VERSION = 1
FORMAT_MINOR = 2  # what a reader of version 1 may use and need not know; 0 where a manifest does not say

MANIFEST = "titin.json"
STRUCTURE = "detailed_structure.json"
CARD = "README.md"
LICENCE = "LICENSE"
CROISSANT = "croissant.json"

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
AGES = (AGE_NUMERIC, AGE_YEARS)
LABEL_CHECK: dict[str, pa.DataType] = {  # columns of the check of labels, one row a cell and level
    CELL_ID: pa.string(), "level": pa.dictionary(pa.int32(), pa.string()),
    "label": pa.dictionary(pa.int32(), pa.string()), "predicted": pa.dictionary(pa.int32(), pa.string()),
    "p_label": pa.float32(), "p_predicted": pa.float32(), "entropy": pa.float32(), "flagged": pa.bool_(),
    "rank": pa.int32(),
}  # fmt: skip
ENTRIES = "entries"  # of an array that is kept beside the matrix: its values, and of a sparse one their columns
COLUMNS = "columns"
GROUPS = "groups"
COMPARISONS = "comparisons"
_NAME = pa.dictionary(pa.int32(), pa.string())
# tables of what changes with age, as the explorer shows it; all but the second from what `titin age` computes
AGEING_GROUPS: dict[str, pa.DataType] = {  # one row a donor, protocol and type
    "donor": _NAME, "protocol": _NAME, "cell_type": _NAME, "age": pa.float64(), "n_cells": pa.int64(),
    "n_counts": pa.int64(), "library": pa.float64(),
}  # fmt: skip
AGEING_STATISTICS: dict[str, pa.DataType] = {  # of a gene in a comparison
    name: pa.float64() for name in ("mean_log_cpm", "log2_fold_change", "ci_low", "ci_high", "p_value", "adj_p_value")
}
AGEING_TESTS: dict[str, pa.DataType] = {  # one row a gene and comparison
    "comparison": pa.uint16(), "token": pa.int32(), **AGEING_STATISTICS,
}  # fmt: skip
AGEING_COMPOSITION: dict[str, pa.DataType] = {  # one row a type and protocol
    "cell_type": _NAME, "protocol": _NAME, "n_donors": pa.int64(), "n_cells": pa.int64(),
    **{name: pa.float64() for name in ("mean_fraction", "fold_change", "fold_change_low", "fold_change_high",
                                       "p_value", "adj_p_value")},
}  # fmt: skip
# tables of regulators, as the explorer shows them, from what `titin network` computes; rows by regulator, ascending
_CHANGE = ("ci_low", "ci_high", "p_value", "adj_p_value", "adj_p_value_across_types")
REGULATORS: dict[str, pa.DataType] = {  # one row a regulator, type and protocol; no donors tested, no rank: 0
    "regulator": _NAME, "cell_type": _NAME, "protocol": _NAME, "n_donors": pa.int64(), "n_cells": pa.int64(),
    "n_targets": pa.int64(), "n_donors_tested": pa.int64(), "rank": pa.int64(), "activity": pa.float64(),
    "effect": pa.float64(), **dict.fromkeys(_CHANGE, pa.float64()),
    "strength_n_donors": pa.int64(), "strength": pa.float64(), "strength_difference": pa.float64(),
    **{f"strength_{name}": pa.float64() for name in _CHANGE},
}  # fmt: skip
REGULATOR_DONORS: dict[str, pa.DataType] = {  # one row a regulator, donor, type and protocol
    "regulator": _NAME, "donor": _NAME, "cell_type": _NAME, "protocol": _NAME, "age": pa.float64(),
    "n_cells": pa.int64(), "activity": pa.float64(), "strength": pa.float64(),
}  # fmt: skip
REGULATOR_EDGES: dict[str, pa.DataType] = {  # one row a regulator, target, type and protocol
    "regulator": _NAME, "target": _NAME, "token": pa.int32(), "cell_type": _NAME, "protocol": _NAME,
    "n_donors": pa.int64(), "n_metacells": pa.int64(), "sign": pa.int8(), "prior": pa.int8(),
    **{name: pa.float64() for name in ("weight", "stability", "correlation", "difference", *_CHANGE[:-1])},
}  # fmt: skip

ALL_CELLS = "all cells"  # the level of one type that every dataset has, and that type
AGEING = "ageing"  # what the tables of what changes with age by the first level of cell types are called after

# what names may be made of: none of them can lead out of a folder, hide, or be taken for an option
WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"  # of prefix, tissue and method
FILE = r"(?!titin\.json$)\w[\w.-]{0,254}"  # of every file that the manifest lists; pictures have letters of any script

TARGET_SUM = 1e4  # counts a cell that a matrix of counts is log-normalised to wherever values are shown
CELL_COLUMNS = (CELL_ID, SOURCE_ROW, SCALE, GENES, COUNTS, VALUES, LEVELS)
GENE_COLUMNS = (GENE, GENE_IDS, TOKEN, SOURCE_COLUMN, N_CELLS, N_COUNTS, MEAN, VARIANCE)

ROW_GROUP_CELLS = 1024  # of expression; measured over size and decode speed together
PANEL_ROW_GROUP_CELLS = 16_384
TABLE_ROW_GROUP_ROWS = 65_536
ROW_GROUP_NONZEROS = 2_000_000  # of expression_by_gene, unless one gene alone has more; many, for a small footer
GENE_PAGE_BYTES = 8192  # of its pages, encoded, unless one gene alone takes more; few, as a gene is read with them
PANEL_GENES = 512
SHARD_BYTES = 500_000_000
SHARD_CHUNKS = 65_536  # columns of row groups: a footer has some hundred bytes of each
MAX_UINT16_GENES = 65_536

Role = Literal["cell_type", "donor", "sample", "age", "sex", "protocol", "chemistry", "study"]
ROLES: tuple[Role, ...] = ("cell_type", "donor", "sample", "age", "sex", "protocol", "chemistry", "study")


@dataclass(frozen=True)
class Layout:
    """File names of a dataset.

    Parameters
    ----------
    prefix
        ``{tissue}_{method}``, e.g. ``liver_10x``.
    part
        Of a further matrix of the same cells, such as a layer: what its files are called after; empty for X.
    own_genes
        Whether this matrix has genes of its own.

    Examples
    --------
    >>> Layout("liver_10x").expression
    'liver_10x_expression.parquet'
    >>> Layout("liver_10x", "layer_spliced").expression
    'liver_10x_layer_spliced_expression.parquet'
    >>> Layout("liver_10x").projection("X_umap")
    'liver_10x_projection_X_umap.parquet'
    """

    prefix: str
    part: str = ""
    own_genes: bool = False

    @property
    def _matrix(self) -> str:
        return f"{self.prefix}_{self.part}" if self.part else self.prefix

    @property
    def expression(self) -> str:
        """The matrix, one cell a row."""
        return f"{self._matrix}_expression.parquet"

    @property
    def expression_by_gene(self) -> str:
        """The matrix, one gene a row."""
        return f"{self._matrix}_expression_by_gene.parquet"

    @property
    def expression_panel(self) -> str:
        """A wide view of a few hundred genes; of X alone."""
        return f"{self._matrix}_expression_panel.parquet"

    @property
    def sample_metadata(self) -> str:
        """One cell a row: obs."""
        return f"{self.prefix}_sample_metadata.parquet"

    @property
    def feature_metadata(self) -> str:
        """One gene a row, by token: var."""
        return f"{self._matrix if self.own_genes else self.prefix}_feature_metadata.parquet"

    @property
    def detection(self) -> str:
        """One gene a row, by token: how many cells express it, of this matrix."""
        return self.expression_by_gene if self.part and not self.own_genes else self.feature_metadata

    @property
    def pseudobulk(self) -> str:
        """Counts summed over the cells of each donor, sample, protocol and type; there once it was asked for."""
        return f"{self.prefix}_pseudobulk.parquet"

    @property
    def gene_set_scores(self) -> str:
        """One cell a row, one gene set a column; there once it was asked for."""
        return f"{self.prefix}_gene_set_scores.parquet"

    @property
    def label_check(self) -> str:
        """One cell and level of labels a row: what models of other donors say of the label; once it was asked for."""
        return f"{self.prefix}_label_check.parquet"

    def ageing(self, file: str) -> "AgeingFiles":
        """The tables of what changes with age by a level of cell types: all four of them are there, or none.

        Parameters
        ----------
        file
            What the manifest says that they are called after.
        """
        return AgeingFiles(f"{self.prefix}_{file}")

    @property
    def regulators(self) -> str:
        """What changes of regulators, one regulator, type and protocol a row; there once kept, with the next two."""
        return f"{self.prefix}_regulators.parquet"

    @property
    def regulator_donors(self) -> str:
        """Their activity in each donor."""
        return f"{self.prefix}_regulator_donors.parquet"

    @property
    def regulator_edges(self) -> str:
        """Which genes go with them, one edge a row."""
        return f"{self.prefix}_regulator_edges.parquet"

    @property
    def regulation(self) -> tuple[str, ...]:
        """The tables of regulators: all of them are there, or none."""
        return self.regulators, self.regulator_donors, self.regulator_edges

    @property
    def summaries(self) -> tuple[str, ...]:
        """Tables whose rows are neither the cells nor the genes; `Manifest.summaries` has those of ageing as well."""
        return self.pseudobulk, self.label_check, *self.regulation

    @property
    def unstructured_metadata(self) -> str:
        """The unstructured metadata: uns."""
        return f"{self.prefix}_unstructured_metadata.json"

    @property
    def documents(self) -> tuple[str, ...]:
        """Files that are read by their names, whether the manifest lists them or not."""
        return self.unstructured_metadata, STRUCTURE, CARD, LICENCE, CROISSANT

    def projection(self, key: str) -> str:
        """The embedding that AnnData calls ``obsm[key]``."""
        return f"{self.prefix}_projection_{re.sub(r'[^A-Za-z0-9._-]', '_', key)}.parquet"

    def varm(self, key: str) -> str:
        """What AnnData calls ``varm[key]``: one gene a row, by token."""
        return f"{self.prefix}_varm_{re.sub(r'[^A-Za-z0-9._-]', '_', key)}.parquet"

    def array(self, name: str) -> str:
        """An array that AnnData keeps beside the matrix, such as ``obsp["distances"]``: one cell or gene a row."""
        return f"{self.prefix}_array_{name}.parquet"

    def is_table_of(self, part: str, name: str) -> bool:
        """Whether a file may hold a table of ``obsm``, ``varm`` or ``arrays``, going by its name."""
        word = {"obsm": "projection", "varm": "varm", "arrays": "array"}[part]
        start = f"{self.prefix}_{word}_"
        return name.startswith(start) and name.endswith(".parquet")


@dataclass(frozen=True)
class AgeingFiles:
    """File names of the tables of what changes with age, by one level of cell types.

    Parameters
    ----------
    stem
        With which they all begin.

    Examples
    --------
    >>> list(Layout("liver_10x").ageing("ageing"))[:2]
    ['liver_10x_ageing_groups.parquet', 'liver_10x_ageing_by_gene.parquet']
    """

    stem: str

    @property
    def groups(self) -> str:
        """Donors' cells of each type and protocol, one group a row."""
        return f"{self.stem}_groups.parquet"

    @property
    def by_gene(self) -> str:
        """One gene a row: its sums in these groups, and its changes with age."""
        return f"{self.stem}_by_gene.parquet"

    @property
    def tests(self) -> str:
        """The same changes the other way round: comparison by comparison, one gene a row."""
        return f"{self.stem}_tests.parquet"

    @property
    def composition(self) -> str:
        """Changes of the fractions of types with age, one type and protocol a row."""
        return f"{self.stem}_composition.parquet"

    def __iter__(self) -> Iterator[str]:
        yield from (self.groups, self.by_gene, self.tests, self.composition)


def ageing_file(place: int) -> str:
    """What tables of what changes with age are called after: those of the first level that is kept, and of others.

    Parameters
    ----------
    place
        Of the level among those of the dataset, 0 the coarsest; of the first that is kept, whichever it is, 0.

    Examples
    --------
    >>> ageing_file(0), ageing_file(2)
    ('ageing', 'ageing_level_2')
    """
    return f"{AGEING}_level_{place}" if place else AGEING


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


def is_spatial(key: str) -> bool:
    """Whether an embedding holds places in a tissue, and is no projection of expression.

    Examples
    --------
    >>> [is_spatial(key) for key in ("spatial", "X_spatial", "spatial_fullres", "X_umap")]
    [True, True, True, False]
    """
    return key.lower().removeprefix("x_").startswith("spatial")


def list_of(element: pa.DataType) -> pa.DataType:
    """A list without missing elements."""
    return pa.list_(pa.field("element", element, nullable=False))


def gene_type(n_genes: int) -> pa.DataType:
    """Type of gene tokens."""
    return pa.uint16() if n_genes <= MAX_UINT16_GENES else pa.uint32()


def element_type(dtype: str) -> pa.DataType:
    """Type that the values of an array are stored as; NumPy's ``bool`` and ``float16`` have none that lists can be of.

    Examples
    --------
    >>> element_type("bool"), element_type("float16"), element_type("int64")
    (DataType(uint8), DataType(float), DataType(int64))
    """
    kind = np.dtype(dtype)
    stored = np.dtype({"bool": np.uint8, "float16": np.float32}.get(kind.name, kind))
    return pa.from_numpy_dtype(stored.newbyteorder("="))


def required(name: str, dtype: pa.DataType) -> pa.Field:
    """A column without missing values."""
    return pa.field(name, dtype, nullable=False)


def table_schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """Of a table of summaries: names and measurements may be missing, whole numbers may not.

    Examples
    --------
    >>> table_schema(AGEING_TESTS).field("token").nullable, table_schema(AGEING_TESTS).field("p_value").nullable
    (False, True)
    """
    return pa.schema([pa.field(name, kind, nullable=not pa.types.is_integer(kind)) for name, kind in columns.items()])


def ageing_by_gene_schema(*, large_sums: bool = False) -> pa.Schema:
    """Of the table of sums and changes by gene; ``large_sums`` where one is above 32 bits."""
    lists = {GROUPS: pa.uint32(), COUNTS: pa.uint64() if large_sums else pa.uint32(), CELLS: pa.uint32(),
             COMPARISONS: pa.uint32(), **AGEING_STATISTICS}  # fmt: skip
    return pa.schema([
        required(GENE, pa.string()), required(GENE_ID, pa.string()), required(TOKEN, pa.int32()),
        *(required(name, list_of(kind)) for name, kind in lists.items()),
    ])  # fmt: skip


# per list column: its encoding and zstd level; level 1 makes byte-split counts smaller than level 3 does, and faster
_LIST_ENCODING = {
    GENES: ("DELTA_BINARY_PACKED", 3),
    CELLS: ("DELTA_BINARY_PACKED", 3),
    COUNTS: ("BYTE_STREAM_SPLIT", 1),
    VALUES: ("BYTE_STREAM_SPLIT", 3),
    LEVELS: ("BYTE_STREAM_SPLIT", 3),
    COLUMNS: ("DELTA_BINARY_PACKED", 3),
    ENTRIES: ("BYTE_STREAM_SPLIT", 3),
    GROUPS: ("DELTA_BINARY_PACKED", 3),
    COMPARISONS: ("DELTA_BINARY_PACKED", 3),
    **dict.fromkeys(AGEING_STATISTICS, ("BYTE_STREAM_SPLIT", 3)),
}
# what the elements of each may be: by the number of genes, by the largest count or sum, by the source's floats
_LIST_TYPES = {
    GENES: ("uint16", "uint32"), CELLS: ("uint32",), COUNTS: ("uint16", "uint32", "uint64"),
    VALUES: ("float", "double"), LEVELS: ("float", "double"),
}  # fmt: skip


def is_list_of_format(name: str, dtype: pa.DataType) -> bool:
    """Whether a list column of the format may have this type.

    Examples
    --------
    >>> is_list_of_format("genes", pa.list_(pa.uint16())), is_list_of_format("genes", pa.list_(pa.int64()))
    (True, False)
    """
    return pa.types.is_list(dtype) and str(dtype.value_type) in _LIST_TYPES.get(name, ())


_CHUNKING = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}


def parquet_options(schema: pa.Schema, page_bytes: int | None = None) -> dict[str, Any]:
    """Writer options for a file of this schema: encodings, compression, index, checksums, content-defined chunking.

    Parameters
    ----------
    page_bytes
        Of a page, encoded; pyarrow's own where not given.
    """
    encodings, levels, dictionaries = {}, {}, []
    known = _LIST_ENCODING | (
        {CELLS: _LIST_ENCODING[COUNTS]} if GROUPS in schema.names else {}
    )  # there, numbers of them
    for field in schema:
        if pa.types.is_list(field.type):
            path = f"{field.name}.list.element"
            encodings[path], levels[path] = known[field.name]
        elif pa.types.is_dictionary(field.type) or pa.types.is_boolean(field.type):
            dictionaries.append(field.name)
    pages = {} if page_bytes is None else {"data_page_size": page_bytes, "write_batch_size": page_bytes // 16}
    return {
        **pages,
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


def with_file_metadata(schema: pa.Schema) -> pa.Schema:
    """The schema as it stands in a file, with the metadata of `file_metadata` beside its own."""
    return schema.with_metadata({**(schema.metadata or {}), **file_metadata()})
