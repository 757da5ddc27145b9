"""Sections on the atlas as it is: projections, quality, design, markers."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.annotate import read_label_check
from titin.annotate.report_section import show_label_check
from titin.atlas import Atlas
from titin.errors import TitinError
from titin.features import gene_sets
from titin.plot import dot_plot, embedding, embedding_panels, heat_map, ridge, stacked_bars
from titin.plot.palettes import Palette, palette_of
from titin.presets import MARKERS
from titin.report.beside import read_pictures, read_result
from titin.report.data import ReportData
from titin.report.regulators import regulators
from titin.section import Section
from titin.study.gaps import find_complete, say_left_out

_QUALITY = {
    "counts": ("n_counts", "total_counts", "nCount_RNA", "n_umi"),
    "genes": ("n_genes", "n_genes_by_counts", "nFeature_RNA"),
    "mitochondrial share": ("percent_mito", "pct_counts_mt", "percent.mt", "percent_mt"),
}  # fmt: skip
_MAPS = ("X_umap", "X_tsne", "X_pca")
_FEW_DONORS = 8  # up to here their colours can be told apart on one map
_POINTS = 60_000  # rows of a map's CSV


def projections(section: Section, data: ReportData) -> None:
    """Add the maps of the cells, on the same axes, by type, age, sex, donor and protocol."""
    atlas = data.atlas
    key, matrix = _first_map(atlas)
    stem = key.removeprefix("X_").upper()
    x, y = f"{stem}1", f"{stem}2"
    table = pd.DataFrame({x: matrix[:, 0], y: matrix[:, 1]})
    colors = {
        "cell type": data.labels,
        **{name: data.keys.get(name) for name in ("age", "sex", "donor", "protocol")},
    }
    for name, column in colors.items():
        if column is None:
            continue
        table[name] = column.to_numpy() if name == "age" else column.astype("string").astype("category").to_numpy()
        if name == "donor" and column.nunique() > _FEW_DONORS:
            order = [donor for donor in data.donors_by_age if (column == donor).any()]
            axes = embedding_panels(table, x=x, y=y, by=name, order=order)
            section.figure("by_donor", axes, f"{stem}, a panel a donor, the youngest first; all other cells in grey")
            continue
        wide = (8.6, 5.6) if name == "cell type" else (5.4, 4.2)
        palette: Palette | None = "cividis" if name == "age" else None
        if name == "cell type":
            palette = palette_of(table[name], atlas.preset.colours)
        axes = embedding(table, x=x, y=y, color=name, palette=palette, figsize=wide)
        section.figure(f"by_{name}", axes, f"{stem} by {name}")
    if len(table.columns) == 2:
        section.figure("cells", embedding(table, x=x, y=y), f"{stem}; nothing is known to colour it by")
    more = f" (the first {_POINTS:,} cells; all of them are in the dataset)" if len(table) > _POINTS else ""
    cells = table.assign(cell_id=atlas.obs_names).head(_POINTS)
    section.numbers("cells", cells, f"Coordinates and colours: {{link}}{more}.")
    if key == "X_scVI" or "scvi" in key.lower():
        section.say("This projection was trained on all donors: it is to look at, and no basis for tests between them.")


def _first_map(atlas: Atlas) -> tuple[str, NDArray[Any]]:
    """The embedding to show, UMAP rather than others; embeddings are read one by one until one has two columns."""
    for key in sorted(atlas.manifest.projections, key=lambda key: _MAPS.index(key) if key in _MAPS else len(_MAPS)):
        matrix = np.asarray(atlas.obsm[key])
        if matrix.ndim == 2 and matrix.shape[1] >= 2:
            return key, matrix
    raise TitinError("this dataset has no projection: `titin embed` computes some")


def is_measure(column: pd.Series) -> bool:
    """Whether a column of such a name holds what it promises: no number below zero, and none without end."""
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return False
    known = column.dropna().to_numpy(np.float64)
    return bool(len(known) and (known >= 0).all() and np.isfinite(known).all())


def quality(section: Section, data: ReportData) -> None:
    """Add distributions of counts, genes and mitochondrial share by donor."""
    obs = data.atlas.cell_columns()
    if "donor" not in data.keys:
        raise TitinError("this dataset has no donors: quality is shown by donor")
    found = False
    for name, candidates in _QUALITY.items():
        column = next((c for c in candidates if c in obs and is_measure(obs[c])), None)
        if column is None:
            continue
        found = True
        values = obs[column].to_numpy(np.float64, na_value=np.nan)
        shown, label = (values, column) if name.startswith("mito") else (np.log10(1 + values), f"log10 (1 + {column})")
        table = pd.DataFrame({"donor": data.keys["donor"].to_numpy(), name: shown})
        if "protocol" in data.keys:
            table["protocol"] = data.keys["protocol"].to_numpy()
        donors = [d for d in data.donors_by_age if (table["donor"] == d).any()]
        quartiles = table.groupby("donor")[name].describe()[["count", "min", "25%", "50%", "75%", "max"]].reset_index()
        axes = ridge(
            table, group="donor", value=name, order=donors, xlabel=label, figsize=(5.0, 1.4 + 0.23 * len(donors))
        )
        section.figure(name, axes, f"{name.capitalize()} of the cells of each donor, the youngest on top", quartiles)
    if not found:
        section.say("No column of obs holds counts, genes or mitochondrial shares by a usual name.", kind="soft")
    doublets = next((c for c in ("is_doublet", "predicted_doublet", "doublet") if c in obs), None)
    if doublets is not None and pd.api.types.is_bool_dtype(obs[doublets].dtype):
        n_called = int(obs[doublets].astype("boolean").sum())  # may be categories of true and false, with gaps
        section.say(f"{n_called:,} cells are flagged as doublets ({doublets}).")


def design(section: Section, data: ReportData) -> None:
    """Add who was sampled: donors by age, sex and protocol; and the cells of each donor by type."""
    keys = data.keys
    if "donor" not in keys:
        raise TitinError("this dataset has no donors: nothing can be compared between people")
    about = [c for c in ("age", "sex", "protocol", "chemistry") if c in keys]
    grouped = keys.groupby("donor")
    said = {c: grouped[c].first() if c in ("age", "sex") else grouped[c].agg(_join) for c in about}
    donors = pd.DataFrame({"cells": grouped.size(), **said})
    donors = donors.loc[data.donors_by_age].reset_index()
    section.facts |= {"donors": len(donors)}
    section.table("donors", donors, "Donors, the youngest first", rows=60)
    if data.labels is None:
        section.say("Not here: this dataset has no cell types, so that donors cannot be shown by type.", kind="soft")
        return
    cells = pd.DataFrame({"donor": keys["donor"].to_numpy(), "cell type": data.labels.astype(object).to_numpy()})
    complete = find_complete(cells, ["donor", "cell type"])
    for sentence in say_left_out(complete.cells_left_out):
        section.say(f"In what follows {sentence}.", kind="soft")
    cells = cells[complete.rows].astype(str)
    if cells.empty:
        return
    counts = pd.crosstab(cells["cell type"].to_numpy(), cells["donor"].to_numpy())
    counts = counts.reindex(columns=data.donors_by_age, fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False).index]
    logs = counts.where(counts > 0).astype(float).map(np.log10)
    axes = heat_map(logs, label="log10 cells", missing="no cell", x_label="donor, the youngest first",
                    y_label="cell type")  # fmt: skip
    section.figure("cells", axes, "Cells of each donor and type",
                   counts.rename_axis("cell_type").reset_index())  # fmt: skip
    axes = stacked_bars(cells, group="donor", part="cell type", share=True, order=data.donors_by_age,
                        palette=palette_of(cells["cell type"], data.atlas.preset.colours),
                        figsize=(max(6.0, 4.4 + 0.26 * len(donors)), 4.6))  # fmt: skip
    axes.set_xlabel("donor, the youngest first")
    section.figure("composition", axes, "Composition of each donor, both protocols together", counts.T.reset_index())


def markers(section: Section, data: ReportData) -> None:
    """Add markers by type as dots: the first of each type, and those that the preset shows."""
    if data.labels is None:
        raise TitinError("this dataset has no cell types: markers are shown by type")
    types = [str(t) for t in data.labels.cat.categories]
    preset, atlas = data.atlas.preset, data.atlas.comparable()
    sets = gene_sets(preset)
    wanted: list[str] = []
    for name in types:
        own = sets.get(f"{MARKERS}{name}")
        wanted += [gene for gene in (own.genes if own else ()) if gene in atlas and gene not in wanted][:1]
    wanted = list(dict.fromkeys([*wanted, *preset.report.markers]))
    known = [gene for gene in wanted if gene in atlas]
    if not known:
        raise TitinError("this dataset has none of the markers of its preset, by their symbols")
    table = pd.concat([data.lines(gene) for gene in known], ignore_index=True)
    axes = dot_plot(table, x="gene", y="cell_type", x_order=known, color_label="mean value", size_label="cells with it")
    section.figure("markers", axes, "Markers by cell type: area the share of cells, colour the mean", table)


def _join(values: pd.Series) -> str:
    return ", ".join(sorted(map(str, values.dropna().unique())))


_HEADLINES = (("donor", "mae"), ("donor", "balanced_accuracy"), ("unit", "macro_f1"))


def validation(section: Section, data: ReportData) -> None:
    """Add what `titin validate` found."""
    document = read_result(data.folder, "validation")
    if document is None:
        raise TitinError("this dataset has not been validated: `titin validate` does it")
    summary = document["validation_summary"]
    found = ", ".join(f"{summary[name]} {name}" for name in ("errors", "warnings", "notes"))
    section.say(f"Level {document['level']}, {summary['timestamp']}: {found} in {summary['total_tests']} checks.")
    rows = [
        {"check": check["title"], "status": check["status"], "read": check.get("read") or "",
         "finding": "; ".join(f["message"] for f in check.get("findings", [])[:2])}
        for check in document["checks"]
    ]  # fmt: skip
    section.table("checks", pd.DataFrame(rows), "Checks", rows=100)
    section.facts |= {key: summary[key] for key in ("errors", "warnings", "notes")}


def benchmark(section: Section, data: ReportData) -> None:
    """Add the scores and figures of `titin bench`."""
    document = read_result(data.folder, "benchmark")
    if document is None:
        raise TitinError("this dataset has not been benchmarked: `titin bench` does it")
    section.say("Models are compared with donors held out; intervals are over donors.")
    section.list(document.get("told", []), title="What cannot be said", folded=True)
    scores = pd.DataFrame(document["scores"])
    kinds = {task["name"]: task for task in document["tasks"]}
    for task, own in scores.groupby("task", sort=False) if len(scores) else []:
        section.heading(str(task))
        described = kinds.get(str(task), {})
        section.say(f"{str(described.get('description', task)).rstrip('.').capitalize()}.")
        section.list(map(str, described.get("not_evaluable", [])), title="Not evaluable")
        _best(section, str(task), own)
    for stem, png in read_pictures(data.folder):
        name = stem.replace("_", " ")
        section.picture(name, png, f"Figure of the benchmark: {name}")
    section.facts |= {"scores": len(scores)}


def _best(section: Section, task: str, scores: pd.DataFrame) -> None:
    """Models by the headline score of a task; those with donors on both sides apart, and called so."""
    for of, metric in _HEADLINES:
        own = scores[(scores["of"] == of) & (scores["metric"] == metric)]
        if len(own):
            break
    else:
        return
    leaky = own["leaky"].astype(bool)
    name = metric.replace("_", " ")
    held = own[~leaky].sort_values(["split", "value"], ascending=[True, metric == "mae"], kind="stable")
    columns = ["split", "model", "baseline", "track", "value", "low", "high", "n_donors"]
    if len(held):
        title = f"{name} over {of}s, with donors held out"
        section.table(f"scores_{task}", held, title, rows=40, folded=False, columns=columns)
    if leaky.any():
        title = f"{name} with cells of every donor on both sides: no performance, to show the leak"
        section.table(f"leaky_{task}", own[leaky].sort_values("value"), title, rows=40, columns=columns)


def files(section: Section, data: ReportData) -> None:
    """Add what the dataset holds, and how large it is."""
    manifest = data.atlas.manifest
    table = pd.DataFrame(
        [{"file": name, "bytes": int(own["bytes"]), "rows": own.get("rows")} for name, own in manifest.files.items()]
    )
    matrix = table["file"].str.contains("_expression") & ~table["file"].str.contains("panel")
    total, bits = int(table["bytes"].sum()), 8 * table.loc[matrix, "bytes"].sum() / max(1, manifest.nnz)
    section.say(
        f"{total / 1e6:,.1f} MB in {len(table)} files; {manifest.nnz:,} values of {manifest.n_cells:,} × "
        f"{manifest.n_genes:,} are not zero ({manifest.sparsity:.2%} zeros), {bits:.1f} bits for each, in both orders."
    )
    table["rows"] = table["rows"].astype("Int64")
    section.table("files", table, "Files", rows=60)
    source = {k: v for k, v in manifest.source.items() if isinstance(v, str | int | float)}
    section.list([f"{k}: {v}" for k, v in source.items()], title="Source", folded=True)
    section.list([f"{k}: {v}" for k, v in manifest.left_out.items()], title="Left out of the dataset", folded=True)
    section.list(manifest.notes, title="Notes of the build", folded=True)
    section.facts |= {"bytes": total, "nnz": manifest.nnz}


def labels_checked(section: Section, data: ReportData) -> None:
    """Add what `titin annotate` has found."""
    check = read_label_check(data.atlas)
    if check is None:
        raise TitinError("the labels of this dataset have not been checked: `titin annotate` does it")
    show_label_check(section, check)
    data.parameters["Labels"] = check.settings


FIRST_SECTIONS = (("projections", "Maps of the cells", projections),)
FURTHER_SECTIONS = (
    ("regulators", "Regulators", regulators),
    ("markers", "Markers", markers),
    ("design", "Design", design),
    ("labels", "Labels", labels_checked),
)
RESULT_SECTIONS = (
    ("benchmark", "Benchmark", benchmark), ("quality", "Quality", quality),
    ("validation", "Validation", validation), ("files", "The dataset's files", files),
)  # fmt: skip
