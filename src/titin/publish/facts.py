"""What a card is made of: the manifest, and what is computed from the files."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from titin.check.hub import dataset_info
from titin.dataset import layout
from titin.dataset.layout import Layout
from titin.dataset.manifest import Manifest
from titin.dataset.strict_json import read_json
from titin.dataset.tables import values_of
from titin.dataset.unstructured import said_synthetic
from titin.errors import DatasetError
from titin.presets import CardTexts, Preset
from titin.shelf import Shelf, ShelvedColumns, let_go_of_pages
from titin.study.design import Study
from titin.study.tallies import code as coded
from titin.study.tallies import count_combinations, count_missing, count_pairs

AGES = "\0ages"  # years, of groups; no column of a file has such a name
_ROWS = 1 << 20  # of a column that are read at a time
_SPLIT = "train"
_RESTORE = "restore it, or build the dataset again"
_MAPS = ("umap", "tsne")  # preferred


@dataclass(frozen=True)
class CardConfig:
    """One config of the Hub: a table, in one file or in shards."""

    name: str
    file: str
    shards: tuple[str, ...]


class CardFacts:
    """A dataset as its card sees it; columns have the names that they have in the files.

    Parameters
    ----------
    folder
        With the files; ``titin.json`` need not be there yet.
    manifest
        With ``files`` described, but for the card itself.
    preset
        Of the atlas.
    texts
        Whether the card says what the preset has for it.
    licence
        Identifier of the licence that was given, or None.
    repo_id
        Where the dataset will lie on the Hub, if known.
    space
        Space on the Hub that shows it, if there is one.
    shelf
        Where columns of obs are put away; in memory where not given.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, preset: Preset | None = None, licence: str | None = None,
        repo_id: str | None = None, *, texts: bool = True, space: str | None = None, shelf: Shelf | None = None,
    ) -> None:  # fmt: skip
        self._shelf = shelf or Shelf()
        self.folder, self.manifest, self.preset = Path(folder), manifest, preset or Preset()
        self.texts = self.preset.card if texts else CardTexts()
        self.licence = licence or self.texts.license or None
        self.repo_id, self.space = repo_id, space

    @property
    def layout(self) -> Layout:
        """File names."""
        return self.manifest.layout

    @cached_property
    def title(self) -> str:
        """Name for people."""
        return (
            self.texts.pretty_name or f"{self.manifest.tissue.replace('_', ' ').capitalize()} ({self.manifest.method})"
        )

    @cached_property
    def configs(self) -> list[CardConfig]:
        """Tables in the order of the card; the first is the default."""
        files = [
            ("expression", self.layout.expression), ("expression_by_gene", self.layout.expression_by_gene),
            ("panel", self.layout.expression_panel), ("sample_metadata", self.layout.sample_metadata),
            ("feature_metadata", self.layout.feature_metadata),
        ]  # fmt: skip
        start = len(f"{self.manifest.prefix}_")
        files += [(_safe(entry["file"].removesuffix(".parquet")[start:]), entry["file"])
                  for entry in self.manifest.obsm.values()]  # fmt: skip
        files += [(f"varm_{_safe(key)}", entry["file"]) for key, entry in self.manifest.varm.items()]
        files += [(_safe(entry["file"].removesuffix(".parquet")[start:]), entry["file"])
                  for entry in self.manifest.arrays.values()]  # fmt: skip
        derived = (("pseudobulk", self.layout.pseudobulk), ("gene_set_scores", self.layout.gene_set_scores),
                   ("label_check", self.layout.label_check),
                   *((name[start:].removesuffix(".parquet"), name)
                     for names in self.manifest.ageing_files.values() for name in names),
                   ("regulators", self.layout.regulators),
                   ("regulator_donors", self.layout.regulator_donors),
                   ("regulator_edges", self.layout.regulator_edges))  # fmt: skip
        files += [(name, file) for name, file in derived if self._has_rows(file)]
        for names in (self.manifest.part(place).layout for place in self.manifest.parts):
            own = [names.expression, names.expression_by_gene, *([names.feature_metadata] if names.own_genes else [])]
            files += [(_safe(file.removesuffix(".parquet")[start:]), file) for file in own]
        return [CardConfig(name, file, tuple(self.manifest.shards(file))) for name, file in files]

    def _has_rows(self, name: str) -> bool:
        """Whether a table is there and has rows: `datasets` loads none without."""
        return self._has(name) and any(self.manifest.files[shard]["rows"] for shard in self.manifest.shards(name))

    def _has(self, file: str) -> bool:
        stem = file.removesuffix(".parquet")
        return any(name == file or name.startswith(f"{stem}-") for name in self.manifest.files)

    @cached_property
    def dataset_info(self) -> list[dict[str, Any]]:
        """``dataset_info`` of every config, computed from the files."""
        return [
            dataset_info(c.name, {_SPLIT: [self.folder / shard for shard in c.shards]}, self.schema(c.file))
            for c in self.configs
        ]

    def schema(self, file: str) -> pa.Schema:
        """Schema of a table.

        Raises
        ------
        DatasetError
            If a file cannot be read, or has a column twice.
        """
        first = self.folder / self.manifest.shards(file)[0]
        try:
            schema = pq.read_schema(first)
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"{first} cannot be read: {error}", _RESTORE) from error
        for name, n in Counter(schema.names).items():
            if n > 1:
                raise DatasetError(f"{first} has {n} columns {name}", _RESTORE)
        return schema

    def table(self, file: str, columns: list[str] | None = None) -> pd.DataFrame:
        """Read a table, or some columns of it, all shards; column by column, so that no other form of it is whole.

        Raises
        ------
        DatasetError
            If it cannot be read, or has no such column.
        """
        there = self.schema(file).names
        names = there if columns is None else columns
        if missing := [name for name in names if name not in there]:
            raise DatasetError(f"{self.folder / file} has no column {missing[0]}", _RESTORE)
        shards = [pq.ParquetFile(self.folder / shard) for shard in self.manifest.shards(file)]
        try:
            return pd.DataFrame({name: _column(shards, name, self._shelf) for name in names}, copy=False)
        except (KeyError, OSError, ValueError, pa.ArrowException) as error:
            raise DatasetError(f"{self.folder / file} is damaged: {error}", _RESTORE) from error
        finally:
            for shard in shards:
                shard.close()

    def numbers(self, file: str, column: str) -> NDArray[Any]:
        """A column of numbers of a table; raises as `table`, and where there is something else in it."""
        found = self.table(file, [column])[column]
        if not pd.api.types.is_numeric_dtype(found):
            raise DatasetError(f"{self.folder / file}: the column {column} holds no numbers", _RESTORE)
        return found.to_numpy()

    def axes(self, key: str) -> tuple[str, str]:
        """The first two columns of an embedding.

        Raises
        ------
        DatasetError
            If its file has fewer.
        """
        file = self.manifest.obsm[key]["file"]
        names = [name for name in self.schema(file).names if name != layout.CELL_ID]
        if len(names) < 2:
            raise DatasetError(f"{self.folder / file} has {len(names)} of the two columns that a map has", _RESTORE)
        return names[0], names[1]

    @property
    def obs(self) -> pd.DataFrame:
        """Metadata of the cells, without their names."""
        let_go_of_pages()  # of the columns that were looked at before
        return self._obs

    @cached_property
    def _obs(self) -> pd.DataFrame:
        names = [name for name in self.schema(self.layout.sample_metadata).names if name != layout.CELL_ID]
        columns = ShelvedColumns(self._shelf)
        for name in names:
            columns.add(name, values_of(self.table(self.layout.sample_metadata, [name])[name]))
        return pd.DataFrame(columns.finish(), columns=names or None, copy=False)

    def groups(self, *names: str | None) -> pd.DataFrame:
        """Combinations of columns (None is passed over) and ages, where any is known.

        Returns
        -------
        DataFrame
            A column for each name, `AGES`, and how many cells have each combination (`CELLS`).
        """
        columns: dict[str, Any] = {name: self.obs[name] for name in names if name is not None}
        if self.ages is not None:
            columns[AGES] = self.ages
        key = tuple(columns)
        if key not in self._groups:
            self._groups[key] = count_combinations(columns)
        return self._groups[key]

    @cached_property
    def _groups(self) -> dict[tuple[str, ...], pd.DataFrame]:
        return {}

    @cached_property
    def stored(self) -> dict[Any, str]:
        """Column in the files of each column of obs, by the source's name."""
        return {record["name"]: record["column"] for record in self.manifest.obs["columns"][1:]}

    @cached_property
    def study(self) -> Study:
        """What part each column in the files plays."""

        def stored(columns: Any) -> Any:
            if isinstance(columns, list):
                return [self.stored.get(column, column) for column in columns]
            return self.stored.get(columns, columns)

        roles = {role: stored(columns) for role, columns in self.manifest.roles.items()}
        for name in self.manifest.derived:
            if name not in self.obs:
                raise DatasetError(f"{layout.MANIFEST} names a derived column {name}, which the cells have not",
                                   _RESTORE)  # fmt: skip
        derived = pd.DataFrame({name: self.obs[name] for name in self.manifest.derived}, self.obs.index, copy=False)
        return Study(self.obs, roles, derived)

    def column(self, role: str) -> str | None:
        """Column in the files that plays a role; None if there is none."""
        found: str | None = self.study.column(role)
        return found

    @property
    def cell_types(self) -> list[str]:
        """Columns of cell types in the files, coarsest first."""
        return self.study.levels

    @cached_property
    def roles(self) -> dict[str, str]:
        """Role of a column in the files."""
        found = {self.column(role): str(role) for role in layout.ROLES if role != "cell_type"}
        known = {column: role for column, role in found.items() if column is not None}
        return known | dict.fromkeys(self.cell_types, "cell type")

    @property
    def ages(self) -> pd.Series | None:
        """Age in years of each cell, exact where known; None if no age is known."""
        return self.study.ages

    @cached_property
    def n_donors(self) -> int | None:
        """Number of donors."""
        return None if self.column("donor") is None else len(coded(self.study.values("donor")).distinct)

    @cached_property
    def uns(self) -> dict[str, Any]:
        """The unstructured metadata, as its JSON has them."""
        try:
            document = read_json(self.folder / self.layout.unstructured_metadata)
        except (OSError, ValueError):
            return {}
        return {k: v for k, v in document.items() if k != "__types__"} if isinstance(document, dict) else {}

    @property
    def synthetic(self) -> str | None:
        """What the source says about being made up; None if it says nothing."""
        return said_synthetic(self.uns)

    @property
    def images(self) -> list[str]:
        """Preview images of the dataset."""
        return [name for name in sorted(self.manifest.files) if re.fullmatch(r"preview_[\w.-]+\.png", name)]

    @property
    def captions(self) -> dict[str, str]:
        """What each preview image shows, as somebody would say it."""
        told = {
            preview_name(key, column): f"Cells by {self.roles[column]} ({column}), on {key}"
            for key in self.manifest.projections for column in (*self.cell_types, *self.roles)
        }  # fmt: skip
        shown = {name: told.get(name, "Cells") for name in self.images}
        return dict(sorted(shown.items(), key=lambda one: list(told).index(one[0]) if one[0] in told else len(told)))

    @property
    def map_key(self) -> str | None:
        """Key of the embedding to draw: a map if there is one, else whichever has two dimensions; None without any."""
        keys = [key for key, entry in self.manifest.projections.items() if len(entry["columns"]) > 2]
        for wanted in _MAPS:
            for key in keys:
                if wanted in key.lower():
                    return key
        return keys[0] if keys else None

    @property
    def n_bytes(self) -> int:
        """Size of all files but the card."""
        return sum(entry["bytes"] for name, entry in self.manifest.files.items() if name != layout.CARD)

    def source_name(self, role: str) -> str | None:
        """Column of obs that plays a role, as the source calls it."""
        named = self.manifest.roles.get(role)
        return None if named is None or isinstance(named, list) else str(named)

    def panel_genes(self, n: int) -> list[str]:
        """Some genes of the panel, in its order, whose names are plain."""
        columns = self.schema(self.layout.expression_panel).names
        genes = [g for g in self.manifest.panel.get("genes", {}) if g in columns and re.fullmatch(r"[\w.-]+", g)]
        return genes[:n]

    @property
    def beside(self) -> str:
        """What there is beside the matrix, in words."""
        parts = ["labels"] * bool(self.roles) + ["gene annotation"] + ["embeddings"] * bool(self.manifest.obsm)
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)

    def counts(self, column: str) -> pd.Series:
        """Cells of each value of a column, most first, equals by name; without values that no cell has."""
        found = coded(self.obs[column])
        names, counts = pd.Index(found.distinct, dtype=object), found.counts[found.used]
        order = np.lexsort((names.astype(str), -counts))
        return pd.Series(counts[order], names[order])

    def donors_of(self, column: str) -> pd.Series | None:
        """Donors of each value of a column; None without a donor column."""
        donor = self.column("donor")
        if donor is None:
            return None
        values = coded(self.obs[column])
        of_value, _, _ = count_pairs(values, coded(self.obs[donor]))
        number = np.bincount(of_value, minlength=len(values.names))
        return pd.Series({values.names[one]: int(number[one]) for one in np.flatnonzero(number)}, dtype=np.int64)

    def missing(self) -> Iterator[tuple[str, int]]:
        """Columns of obs with missing values, and how many."""
        for name in self._obs.columns:
            if n := count_missing(self.obs[name]):
                yield str(name), n


