"""The leaderboard: for each task and split a Markdown table of models, baselines among them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from titin import markdown
from titin.learn.scoring import BEST_P, HIGHER_IS_BETTER, headline
from titin.learn.store import ResultStore
from titin.learn.tasks import Eligibility, Task
from titin.markdown import Markdown, bullets, escape

METRIC_NAMES = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "spearman": "Spearman", "within_arm_mae": "MAE within arms",
          "macro_f1": "macro F1", "micro_f1": "micro F1", "weighted_f1": "weighted F1", "accuracy": "accuracy",
          "balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "average_precision": "AP", "ece": "ECE",
          "hierarchical_f1": "hierarchical F1", "parent_accuracy": "right parent"}  # fmt: skip
_SHOWN = {
    "regression": ("mae", "rmse", "r2", "spearman", "within_arm_mae"),
    "classification": ("macro_f1", "micro_f1", "weighted_f1", "balanced_accuracy", "auroc", "average_precision", "ece",
                       "parent_accuracy", "hierarchical_f1"),
}  # fmt: skip
LEAKY = "**LEAKY, for demonstration only**: units of every donor are on both sides. Not a performance."


def write_leaderboard(
    store: ResultStore, scores: pd.DataFrame, comparisons: pd.DataFrame, checked: Mapping[str, Eligibility],
    facts: Mapping[str, Any], told: Sequence[str],
) -> None:  # fmt: skip
    """Write ``leaderboard.md``."""
    store.write_text("leaderboard.md", make_leaderboard(scores, comparisons, checked, facts, told))


def make_leaderboard(
    scores: pd.DataFrame, comparisons: pd.DataFrame, checked: Mapping[str, Eligibility], facts: Mapping[str, Any],
    told: Sequence[str],
) -> str:  # fmt: skip
    """Make the Markdown of a leaderboard; see `titin.learn.results.write_results`."""
    lines = [f"# Benchmark of {escape(facts['dataset'])}", "",
             f"Donors are the replicates. Splits: sha256 `{facts['splits_sha256'][:16]}…`, seed {facts['seed']}. "
             "All rows of a table are scored on the same donors, unless a row says otherwise. Intervals (95 %) are "
             "over donors, by bootstrap; `p` is over permutations of donors within sex and protocol, for each model "
             "by itself; `p vs baseline` is "
             "of a paired test, donor by donor, against the best baseline. A model marked *transductive* has seen the "
             "held-out donors' expression when its features were made.", ""]  # fmt: skip
    if facts.get("where"):
        lines += [f"Cells were chosen: {escape(' and '.join(facts['where']))}.", ""]
    for name, eligibility in checked.items():
        of_task = scores[scores["task"] == name]
        if of_task.empty:
            continue
        lines += [
            f"## {escape(name)}",
            "",
            escape(f"{eligibility.task.description[:1].upper()}{eligibility.task.description[1:]}."),
            "",
        ]
        for split, of_split in of_task.groupby("split", sort=False):
            if "@" not in str(split):
                paired = comparisons[(comparisons["task"] == name) & (comparisons["split"] == split)]
                lines += _table(eligibility.task, str(split), of_split, paired)
        lines += _leak_gap(eligibility.task, of_task)
    if told:
        lines += ["## What cannot be said", "", bullets(map(escape, told)), ""]
    return "\n".join(lines).rstrip() + "\n"


def ranked(task: Task, scores: pd.DataFrame) -> pd.DataFrame:
    """Return a row a model, the best first: its columns, those of one score each, and the headline's interval."""
    of, metric = headline(task)
    mine = scores[scores["of"] == of]
    if mine.empty:
        of = "unit"
        mine = scores[scores["of"] == of]
    facts = ["model", "features", "track", "baseline", "level", "n_units", "n_donors"]
    wide = mine.pivot_table("value", "model", "metric", aggfunc="first", dropna=False)
    best = mine[mine["metric"] == metric].set_index("model")[["low", "high"]]
    table = mine[facts].drop_duplicates("model").set_index("model").join(wide).join(best)
    up = HIGHER_IS_BETTER.get(metric, True)
    return table.sort_values(metric, ascending=not up, kind="stable").reset_index()


