"""Sections on the atlas as it is: projections, quality, design, markers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.errors import TitinError
from titin.features import gene_sets
from titin.plot import dot_plot, embedding, heat_map, ridge, stacked_bars
from titin.plot.palettes import Palette, palette_of
from titin.presets import MARKERS
from titin.report.data import ReportData
from titin.section import Section

_QUALITY = {
    "counts": ("n_counts", "total_counts", "nCount_RNA", "n_umi"),
    "genes": ("n_genes", "n_genes_by_counts", "nFeature_RNA"),
    "mitochondrial share": ("percent_mito", "pct_counts_mt", "percent.mt", "percent_mt"),
}  # fmt: skip
_MAPS = ("X_umap", "X_tsne", "X_pca")
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
        wide = (6.4, 5.6) if name == "cell type" else (5.4, 4.2)
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
    for key in sorted(atlas.obsm, key=lambda key: _MAPS.index(key) if key in _MAPS else len(_MAPS)):
        matrix = np.asarray(atlas.obsm[key])
        if matrix.ndim == 2 and matrix.shape[1] >= 2:
            return key, matrix
    raise TitinError("this dataset has no projection: `titin embed` computes some")


def quality(section: Section, data: ReportData) -> None:
    """Add distributions of counts, genes and mitochondrial share by donor."""
    obs = data.atlas.cell_columns()
    if "donor" not in data.keys:
        raise TitinError("this dataset has no donors: quality is shown by donor")
    found = False
    for name, candidates in _QUALITY.items():
        column = next((c for c in candidates if c in obs and pd.api.types.is_numeric_dtype(obs[c].dtype)), None)
        if column is None:
            continue
        found = True
        values = obs[column].to_numpy(np.float64)
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
        section.say(f"{int(obs[doublets].sum()):,} cells are flagged as doublets ({doublets}).")


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
    counts = pd.crosstab(data.labels.astype(str).to_numpy(), keys["donor"].to_numpy())
    counts = counts.reindex(columns=data.donors_by_age)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False).index]
    logs = counts.where(counts > 0).astype(float).map(np.log10)
    axes = heat_map(logs, label="log10 cells", x_label="donor, the youngest first", y_label="cell type")
    section.figure("cells", axes, "Cells of each donor and type; blank where there are none",
                   counts.rename_axis("cell_type").reset_index())  # fmt: skip
    long = pd.DataFrame({"donor": keys["donor"].to_numpy(), "cell type": data.labels.astype(str).to_numpy()})
    axes = stacked_bars(long, group="donor", part="cell type", share=True, order=data.donors_by_age,
                        figsize=(max(6.0, 4.4 + 0.26 * len(donors)), 4.6))  # fmt: skip
    axes.set_xlabel("donor, the youngest first")
    section.figure("composition", axes, "Composition of each donor, both protocols together", counts.T.reset_index())


def markers(section: Section, data: ReportData) -> None:
    """Add markers by type as dots: the first of each type, and those that the preset shows."""
    if data.labels is None:
        raise TitinError("this dataset has no cell types: markers are shown by type")
    types = [str(t) for t in data.labels.cat.categories]
    preset = data.atlas.preset
    sets = gene_sets(preset)
    wanted: list[str] = []
    for name in types:
        own = sets.get(f"{MARKERS}{name}")
        wanted += [gene for gene in (own.genes if own else ()) if gene in data.atlas and gene not in wanted][:1]
    wanted = list(dict.fromkeys([*wanted, *preset.report.markers]))
    known = [gene for gene in wanted if gene in data.atlas]
    if not known:
        raise TitinError("this dataset has none of the markers of its preset, by their symbols")
    table = pd.concat([data.lines(gene) for gene in known], ignore_index=True)
    axes = dot_plot(table, x="gene", y="cell_type", x_order=known, color_label="mean value", size_label="cells with it")
    section.figure("markers", axes, "Markers by cell type: area the share of cells, colour the mean", table)


def _join(values: pd.Series) -> str:
    return ", ".join(sorted(map(str, values.dropna().unique())))


ATLAS_SECTIONS = (
    ("projections", "Maps of the cells", projections), ("quality", "Quality", quality),
    ("design", "Design", design), ("markers", "Markers", markers),
)  # fmt: skip


_PICTURES, _PICTURE_BYTES = 6, 400_000
_SCORES = ("task", "split", "model", "track", "leaky", "baseline", "of", "metric", "value", "low", "high", "n_donors")
_HEADLINES = (("donor", "mae"), ("donor", "balanced_accuracy"), ("unit", "macro_f1"))


def read_document(path: Path) -> dict[str, Any] | None:
    """JSON of another command, or None where there is none that can be read."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def beside(folder: Path, suffix: str) -> Path:
    """Where a command leaves what it finds of a dataset."""
    whole = folder.absolute()
    return whole.with_name(f"{whole.name}.{suffix}")