def _column(shards: list[pq.ParquetFile], name: str, shelf: Shelf) -> Any:
    """A column of all shards; one of labels or of numbers is put on the shelf part by part."""
    kind, n_rows = shards[0].schema_arrow.field(name).type, sum(shard.metadata.num_rows for shard in shards)
    parts = (batch.column(0) for shard in shards for batch in shard.iter_batches(_ROWS, columns=[name]))
    if shelf.folder is not None and pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type):
        levels: dict[str, int] = {}
        (codes,) = shelf.empty(n_rows, np.int32)
        _fill(codes, (_numbered(part, levels) for part in parts))
        return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(levels), ordered=kind.ordered))
    if shelf.folder is not None and (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        (numbers,) = shelf.empty(n_rows, kind.to_pandas_dtype())
        with suppress(_MissingError):  # integers, which pandas then has as numbers with a point
            _fill(numbers, map(_numbers, parts))
            return numbers
    whole = pa.concat_tables([shard.read([name]) for shard in shards])
    return whole.unify_dictionaries().to_pandas(ignore_metadata=True)[name]


class _MissingError(Exception):
    """An integer is missing."""


def _numbers(part: pa.Array) -> NDArray[Any]:
    if part.null_count and pa.types.is_integer(part.type):
        raise _MissingError
    found: NDArray[Any] = part.to_numpy(zero_copy_only=False)
    return found


def _fill(found: NDArray[Any], parts: Iterable[NDArray[Any]]) -> None:
    at = 0
    for part in parts:
        found[at : at + len(part)] = part
        at += len(part)
        let_go_of_pages()
    if at != len(found):
        raise ValueError(f"it has {at:,} rows where {len(found):,} are declared")


def _numbered(part: pa.DictionaryArray, levels: dict[str, int]) -> NDArray[np.int32]:
    """Numbers of labels among all levels, which are added to as they come; -1 for what is missing."""
    own = [levels.setdefault(label, len(levels)) for label in part.dictionary.to_pylist()]
    found: NDArray[np.int32] = np.array([*own, -1], np.int32)[part.indices.fill_null(len(own)).to_numpy()]
    return found


def preview_name(key: str, column: str) -> str:
    """File of the picture of an embedding coloured by a column of obs."""
    return "_".join(["preview", *(re.sub(r"[^\w.-]", "_", part) for part in (key, column))]) + ".png"


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