def _table(task: Task, split: str, scores: pd.DataFrame, comparisons: pd.DataFrame) -> list[str]:
    table = ranked(task, scores)
    _, first = headline(task)
    others = [name for name in _SHOWN[task.kind] if name != first and name in table and table[name].notna().any()]
    leaky = bool(scores["leaky"].iloc[0])
    tests = [] if leaky else ["p", "p vs baseline"]
    n_donors, n_units = int(scores["n_donors"].max()), int(scores["n_units"].max())
    scored = [METRIC_NAMES.get(name, name) for name in others]
    head = ["model", "sees", f"{METRIC_NAMES.get(first, first)} (95 %)", *scored, *tests]
    lines = [f"### {escape(task.name)}, {escape(split)}: {n_donors} donors, {n_units:,} units", ""]
    lines += [LEAKY, ""] if leaky else []
    rows = []
    baselines = table[table["baseline"].astype(bool) & (table["model"] != "young_old_oracle")]
    best = baselines["model"].iloc[0] if len(baselines) else None
    for row in table.to_dict("records"):
        stars = "*" if row["baseline"] else "**"
        fewer = f", {row['n_donors']} of {n_donors} donors" if row["n_donors"] < n_donors else ""
        name = Markdown(f"{stars}{escape(row['model'])}{stars}{fewer}")
        sees = f"{row['features'].partition(':')[0]}, {row['level']}s"
        sees += " (transductive)" if row["track"] == "transductive" else ""
        cells = [name, sees, f"{_number(row[first])} ({_number(row['low'])} to {_number(row['high'])})"]
        cells += [_number(row[other]) for other in others]
        if tests:
            cells += [_p(row), "" if row["baseline"] or best is None else _paired(comparisons, row["model"], best)]
        rows.append(cells)
    return [*lines, markdown.table(head, rows), "", *_best_of_several(scores)]


def _best_of_several(scores: pd.DataFrame) -> list[str]:
    """Say that the error of the best of several models is optimistic, and its p with the choice in it."""
    found = scores[scores["metric"] == BEST_P]
    if found.empty:
        return []
    n = scores.loc[~scores["baseline"].astype(bool), "model"].nunique()
    best, p = found.iloc[0][["model", "value"]]
    return [f"{escape(best)} is the best of {n} models, and chosen for it: its error is optimistic. "
            f"So good a best of {n} has p ≤ {p:.3g}.", ""]  # fmt: skip


def _leak_gap(task: Task, scores: pd.DataFrame) -> list[str]:
    table = leak_gap(task, scores)
    if table.empty:
        return []
    _, metric = headline(task)
    lines = [f"{escape(row['model'])} {_number(row['held_out'])} with donors held out, {_number(row['leaky'])} leaky"
             for row in table.to_dict("records")]  # fmt: skip
    return [f"What a leaky split would have claimed ({METRIC_NAMES.get(metric, metric)}): {'; '.join(lines)}.", ""]


def leak_gap(task: Task, scores: pd.DataFrame) -> pd.DataFrame:
    """Return the headline score of each model with donors held out and on the leaky split, and what lies between."""
    of, metric = headline(task)
    mine = scores[(scores["metric"] == metric) & (scores["of"] == of) & ~scores["baseline"].astype(bool)]
    held = mine[mine["split"] == "leave_one_donor_out"].set_index("model")["value"]
    leaky = mine[mine["leaky"].astype(bool)].set_index("model")["value"]
    both = pd.concat({"held_out": held, "leaky": leaky}, axis=1, join="inner")
    return both.assign(gap=both["leaky"] - both["held_out"]).reset_index()


def _p(row: Mapping[Any, Any]) -> str:
    for name, sign in (("permutation_p", ""), ("permutation_p_cautious", "≤ ")):
        value = row.get(name)
        if value is not None and np.isfinite(value):
            return f"{sign}{value:.3g}"
    return ""


def _paired(comparisons: pd.DataFrame, model: str, other: str) -> str:
    for a, b, sign in ((model, other, 1), (other, model, -1)):
        found = comparisons[(comparisons["model"] == a) & (comparisons["other"] == b)]
        if len(found) and np.isfinite(p := float(found["p"].iloc[0])):
            return f"{p:.3g}{', worse' if sign * found['difference'].iloc[0] > 0 else ''}"
    return ""


def _number(value: Any) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"
