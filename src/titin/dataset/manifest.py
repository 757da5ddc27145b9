"""``titin.json``: what a dataset is, what it was made from, and a checksum of every file in it."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from titin.dataset import layout
from titin.dataset.checksums import sha256
from titin.dataset.kinds import ValueKind
from titin.dataset.layout import AgeingFiles
from titin.dataset.misplaced import no_dataset
from titin.dataset.own_files import check_files
from titin.dataset.schema import check_manifest
from titin.dataset.shapes import ShapeError
from titin.dataset.strict_json import parse_json
from titin.dataset.swap import write_json
from titin.errors import DatasetError, TitinError
from titin.files import read_bytes

LAYERS, RAW, MODALITIES = "layers/", "raw", "mod/"  # places of further matrices
RAW_VARM = f"{RAW}/varm"
ARRAY_GROUPS = {"obsm": "cells", "obsp": "cells", "varm": "genes", "varp": "genes", RAW_VARM: RAW}  # and their rows
PAIRWISE = ("obsp", "varp")  # whose columns are the rows
_NOT_YET = "0" * 64  # in the place of a checksum
_RESTORE = "restore it, or build the dataset again"


@dataclass
class Manifest:
    """Everything about a dataset that its Parquet files do not say themselves.

    Holds nothing that differs between two builds of the same source with the same settings (no time, no machine),
    save for the seconds that a projection took.

    Attributes
    ----------
    prefix, tissue, method
        ``prefix`` begins every file name.
    kind
        Name of a kind; see `titin.dataset.kinds`.
    n_cells, n_genes, nnz
        Size of the matrix and number of stored values.
    source
        Name, format, sha256, matrix read, its dtype and storage.
    settings
        What the user chose and what bytes depend on.
    recovery
        How counts were recovered: witness, worst distance in ulp, target sum where constant, first refusals.
    roles
        Which obs columns play which part.
    roles_found
        By role: ``why`` it is that column, or none; ``not_taken``, other columns and why not; whether it was ``given``;
        ``warning``, what of a given column does not fit. Empty in datasets that were written before it was recorded.
    obs, var, obsm
        What is needed to restore the source's tables exactly. ``obs["derived"]`` is what titin has added to the table
        of cells; see `derived`. An entry of obsm that titin has computed says so under ``computed``: method,
        parameters, seed, versions.
    varm
        Likewise of what belongs to a computed projection and has one row a gene.
    arrays
        What AnnData keeps beside the matrix and is no embedding, by its place (``obsp/distances``, ``varm/PCs``,
        ``obsm/X_sparse``): the file, its form (``sparse``, ``dense``, ``frame``), dtype and shape beyond its rows.
    panel
        The genes of the wide view and why each is in it.
    left_out
        What the source has and the dataset does not hold: name and reason.
    notes
        What was put right or noticed on the way, for people.
    libraries
        Versions of what wrote the files.
    preset
        The preset of the dataset: name, digest and, where it is not one of titin's, all of it; empty for none.
    studies
        Of a dataset that is made of several studies: by name, its size, what restores its cells' and genes' tables,
        and the columns of var that say what it measured (``measured``) and what it calls the genes (``names``).
    parts
        Further matrices of the same cells, by their place in AnnData (``layers/spliced``, ``raw``, ``mod/prot``): what
        their files are called after (``file``), kind, number of values, source, recovery and, of one with genes of its
        own, var.
    ageing
        Levels of cell types by which the dataset holds what changes with age, coarsest first, each by its name among
        the keys (`titin.study.design.level_name`): what its tables are called after (``file``).
    files
        Bytes, sha256 and, for Parquet, rows of every file but this one.
    format_minor
        Minor version of the format that the files are of; readers of any read all of the same `format_version`.
    """

    prefix: str
    tissue: str
    method: str
    kind: str
    n_cells: int
    n_genes: int
    nnz: int
    source: dict[str, Any]
    settings: dict[str, Any]
    recovery: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, Any] = field(default_factory=dict)
    roles_found: dict[str, Any] = field(default_factory=dict)
    obs: dict[str, Any] = field(default_factory=dict)
    var: dict[str, Any] = field(default_factory=dict)
    obsm: dict[str, Any] = field(default_factory=dict)
    varm: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)
    panel: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    libraries: dict[str, str] = field(default_factory=dict)
    preset: dict[str, Any] = field(default_factory=dict)
    studies: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    ageing: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    format: str = layout.FORMAT
    format_version: int = layout.FORMAT_VERSION
    format_minor: int = layout.FORMAT_MINOR

    @property
    def layout(self) -> layout.Layout:
        """File names."""
        return layout.Layout(self.prefix)

    @property
    def value_kind(self) -> ValueKind:
        """What the values are, with all that follows from it."""
        return ValueKind(self.kind, self.recovery.get("base", "e"))  # type: ignore[arg-type]

    @property
    def is_per_10k(self) -> bool:
        """Whether the source's own values are log1p(10,000 × count / total of the cell), as scanpy makes them."""
        known, of = self.recovery.get("target_sum"), self.recovery.get("target_of") or "counts"
        return self.kind == "log1p" and self.value_kind.base == "e" and of == "counts" and known == layout.TARGET_SUM

    @property
    def what_models_see(self) -> str | None:
        """A sentence on the values that models see, where these are not the source's logarithms or of its counts."""
        if self.kind == "normalized":
            return (f"The source's values are no logarithms: models and analyses see log1p({layout.TARGET_SUM:,.0f} × "
                    "count / total of the cell).")  # fmt: skip
        if self.recovery.get("linear"):
            return "The values are too large for logarithms, and models and analyses see them as they are."
        return None

    @property
    def why_no_counts(self) -> str:
        """Why a dataset of kind ``real`` has no counts, to go on after a colon."""
        beside = self.recovery.get("counts_beside")
        if not beside:
            return "no integers lie behind its source's values"
        return (f"it holds {self.source.get('matrix', 'X')}, which is not made from the counts in {beside} of its "
                f"source; `titin build {option_for(beside)}` stores those")  # fmt: skip

    def need_counts(self, hint: str, why: str | None = None) -> None:
        """Refuse a dataset without counts, where they are needed.

        Parameters
        ----------
        hint
            What to do instead.
        why
            What is said after the colon; `why_no_counts` where not given.

        Raises
        ------
        TitinError
            If the dataset is of kind ``real``.
        """
        if not self.value_kind.has_counts:
            raise TitinError(f"this dataset has no counts: {why or self.why_no_counts}", hint)

    @property
    def known_roles(self) -> dict[str, Any]:
        """The roles, each of a column that obs has.

        Raises
        ------
        DatasetError
            If obs has no such column; the validation tells it as well.
        """
        columns = [record["name"] for record in self.obs["columns"][1:]]
        for role, named in self.roles.items():
            for column in named if isinstance(named, list) else [named]:
                if (column is not None or isinstance(named, list)) and column not in columns:
                    raise DatasetError(f"{layout.MANIFEST}: roles.{role} is {column!r}, no column of obs", _RESTORE)
        return self.roles

    @property
    def sparsity(self) -> float:
        """Share of zeros, 0 … 1."""
        return 1 - self.nnz / (self.n_cells * self.n_genes)

    @property
    def derived(self) -> dict[str, dict[str, Any]]:
        """Columns that titin has added to the table of cells, as they are stored, each with what it was made from.

        A name alone does not tell: an author may have an ``age_numeric`` of his own, in any unit. Of datasets from
        before this was recorded, a column is titin's if nothing of the source is restored from it.
        """
        known: dict[str, dict[str, Any]] | None = self.obs.get("derived")
        if known is None:
            restored = {record["column"] for record in self.obs.get("columns", [])}
            made_from: dict[str, dict[str, Any]] = {
                layout.AGE_NUMERIC: {"from": "obs", "column": self.roles.get("age")},
                layout.AGE_YEARS: {"from": "donors"},
            }
            labels = set(self.obs.get("labels", [])) - restored
            known = {name: origin for name, origin in made_from.items() if name in labels}
        return known

    @property
    def projections(self) -> dict[str, dict[str, Any]]:
        """Those of `obsm` that are projections of expression: places in a tissue are none, and not drawn as if."""
        return {key: entry for key, entry in self.obsm.items() if not layout.is_spatial(key)}

    @property
    def layers(self) -> dict[str, str]:
        """Place in `parts` of each layer that is kept, by its name."""
        return {place.removeprefix(LAYERS): place for place in self.parts if place.startswith(LAYERS)}

    @property
    def modalities(self) -> dict[str, str]:
        """Place in `parts` of each modality beside that of the genes, by its name."""
        return {place.removeprefix(MODALITIES): place for place in self.parts if place.startswith(MODALITIES)}

    @property
    def ageing_files(self) -> dict[str, AgeingFiles]:
        """Tables of what changes with age, by the level of cell types; empty where the dataset holds none."""
        return {level: self.layout.ageing(entry["file"]) for level, entry in self.ageing.items()}

    @property
    def summaries(self) -> tuple[str, ...]:
        """Tables whose rows are neither the cells nor the genes, there or not."""
        own = ((names.groups, names.tests, names.composition) for names in self.ageing_files.values())
        return *self.layout.summaries, *(name for names in own for name in names)

    def arrays_of(self, rows: str) -> list[str]:
        """Files of `arrays` that have one row each of ``cells``, ``genes`` or, of genes of raw, ``raw``."""
        return [entry["file"] for place, entry in self.arrays.items() if ARRAY_GROUPS[group_of(place)] == rows]

    def part(self, place: str) -> "PartManifest":
        """The dataset as if a further matrix of its cells were the matrix.

        Parameters
        ----------
        place
            One of `parts`.
        """
        entry = self.parts[place]
        own = "var" in entry
        said = {f.name: getattr(self, f.name) for f in fields(Manifest)}
        said |= {
            "kind": entry["kind"], "nnz": entry["nnz"], "recovery": entry["recovery"], "parts": {}, "panel": {},
            "ageing": {},
            "arrays": {key.removeprefix(f"{RAW}/"): array for key, array in self.arrays.items()
                       if place == RAW and group_of(key) == RAW_VARM},
            "source": self.source | entry["source"], "settings": self.settings | {"allow_negative": True},
        }  # fmt: skip
        if own:
            studies = {name: study | study["parts"][place] for name, study in self.studies.items()
                       if place in study.get("parts", {})}  # fmt: skip
            said |= {"n_genes": entry["n_genes"], "var": entry["var"], "varm": {}, "studies": studies}
        return PartManifest(**said, place=place, file=entry["file"], own_genes=own)

    def shards(self, name: str) -> list[str]:
        """Names of the files that hold what ``name`` would if it were one file, in order.

        Raises
        ------
        DatasetError
            If the dataset has no such file.
        """
        shard = re.compile(re.escape(name.removesuffix(".parquet")) + r"(-\d{5}-of-\d{5})?\.parquet")
        found = [f for f in self.files if f == name or shard.fullmatch(f)]
        if not found:
            raise DatasetError(f"the dataset has no {name}", "build it again, or see `titin info` for what it holds")
        return sorted(found)

    def rows_of(self, name: str) -> int | None:
        """Rows that a table has, by its plain name: one a cell, or one a gene; None where only the file says."""
        names = self.layout
        by_gene = {names.expression_by_gene, names.feature_metadata,
                   *(own.by_gene for own in self.ageing_files.values()),
                   *(entry["file"] for entry in self.varm.values()), *self.arrays_of("genes")}  # fmt: skip
        return None if name in self.summaries else self.n_genes if name in by_gene else self.n_cells

    def write(self, folder: Path) -> None:
        """Write ``titin.json`` into a folder; whole or not at all."""
        first = ("format", "format_version", "format_minor")
        document = {key: getattr(self, key) for key in first} | {
            k: v for k, v in asdict(self).items() if k not in first
        }
        write_json(folder / layout.MANIFEST, document)

    def write_draft(self, folder: Path) -> None:
        """Write ``titin.json`` beside files that are not all described yet, so that they can be opened as a dataset."""
        known = {name: entry or {**describe_contents(folder / name), "sha256": _NOT_YET}
                 for name, entry in self.files.items()}  # fmt: skip
        replace(self, files=known).write(folder)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read ``titin.json`` from a dataset folder.

        Raises
        ------
        DatasetError
            If there is none: it says what is there instead. Or as for `parse`; or if a file of the dataset is no
            regular file, or a link out of it.
        """
        path = Path(folder) / layout.MANIFEST
        try:
            check_files(folder, [layout.MANIFEST])
            data = read_bytes(path)
        except (FileNotFoundError, NotADirectoryError):
            raise no_dataset(Path(folder)) from None
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path} cannot be read: {error}", _RESTORE) from error
        manifest = cls.parse(data, str(folder))
        check_files(folder, {*manifest.files, *manifest.layout.documents})
        return manifest

    @classmethod
    def parse(cls, data: bytes, where: str) -> "Manifest":
        """Make a manifest of the content of a ``titin.json``, whose every key is of the type and range it has.

        Parameters
        ----------
        data
            The content.
        where
            What errors call the dataset.

        Raises
        ------
        DatasetError
            If it is not ours, is of a later format, or says what no dataset can be; names the key.
        """
        path = f"{where.rstrip('/')}/{layout.MANIFEST}"
        try:
            document = parse_json(data)
        except ValueError as error:
            raise DatasetError(f"{path} cannot be read: {error}", _RESTORE) from error
        if not isinstance(document, dict) or document.get("format") != layout.FORMAT:
            raise DatasetError(f"{path} is not the manifest of a titin dataset", "build the dataset again")
        version = document.get("format_version")
        if type(version) is not int:
            raise DatasetError(f"{path}: format_version is not a whole number", _RESTORE)
        if version != layout.FORMAT_VERSION:
            raise DatasetError(
                f"{where} has format version {version}; this titin reads version {layout.FORMAT_VERSION}",
                "install the titin that wrote it: pip install --upgrade titin",
            )
        try:
            check_manifest(document)
        except ShapeError as error:
            raise DatasetError(f"{path}: {error}", _RESTORE) from error
        names = {f.name for f in fields(cls)}
        known = {k: v for k, v in document.items() if k in names}
        return cls(**{"format_minor": 0, "ageing": _unnamed_ageing(document)} | known)


def _unnamed_ageing(document: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The level of tables of what changes with age that were written before the manifest named levels: the coarsest."""
    if layout.Layout(document["prefix"]).ageing(layout.AGEING).groups not in document["files"]:
        return {}
    types = document.get("roles", {}).get("cell_type") or [layout.ALL_CELLS]
    return {str(types[0]): {"file": layout.AGEING}}


