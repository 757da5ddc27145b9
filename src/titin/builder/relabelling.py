"""Labels of cells changed in a dataset that is there, and the roles of its columns, without another build."""

import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from titin import __version__
from titin.atlas import Atlas, open_atlas
from titin.atlas.row_groups import read_scales
from titin.atlas.tables import read_derived, read_obs
from titin.builder.ages import CellMetadata, donor_names
from titin.builder.cell_table import CellTable, make_cell_table, write_cell_table
from titin.builder.evidence import total_column
from titin.builder.job import panel_names
from titin.builder.label_tables import ObsChange, change_obs, read_label_table
from titin.builder.options import Options, make_options
from titin.dataset import layout
from titin.dataset.checksums import sha256
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.replace import Draft, revise
from titin.dataset.splice import splice_columns
from titin.dataset.strict_json import read_json
from titin.dataset.swap import write_json
from titin.dataset.tables import with_pandas_index
from titin.errors import DatasetError, OutputError, TitinError
from titin.files import beside, local_folder
from titin.presets import Preset, choose_preset, preset_names, preset_of
from titin.progress import Progress
from titin.publish import refresh_documents
from titin.study.donor_tables import DonorTable
from titin.study.entries import read_entries
from titin.study.roles import record_roles, role_columns

_SUMMED_OVER = ("donor", "sample", "protocol", "cell_type")  # roles whose columns make the groups of the pseudobulk
_JUDGED = ("donor", "cell_type")  # roles whose columns a check of labels is of
_BESIDE = (".validation", ".report.html", ".report", ".ageing", ".benchmark", ".network", ".site")


@dataclass
class Relabelled:
    """What `relabel` and `set_roles` changed.

    Attributes
    ----------
    path
        The dataset.
    manifest
        Its manifest now.
    change
        What changed in obs.
    roles
        Of each role that has another column now: the former and the new one.
    stale
        Results that were made with what is no longer so, each in a sentence.
    notes
        What a user should know of the ages and donors as they are now.
    changed
        Whether anything was written.
    seconds
        Time taken.
    """

    path: Path
    manifest: Manifest
    change: ObsChange
    roles: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changed: bool = False
    seconds: float = 0.0


def relabel(
    dataset: str | Path,
    obs: str | Path | pd.DataFrame | None = None,
    *,
    drop: Collection[str] = (),
    donors: str | Path | None = None,
    progress: Progress | None = None,
) -> Relabelled:
    """Add, replace or drop columns of obs, in every file that has them; no value of the matrix is touched.

    The dataset is then the one that a build of the atlas with these labels would give: ages, roles that nobody has
    given, notes and the card follow from them. It changes in one step, or not at all.

    Parameters
    ----------
    dataset
        A dataset folder.
    obs
        CSV, TSV or Parquet with barcodes in the first column or in one called ``cell_id``, or a frame with them as its
        index. Columns that are there are replaced, others are added. Cells that it has no row of keep what they had.
        Text that repeats becomes categories, as AnnData has it.
    drop
        Columns to leave out.
    donors
        Table of donors and their ages, as for `titin.build`. Where not given, each donor keeps what such a table had
        said of it.
    progress
        Told what is going on.

    Returns
    -------
    Relabelled
        What changed, barcodes that did not match, and what is stale.

    Raises
    ------
    TitinError
        If no barcode matches, a column is not there, or the labels contradict each other as they may not in a build.
    DatasetError
        If the folder is no dataset, or damaged.

    Examples
    --------
    >>> titin.relabel("dataset", "corrected.csv", drop=["leiden_old"])  # doctest: +SKIP
    """
    Manifest.read(local_folder(dataset))  # what is no dataset is said first
    if obs is None and not drop and donors is None:
        raise TitinError("nothing is to be changed", "give --obs TABLE, --drop COLUMN or --donors TABLE")
    given = None if obs is None else read_label_table(obs if isinstance(obs, pd.DataFrame) else Path(obs))

    def change(known: "_FormerDataset") -> tuple[pd.DataFrame, ObsChange]:
        return change_obs(known.obs, given, list(drop), known.shown)

    origin = None
    if obs is not None:
        origin = {"name": "a table" if isinstance(obs, pd.DataFrame) else Path(obs).name}
        origin |= {} if isinstance(obs, pd.DataFrame) else {"sha256": sha256(Path(obs))}
    table = None if donors is None else Path(donors)
    return _rewrite(dataset, change, lambda options: replace(options, donors=table), reads_donors=table is not None,
                    origin=origin, progress=progress)  # fmt: skip


