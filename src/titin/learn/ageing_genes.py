"""Whether models have learnt biology: sex from sex genes, types from their markers, age from genes known to age."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from titin.atlas import Atlas
from titin.features import gene_sets
from titin.learn.cells import symbol_positions
from titin.learn.leaderboard import ranked
from titin.learn.plan import BenchmarkJob, FoldsOf
from titin.learn.store import ResultStore
from titin.learn.tasks import Task
from titin.markdown import escape, listed
from titin.presets import MARKERS
from titin.results import write_document
from titin.study.design import CELL_TYPE

TOP = 50
AGEING = ("SenMayo", "GenAge_human", "CellAge", "CellAge_induces", "CellAge_inhibits", "HAGR_ageing_up",
          "HAGR_ageing_down")  # fmt: skip
_BINS, _DRAWS = 20, 1000


def consensus(genes: pd.DataFrame) -> pd.DataFrame:
    """Bring the genes of several folds together.

    Parameters
    ----------
    genes
        ``fold``, ``class``, ``gene``, ``weight``: the largest of each fold.

    Returns
    -------
    pandas.DataFrame
        ``class``, ``gene``, ``weight`` (mean over all folds, 0 where a fold has it not), ``folds`` (share of folds
        that have it); by class, the largest mean absolute weight first.
    """
    n_folds = genes["fold"].nunique()
    grouped = genes.groupby(["class", "gene"])["weight"].agg(["sum", "size"]).reset_index()
    found = pd.DataFrame({"class": grouped["class"], "gene": grouped["gene"], "weight": grouped["sum"] / n_folds,
                          "folds": grouped["size"] / n_folds})  # fmt: skip
    order = found["weight"].abs().sort_values(ascending=False, kind="stable").index
    return found.loc[order].sort_values("class", kind="stable").reset_index(drop=True)


def stability(genes: pd.DataFrame, top: int = TOP) -> float:
    """Mean Jaccard index of the ``top`` genes of each two folds; NaN for one fold."""
    ordered = genes.assign(size=genes["weight"].abs()).sort_values("size", ascending=False, kind="stable")
    sets = [set(mine["gene"].head(top)) for _, mine in ordered.groupby("fold")]
    pairs = [len(a & b) / len(a | b) for a, b in combinations(sets, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")


def overlap(atlas: Atlas, genes: Iterable[str], members: Iterable[str], *, seed: int = 0) -> dict[str, float]:
    """Count chosen genes in a set, and in random choices of genes with like detection.

    Returns
    -------
    dict
        ``found``; ``expected`` (mean of 1,000 random choices, each gene replaced by one of its twentieth of detection)
        and ``p`` (share of choices with as many, one-sided).
    """
    detected = atlas.reader.genes.n_cells
    expressed = np.flatnonzero(detected > 0)
    rank = np.argsort(np.argsort(-detected[expressed], kind="stable"), kind="stable")
    bins = np.zeros(atlas.n_vars, np.int64)
    bins[expressed] = rank * _BINS // max(1, len(expressed))
    within = np.zeros(atlas.n_vars, bool)
    within[symbol_positions(atlas, members)] = True
    mine = atlas.gene_positions(list(genes)) if genes else np.zeros(0, np.int64)
    found = int(within[mine].sum())
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = np.zeros(_DRAWS)
    for number, size in zip(*np.unique(bins[mine], return_counts=True), strict=True):
        pool = expressed[bins[expressed] == number]
        inside = int(within[pool].sum())
        drawn += rng.hypergeometric(inside, len(pool) - inside, min(int(size), len(pool)), _DRAWS)
    return {
        "found": float(found),
        "expected": float(drawn.mean()),
        "p": float((1 + (drawn >= found).sum()) / (1 + _DRAWS)),
    }


def check_biology(
    atlas: Atlas, store: ResultStore, jobs: Sequence[BenchmarkJob], folds_of: FoldsOf, scores: pd.DataFrame,
    seed: int = 0, further_sets: Mapping[str, Iterable[str]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Check the best linear model of each task, with one donor left out; write ``biology.json`` and ``biology.md``.

    The genes of models of age are held against the bundled ageing sets, and ``further_sets`` (symbols by name).
    """
    sets = gene_sets(atlas.preset)
    ageing = {name: sets[name].genes for name in AGEING} | dict(further_sets or {})
    found: dict[str, Any] = {}
    for task in dict.fromkeys(job.task for job in jobs):
        held = scores[(scores["task"] == task.name) & (scores["split"] == "leave_one_donor_out")]
        for name in ranked(task, held)["model"] if len(held) else []:
            job = next(j for j in jobs if (j.task, j.model.name, j.split.name) == (task, name, "leave_one_donor_out"))
            numbers = [fold.number for fold in folds_of(job)]
            genes = store.read(task.name, job.split.name, name, numbers, "genes")
            if len(genes) and set(genes["gene"]) <= set(atlas.var_names.astype(str)):
                found[task.name] = {"model": name, **_check(atlas, task, genes, ageing, seed)}
                break
    write_document(store.folder / "biology.json", {"schema_version": 1, "tasks": found})
    store.write_text("biology.md", _markdown(found))
    return found