def validation_findings(folder: Path) -> tuple[dict[str, Any] | None, list[tuple[str, str]]]:
    """The validation beside a dataset, and its errors, warnings and crashed checks: severity and sentence."""
    document = read_document(beside(folder, "validation") / "validation_report.json")
    if document is None:
        return None, []
    found = [
        (str(finding["severity"]), f"{check['title']} {finding['message']}")
        for check in document.get("checks", []) for finding in check.get("findings", [])
        if finding.get("severity") in ("error", "warning")
    ]  # fmt: skip
    crashed = [check["title"] for check in document.get("checks", []) if check.get("status") == "crashed"]
    found += [("warning", f"{title} Not known: the check crashed by a bug of titin") for title in crashed]
    return document, sorted(found)


def validation(section: Section, data: ReportData) -> None:
    """Add what `titin validate` found."""
    document, _ = validation_findings(data.folder)
    if document is None:
        raise TitinError("this dataset has not been validated: `titin validate` does it")
    summary = document.get("validation_summary", {})
    found = ", ".join(f"{summary.get(name)} {name}" for name in ("errors", "warnings", "notes"))
    section.say(
        f"Level {document.get('level')}, {summary.get('timestamp')}: {found} in {summary.get('total_tests')} checks."
    )
    rows = [
        {"check": check["title"], "status": check["status"], "read": check.get("read") or "",
         "finding": "; ".join(f["message"] for f in check.get("findings", [])[:2])}
        for check in document.get("checks", [])
    ]  # fmt: skip
    section.table("checks", pd.DataFrame(rows), "Checks", rows=100)
    section.facts |= {key: summary.get(key) for key in ("errors", "warnings", "notes")}


def benchmark(section: Section, data: ReportData) -> None:
    """Add the scores and figures of `titin bench`."""
    folder = beside(data.folder, "benchmark")
    document = read_document(folder / "scores.json")
    if document is None:
        raise TitinError("this dataset has not been benchmarked: `titin bench` does it")
    section.say("Models are compared with donors held out; intervals are over donors.")
    section.list([str(sentence) for sentence in document.get("told", [])], title="What cannot be said", folded=True)
    scores = pd.DataFrame(document.get("scores", []))
    kinds = {str(task["name"]): task for task in document.get("tasks", [])}
    for task, own in scores.groupby("task", sort=False) if set(_SCORES) <= set(scores) else []:
        section.heading(str(task))
        described = kinds.get(str(task), {})
        section.say(f"{str(described.get('description', task)).rstrip('.').capitalize()}.")
        section.list(map(str, described.get("not_evaluable", [])), title="Not evaluable")
        _best(section, str(task), own)
    for path in sorted((folder / "figures").glob("*.png"))[:_PICTURES]:
        png = path.read_bytes()
        if len(png) <= _PICTURE_BYTES:
            name = path.stem.replace("_", " ")
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


RESULT_SECTIONS = (
    ("benchmark", "Benchmark", benchmark), ("validation", "Validation", validation),
    ("files", "The dataset's files", files),
)  # fmt: skip