def set_roles(
    dataset: str | Path,
    roles: Mapping[str, Any] | None = None,
    *,
    age_unit: str | None = None,
    donors: str | Path | None = None,
    progress: Progress | None = None,
) -> Relabelled:
    """Say which columns of obs play which part, as a build with these options would have taken it.

    Parameters
    ----------
    dataset
        A dataset folder.
    roles
        Column by role (``donor``, ``age``, …); a list for ``cell_type``, coarsest first; ``none`` for a role that
        nothing is to have. Roles that are not named are found again, and those given earlier stay.
    age_unit
        Of ages that have none: ``years``, ``months``, ``weeks`` or ``days``.
    donors
        Table of donors and their ages.
    progress
        Told what is going on.

    Returns
    -------
    Relabelled
        What changed, and what is stale.

    Raises
    ------
    TitinError
        If there is no such column, or it holds no ages where ages are asked for.
    DatasetError
        If the folder is no dataset, or damaged.

    Examples
    --------
    >>> titin.set_roles("dataset", {"age": "age_at_death"}, age_unit="years")  # doctest: +SKIP
    """
    given = {role: column for role, column in (roles or {}).items() if column}
    if unknown := [role for role in given if role not in layout.ROLES]:
        raise TitinError(f"there is no role {unknown[0]!r}", f"roles: {', '.join(layout.ROLES)}")
    table = None if donors is None else Path(donors)

    def choose(options: Options) -> Options:
        asked = {role: column for role, column in options.roles.items() if role in options.asked} | given
        asked = {role: asked[role] for role in layout.ROLES if role in asked}
        return make_options(options.preset, asked, age_unit=age_unit or options.age_unit, donors=table)

    return _rewrite(dataset, lambda known: (known.obs, ObsChange()), choose, reads_donors=table is not None,
                    origin=None, progress=progress)  # fmt: skip


class _FormerDataset:
    """A dataset as it is: obs as the source had it, and what a build made of it."""

    def __init__(self, atlas: Atlas) -> None:
        self.atlas, self.manifest = atlas, atlas.manifest
        store = atlas.store
        self.rows: NDArray[np.int64] = store.numbers(
            self.manifest.layout.expression, layout.SOURCE_ROW, pa.int64(), least=0, most=self.manifest.n_cells - 1
        )
        order = np.argsort(self.rows, kind="stable")
        if not np.array_equal(self.rows[order], np.arange(len(order))):
            said = f"source_row of {self.manifest.layout.expression} does not name each cell of the source once"
            raise DatasetError(said, "restore it, or build the dataset again")
        self.obs = read_obs(store, order)
        self.derived = read_derived(store).take(order).set_axis(self.obs.index, axis=0)
        self.shown = {name: self.derived[stored] for stored, name in atlas.cells.derived_names.items()}
        self.options = _options_of(self.manifest)

    def cells(self, obs: pd.DataFrame, options: Options, donors: DonorTable | None) -> CellMetadata:
        """What a build would know of cells with this obs."""
        return CellMetadata(obs, options.choose_roles(obs), self.atlas.uns, self.genes, options, donors)

    @cached_property
    def genes(self) -> pa.Table:
        """Symbol and id of every gene, in the source's order."""
        columns = [layout.GENE, layout.GENE_IDS, layout.SOURCE_COLUMN]
        var = self.atlas.store.table(self.manifest.layout.feature_metadata, columns)
        return var.take(pa.array(np.argsort(var.column(layout.SOURCE_COLUMN).to_numpy(), kind="stable")))

    def former_table(self) -> CellTable | None:
        """The table that a build would make of obs as it is; None where it would refuse to."""
        try:
            return make_cell_table(self.cells(self.obs, self.options, self.donors), self.rows)
        except TitinError:
            return None

    @cached_property
    def donors(self) -> DonorTable | None:
        """The table of donors that the dataset was built with, as far as it is known from its cells."""
        origins = {name: origin for name, origin in self.manifest.derived.items() if origin.get("from") == "donors"}
        column = self.manifest.roles.get("donor")
        if not origins or column not in self.obs:
            return None
        names = donor_names(read_entries(self.obs[column], "donor"))
        known = self.derived[list(origins)].groupby(names, observed=True).first()
        ages = known[layout.AGE_YEARS].dropna() if layout.AGE_YEARS in known else pd.Series(dtype=float)
        about = {name: known[name] if pd.api.types.is_float_dtype(known[name].dtype)
                 else known[name].astype(object).where(known[name].notna(), None)
                 for name in known if name != layout.AGE_YEARS}  # fmt: skip
        file = next(iter(origins.values())).get("file") or self.manifest.settings.get("donors") or "donors"
        within = origins.get(layout.AGE_YEARS, {}).get("within", 0.0)
        return DonorTable(ages, [], within, pd.DataFrame(about, index=known.index), Path(file))