def _check(
    atlas: Atlas, task: Task, genes: pd.DataFrame, ageing: Mapping[str, Iterable[str]], seed: int
) -> dict[str, Any]:
    together = consensus(genes)
    if task.name == "sex":
        known = {gene for name in ("sex_female", "sex_male") for gene in gene_sets()[name].genes}
        top = _symbols(atlas, together["gene"].head(10))
        return {
            "top_genes": top,
            "sex_genes_in_top_10": sum(gene in known for gene in top),
            "stability": stability(genes),
        }
    if task.name.startswith(CELL_TYPE):
        return {"classes": _marker_recovery(atlas, together)}
    top = together["gene"].head(TOP).tolist()
    checked: dict[str, Any] = {"top_genes": _symbols(atlas, top), "stability": stability(genes)}
    if task.name.startswith(("age", "young")):
        checked["overlap"] = {name: overlap(atlas, top, members, seed=seed) for name, members in ageing.items()}
    if task.kind == "regression":
        rising = together["gene"].head(TOP)[together["weight"].head(TOP) > 0].tolist()
        for name, counts in checked.get("overlap", {}).items():
            counts["rising"] = overlap(atlas, rising, ageing[name], seed=seed)["found"]
    return checked


def _marker_recovery(atlas: Atlas, together: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """For each type with bundled markers: which of them are among the genes that speak most for it."""
    sets, found = gene_sets(atlas.preset), {}
    for name, mine in together[together["weight"] > 0].groupby("class"):
        if f"{MARKERS}{name}" in sets:
            known = atlas.var_names[symbol_positions(atlas, sets[f"{MARKERS}{name}"].genes)].astype(str).tolist()
            top = set(mine["gene"].head(TOP))
            found[str(name)] = {
                "markers": len(known), f"in_top_{TOP}": sum(gene in top for gene in known),
                "expected": len(known) * len(top) / atlas.n_vars,
            }  # fmt: skip
    return found


def _symbols(atlas: Atlas, names: Iterable[str]) -> list[str]:
    from titin.learn.cells import gene_symbols

    return gene_symbols(atlas)[atlas.gene_positions(list(names))].tolist()


def _markdown(found: dict[str, Any]) -> str:
    lines = ["# What the models use", "", "The best linear model of each task, over all held-out donors.", ""]
    for task, checked in found.items():
        lines += [f"## {escape(task)}: {escape(checked['model'])}", ""]
        if "top_genes" in checked:
            lines += [f"Genes that weigh most: {listed(checked['top_genes'][:20], 20)}.", ""]
        if "sex_genes_in_top_10" in checked:
            lines += [f"{checked['sex_genes_in_top_10']} of the first 10 are XIST or genes of the Y chromosome.", ""]
        if np.isfinite(checked.get("stability", float("nan"))):
            lines += [f"Any two folds share {checked['stability']:.0%} of their first {TOP} genes (Jaccard).", ""]
        if "classes" in checked:
            total = sum(c["markers"] for c in checked["classes"].values())
            hit = sum(c[f"in_top_{TOP}"] for c in checked["classes"].values())
            expected = sum(c["expected"] for c in checked["classes"].values())
            lines += [f"{hit} of {total} known markers are among the {TOP} genes that speak most for their type; "
                      f"{expected:.1f} would be by chance.", ""]  # fmt: skip
        for name, counts in checked.get("overlap", {}).items():
            rising = f" ({counts['rising']:.0f} of them rising)" if counts["found"] and "rising" in counts else ""
            lines.append(f"- {escape(name)}: {counts['found']:.0f} of the first {TOP}{rising}, "
                         f"{counts['expected']:.1f} expected of genes detected as often, "
                         f"p = {counts['p']:.3g}")  # fmt: skip
        lines += [""] if "overlap" in checked else []
    return "\n".join(lines).rstrip() + "\n"