@dataclass
class PartManifest(Manifest):
    """What is said of a dataset whose matrix is one of its `Manifest.parts`; it is written nowhere.

    Attributes
    ----------
    place, file, own_genes
        Its place in AnnData; what its files are called after; whether its genes are its own.
    """

    place: str = ""
    file: str = ""
    own_genes: bool = False

    @property
    def layout(self) -> layout.Layout:
        """File names."""
        return layout.Layout(self.prefix, self.file, self.own_genes)


def group_of(place: str) -> str:
    """Group of AnnData that an array of `Manifest.arrays` is in; its key is what follows.

    Examples
    --------
    >>> group_of("obsp/distances"), group_of("raw/varm/PCs")
    ('obsp', 'raw/varm')
    """
    return next(group for group in ARRAY_GROUPS if place.startswith(f"{group}/"))


def option_for(place: str) -> str:
    """Option of ``titin build`` that takes another matrix of the source for X, fit to be copied.

    Examples
    --------
    >>> option_for("layers/counts")
    '--layer counts'
    """
    return f"--layer {shlex.quote(place.removeprefix('layers/'))}" if place.startswith("layers/") else "--raw"


def describe_file(path: Path) -> dict[str, Any]:
    """Bytes, sha256 and, of a Parquet file, rows."""
    entry = describe_contents(path)
    return {"bytes": entry.pop("bytes"), "sha256": sha256(path), **entry}


def describe_contents(path: Path) -> dict[str, Any]:
    """Bytes and, of a Parquet file, rows."""
    entry: dict[str, Any] = {"bytes": path.stat().st_size}
    if path.suffix == ".parquet":
        entry["rows"] = pq.read_metadata(path).num_rows
    return entry