def _options_of(manifest: Manifest) -> Options:
    """The options of the build that its labels depend on."""
    preset, given = _preset_of_build(manifest), manifest.settings.get("roles") or {}
    known = preset.build.roles
    by_hand = [role for role in layout.ROLES if role in given and given[role] != known.get(role)]
    asked: dict[str, Any] = {role: given[role] for role in by_hand}
    return make_options(preset, asked, age_unit=manifest.settings.get("age_unit"))


def _preset_of_build(manifest: Manifest) -> Preset:
    """The preset that the build was made with; a card may have given the dataset another one since."""
    built = manifest.settings.get("preset")
    name = built.get("name") if isinstance(built, Mapping) else built
    if not name:
        return Preset()
    recorded = preset_of(manifest)
    return choose_preset(name) if recorded.name != name and name in preset_names() else recorded


def _rewrite(
    dataset: str | Path,
    change: Callable[[_FormerDataset], tuple[pd.DataFrame, ObsChange]],
    choose: Callable[[Options], Options],
    *,
    reads_donors: bool,
    origin: dict[str, Any] | None,
    progress: Progress | None,
) -> Relabelled:
    """Change obs, or what is made of it, in all files of a dataset.

    Parameters
    ----------
    change
        Gives obs as it will be.
    choose
        Gives the options as they will be.
    reads_donors
        Whether these name a table of donors to be read.
    origin
        Table from which the labels come, for the manifest.
    """
    began, folder, progress = time.perf_counter(), local_folder(dataset), progress or Progress()
    known = _FormerDataset(open_atlas(folder))
    obs, changes = change(known)
    options = choose(known.options)
    cells = known.cells(obs, options, None if reads_donors else known.donors)
    former, table = known.former_table(), make_cell_table(cells, known.rows)
    new = _NewLabels(obs, changes, options, cells, former, table, options.donors if reads_donors else None, origin)
    done = Relabelled(folder, known.manifest, changes, _other_roles(known.manifest.roles, cells.roles), [], table.notes)
    if new.differ(known):
        with revise(folder) as draft:
            if draft.manifest != known.manifest:
                raise OutputError(f"another process has changed {folder} meanwhile", "give the command again")
            done.stale = _drop_stale(draft, new)
            _write_tables(draft, known, new, progress)
            _write_structure(draft, new)
            _describe(draft.manifest, new)
            _find_totals(draft.manifest, known, new)
            refresh_documents(draft)
        progress.finish()
        done.stale += _stale_beside(folder)
        done.manifest, done.changed = Manifest.read(folder), True
    done.seconds = time.perf_counter() - began
    return done


@dataclass(frozen=True)
class _NewLabels:
    """obs as it will be, and what a build makes of it.

    Attributes
    ----------
    former
        What a build would make of obs as it is; None where it would refuse to.
    donors
        Table of donors that was read.
    origin
        Table from which the labels come.
    """

    obs: pd.DataFrame
    changes: ObsChange
    options: Options
    cells: CellMetadata
    former: CellTable | None
    table: CellTable
    donors: Path | None
    origin: dict[str, Any] | None

    def differ(self, known: _FormerDataset) -> bool:
        """Whether anything of the dataset changes."""
        if self.changes.columns or self.former is None or self.options != known.options:
            return True
        if self.donors is not None and self.donors.name != known.manifest.settings.get("donors"):
            return True
        return self.former.document != self.table.document or not self.former.rows.equals(self.table.rows)

    @property
    def same_labels(self) -> bool:
        """Whether the labels beside the expression stay as they are."""
        return self.former is not None and self.former.label_table.equals(self.table.label_table)


def _other_roles(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {role: (before.get(role), now[role]) for role in layout.ROLES if before.get(role) != now[role]}


def _drop_stale(draft: Draft, new: _NewLabels) -> list[str]:
    """Remove what was summed by labels that are others now; say that, and which projections stand on such labels."""
    manifest, found = draft.manifest, []
    others, roles = set(map(str, new.changes.columns)), (manifest.roles, new.cells.roles)
    summed = [role_columns({role: of.get(role) for role in _SUMMED_OVER}) for of in roles]
    if summed[0] != summed[1] or others & set(map(str, summed[0])):
        stem = manifest.layout.pseudobulk.removesuffix(".parquet")
        files = [name for name in manifest.files if name.startswith(stem)]
        for name in files:
            draft.remove(name)
        if files:
            found.append("the pseudobulk was summed by the former labels, and is removed; "
                         "`titin age de --save-pseudobulk` writes it anew")  # fmt: skip
    judged = [role_columns({role: of.get(role) for role in _JUDGED}) for of in roles]
    if manifest.layout.label_check in manifest.files and (judged[0] != judged[1] or others & set(map(str, judged[0]))):
        draft.remove(manifest.layout.label_check)
        found.append("the check of labels was of the former ones, and is removed; `titin annotate` makes it anew")
    if manifest.ageing and (roles[0] != roles[1] or not new.same_labels):
        draft.remove_ageing()
        found.append("what changes with age was of the former labels, and is removed; `titin age tables` finds it anew")
    if manifest.layout.regulators in manifest.files and (roles[0] != roles[1] or not new.same_labels):
        for name in manifest.layout.regulation:
            draft.remove(name)
        found.append("regulators were of the former labels, and are removed; `titin network --keep` finds them anew")
    for key, entry in manifest.obsm.items():
        batch = entry.get("computed", {}).get("parameters", {}).get("batch_key")
        if batch is not None and str(batch) in others:
            method = entry["computed"]["method"]
            found.append(f"{key} has the effect of {batch!r} as it was taken out; `titin embed … {method} --force`")
    return found


def _stale_beside(folder: Path) -> list[str]:
    """Name the results beside a dataset, which are of the dataset as it was."""
    there = [path.name for suffix, path in ((s, beside(folder, s)) for s in _BESIDE) if path.exists()]
    return [f"{', '.join(there)}: made of the dataset as it was; make {'it' if len(there) == 1 else 'them'} again"
            ] if there else []  # fmt: skip


def _write_tables(draft: Draft, known: _FormerDataset, new: _NewLabels, progress: Progress) -> None:
    """Write the table of cells, and the labels that stand beside the expression."""
    names, manifest = draft.manifest.layout, draft.manifest
    with tempfile.TemporaryDirectory(prefix="labels-", dir=draft.folder.parent) as scratch:
        written = write_cell_table(Path(scratch), names, new.table)
        _put(draft, names.sample_metadata, Path(scratch), written)
        if new.same_labels:
            return
        labels = new.table.label_table.whole()
        former = _panel_names(known, labels.column_names)
        progress.start("write labels", 2, "files")
        for name, renamed in ((names.expression, {}), (names.expression_panel, former)):
            shards = [draft.folder / shard for shard in manifest.shards(name)]
            now = {before: after for after, before in renamed.items()}
            copied = [field.with_name(now.get(field.name, field.name)) for field in pq.read_schema(shards[0])
                      if field.name not in (layout.CELL_ID, *manifest.obs["labels"])]  # fmt: skip
            if twice := sorted({field.name for field in copied} & set(labels.column_names)):
                raise DatasetError(f"{shards[0].name} has a column {twice[0]} that is none of the labels which "
                                   f"{layout.MANIFEST} names", "build the dataset again")  # fmt: skip
            schema = with_pandas_index(pa.schema([*labels.schema, *copied]), layout.CELL_ID)
            written = splice_columns(Path(scratch), name, shards, labels, schema, renamed)
            _put(draft, name, Path(scratch), written)
            progress.advance(1)
        if former:
            reasons = manifest.panel["genes"]
            manifest.panel["genes"] = {now.get(name, name): why for name, why in reasons.items()}


def _put(draft: Draft, name: str, scratch: Path, written: list[str]) -> None:
    """Put the files of a table in the place of those it had."""
    for shard in draft.manifest.shards(name):
        draft.remove(shard)
    for file in written:
        (scratch / file).replace(draft.replace(file))
        draft.manifest.files[file] = describe_file(draft.folder / file)


def _panel_names(known: _FormerDataset, labels: list[str]) -> dict[str, str]:
    """Former name by name of the panel's columns that labels of their names push aside, or no longer do."""
    columns = list(known.manifest.panel.get("genes", {}))
    genes = list(zip(*(known.genes.column(name).to_pylist() for name in (layout.GENE, layout.GENE_IDS)), strict=True))
    named = {f"{symbol}_{gene_id}": (symbol, gene_id) for symbol, gene_id in genes}
    named |= {symbol: (symbol, gene_id) for symbol, gene_id in reversed(genes)}
    if any(name not in named for name in columns):
        return {}
    now = panel_names([named[name] for name in columns], labels)
    return {after: before for after, before in zip(now, columns, strict=True) if after != before}


def _write_structure(draft: Draft, new: _NewLabels) -> None:
    """Bring the structure file up to date."""
    try:
        structure = read_json(draft.folder / layout.STRUCTURE)
        if not isinstance(structure, dict):
            raise ValueError("it holds no table")
    except (OSError, ValueError) as error:
        said = f"{layout.STRUCTURE} is not as titin writes it: {error}"
        raise DatasetError(said, "restore it, or build the dataset again") from error
    structure |= new.table.described
    write_json(draft.replace(layout.STRUCTURE), structure)


def _describe(manifest: Manifest, new: _NewLabels) -> None:
    """Bring the manifest up to date, as a build would have written it; and say which labels are not the source's."""
    relabelled = list(manifest.obs.get("relabelled", []))
    if new.changes.columns:
        changes = {"columns": new.changes.replaced + new.changes.added, "dropped": new.changes.dropped}
        relabelled.append({**(new.origin or {}), **changes, "titin": __version__})
    manifest.obs = new.table.document | ({"relabelled": relabelled} if relabelled else {})
    manifest.roles, manifest.roles_found = record_roles(new.cells.choices)
    decided = new.options.deciding()
    manifest.settings |= {name: decided[name] for name in ("roles", "age_unit")}
    if new.donors is not None:
        manifest.settings["donors"] = new.donors.name
    manifest.left_out = {place: why for place, why in manifest.left_out.items()
                         if place not in {f"obs/{name}" for name in new.changes.added}}  # fmt: skip
    manifest.notes = _renoted(manifest.notes, new.former.notes if new.former else [], new.table.notes)


def _find_totals(manifest: Manifest, known: _FormerDataset, new: _NewLabels) -> None:
    """Find the column of totals again that cells were divided by, as it may be another now, or gone."""
    recovery, target = manifest.recovery, manifest.recovery.get("target_sum")
    if not target or "target_column" not in recovery or not new.changes.columns:
        return
    if recovery.get("target_of") in {f"obs/{name}" for name in new.changes.columns}:
        recovery |= {"target_sum": None, "target_of": None, "target_column": None}
        return
    scale = np.empty(len(known.rows), np.float32)
    scale[known.rows] = read_scales(known.atlas.store)
    column = total_column(new.obs, scale, scale != 1, target)  # 1 is that of cells without counts
    recovery["target_column"] = column if isinstance(column, str) else None


def _renoted(notes: list[str], former: list[str], now: list[str]) -> list[str]:
    """Notes with those on the cells replaced where they stood: before those on projections."""
    places = [i for i, note in enumerate(notes) if note in former]
    projections = [i for i, note in enumerate(notes) if " was not computed: " in note]
    at = min(places or projections or [len(notes)])
    return [*notes[:at], *now, *(note for note in notes[at:] if note not in former)]
