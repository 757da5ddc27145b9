"""How well labels hold on donors that the model has not seen: by type, donor and protocol, with donors counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from titin.annotate.confident_learning import alike_types, confident_calls
from titin.atlas import Atlas
from titin.learn.metrics import donor_draws, interval
from titin.study.design import Study, text_values
from titin.text import count

_DRAWS = 1000
TYPE_COLUMNS = (
    "level", "cell_type", "n_cells", "n_donors", "recall", "recall_low", "recall_high", "precision", "precision_low",
    "precision_high", "mean_p", "n_flagged", "lowest_donor", "lowest_recall", "confused_with", "confused_share",
    "alike", "evaluable",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class LabelQuality:
    """What follows from the table of a label check.

    Attributes
    ----------
    types
        One row a level and type, `TYPE_COLUMNS`: mean over donors of the share of its cells that are called so again
        (``recall``), and of the share of cells called so that have the label (``precision``), with 95 % intervals from
        drawing donors; ``mean_p``, of its cells the mean probability of the label; the donor with the least recall;
        the other type that most of its cells are taken for; ``alike``, those that are too like it to be told apart,
        joined by "; ".
    groups
        One row a level, type and donor (``by``: ``donor``) or protocol: ``n_cells``, ``recall``, ``n_called``,
        ``precision``.
    confusion
        One row a level, label and predicted type: ``n_cells``, ``share`` of the label's cells, ``n_donors``,
        ``same_lineage``, whether both are of one type of the coarsest level.
    calibration
        One row a level and bin of p_predicted: ``confidence``, ``agreement`` with the label, ``n_cells``.
    not_evaluable
        By level and type, why nothing is said of it.
    levels
        By level: ``n_cells`` judged, ``n_flagged``, ``agreement`` (mean over donors), ``calibration_error``, ``alike``
        (pairs that are told apart too badly: which of the two a cell is, is not evaluable, and gives no flags).
    """

    types: pd.DataFrame
    groups: pd.DataFrame
    confusion: pd.DataFrame
    calibration: pd.DataFrame
    not_evaluable: dict[str, dict[str, str]]
    levels: dict[str, dict[str, Any]]


def label_quality(atlas: Atlas, table: pd.DataFrame, settings: Mapping[str, Any]) -> LabelQuality:
    """Say of each type what the table of a label check says.

    Parameters
    ----------
    atlas
        The dataset.
    table
        As `titin.annotate.LabelCheck.table`.
    settings
        ``min_donors`` and ``min_cells`` that a type needs.
    """
    study = Study.of(atlas)
    keys = study.keys([name for name in ("donor", "protocol") if study.knows(name)])
    lineage = text_values(study.labels(study.levels[0])) if study.levels else None
    parts: dict[str, list[pd.DataFrame]] = {"types": [], "groups": [], "confusion": [], "calibration": []}
    untold: dict[str, dict[str, str]] = {}
    levels: dict[str, dict[str, Any]] = {}
    for i, level in enumerate(dict.fromkeys(table["level"].astype(str))):
        own = table.iloc[i * atlas.n_obs : (i + 1) * atlas.n_obs]
        cells = pd.DataFrame({
            "label": text_values(own["label"]),
            "predicted": text_values(own["predicted"]),
            "p_label": own["p_label"].to_numpy(np.float64), "p": own["p_predicted"].to_numpy(np.float64),
            "flagged": own["flagged"].to_numpy(bool), "lineage": lineage,
            **{name: keys[name].to_numpy(object) for name in keys},
        })  # fmt: skip
        made, untold[level], levels[level] = _of_level(cells, settings)
        for name, frame in made.items():
            frame.insert(0, "level", level)
            parts[name].append(frame)
    joined = {name: _concatenated(frames) for name, frames in parts.items()}
    return LabelQuality(joined["types"][list(TYPE_COLUMNS)], joined["groups"], joined["confusion"],
                        joined["calibration"], untold, levels)  # fmt: skip


def _concatenated(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """One below the other; what is missing in a column of all of one level does not decide its type."""
    told = {name: pd.concat([frame[name].astype(object) for frame in frames], ignore_index=True).infer_objects()
            for name in frames[0]}  # fmt: skip
    return pd.DataFrame(told)


def why_not(n_cells: int, n_donors: int, settings: Mapping[str, Any]) -> str:
    """Why a type cannot be evaluated; empty where it can."""
    if n_donors < settings["min_donors"]:
        return f"{count(n_donors, 'donor')}, fewer than {settings['min_donors']}"
    if n_cells < settings["min_cells"]:
        return f"{count(n_cells, 'cell')}, fewer than {settings['min_cells']}"
    return ""


def _of_level(
    cells: pd.DataFrame, settings: Mapping[str, Any]
) -> tuple[dict[str, pd.DataFrame], dict[str, str], dict[str, Any]]:
    judged = cells[cells["p_label"].notna()]
    labelled = cells[cells["label"].notna() & cells["donor"].notna()]
    sizes = labelled.groupby("label").agg(n_cells=("label", "size"), n_donors=("donor", "nunique"))
    untold = {str(name): why for name, row in sizes.iterrows()
              if (why := why_not(int(row["n_cells"]), int(row["n_donors"]), settings))}  # fmt: skip
    hits = judged[judged["label"] == judged["predicted"]]
    groups = pd.concat([_shares(judged, hits, by) for by in ("donor", "protocol") if by in judged], ignore_index=True)
    confusion = _confusion(judged)
    donors = groups[groups["by"] == "donor"]
    rows = [_type(str(name), sizes.loc[name], judged, donors, confusion, str(name) in untold) for name in sizes.index]
    alike = _alike(judged, sizes["n_cells"])
    for row in rows:
        row["alike"] = "; ".join(b if a == row["cell_type"] else a for a, b in alike if row["cell_type"] in (a, b))
    bins = _calibration(judged)
    by_donor = (judged["label"] == judged["predicted"]).groupby(judged["donor"]).mean()
    error = float((bins["n_cells"] * (bins["confidence"] - bins["agreement"]).abs()).sum() / max(1, len(judged)))
    told = {
        "n_cells": len(judged), "n_flagged": int(cells["flagged"].sum()),
        "agreement": float(by_donor.mean()) if len(by_donor) else None, "calibration_error": error,
        "alike": alike,
    }  # fmt: skip
    types = pd.DataFrame(rows, columns=list(TYPE_COLUMNS[1:]))
    numbers = [name for name in TYPE_COLUMNS if name.endswith(("recall", "precision", "_low", "_high", "_p", "_share"))]
    types[numbers] = types[numbers].astype(np.float64)
    made = {"types": types, "groups": groups, "confusion": confusion, "calibration": bins}
    return made, untold, told


def _shares(judged: pd.DataFrame, hits: pd.DataFrame, by: str) -> pd.DataFrame:
    """Recall and precision of each type in each donor or protocol."""
    own = judged.groupby(["label", by]).size()
    called = judged.groupby(["predicted", by]).size().rename_axis(["label", by])
    right = hits.groupby(["label", by]).size()
    index = own.index.union(called.index)
    frame = pd.DataFrame({"n_cells": own.reindex(index, fill_value=0), "n_called": called.reindex(index, fill_value=0)})
    found = right.reindex(index, fill_value=0)
    frame["recall"] = (found / frame["n_cells"]).where(frame["n_cells"] > 0)
    frame["precision"] = (found / frame["n_called"]).where(frame["n_called"] > 0)
    frame = frame.rename_axis(["cell_type", "group"]).reset_index()
    frame.insert(1, "by", by)
    return frame[["cell_type", "by", "group", "n_cells", "recall", "n_called", "precision"]]


def _confusion(judged: pd.DataFrame) -> pd.DataFrame:
    grouped = judged.groupby(["label", "predicted"])
    frame = grouped.agg(n_cells=("p", "size"), n_donors=("donor", "nunique")).reset_index()
    frame["share"] = frame["n_cells"] / frame.groupby("label")["n_cells"].transform("sum")
    above = judged.groupby("label")["lineage"].agg(_commonest)
    frame["same_lineage"] = (frame["label"].map(above) == frame["predicted"].map(above)).to_numpy(bool)
    return frame.sort_values(["label", "n_cells"], ascending=[True, False], ignore_index=True)


def _commonest(names: pd.Series) -> str:
    return str(names.mode().iloc[0]) if names.notna().any() else ""


def _type(
    name: str, size: pd.Series, judged: pd.DataFrame, donors: pd.DataFrame, confusion: pd.DataFrame, untold: bool
) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(TYPE_COLUMNS[1:])
    own = judged[judged["label"] == name]
    row |= {"cell_type": name, "n_cells": int(size["n_cells"]), "n_donors": int(size["n_donors"]),
            "n_flagged": int(own["flagged"].sum()), "evaluable": not untold and len(own) > 0}  # fmt: skip
    if not row["evaluable"]:
        return row
    mine = donors[donors["cell_type"] == name]
    for what in ("recall", "precision"):
        values = mine[what].dropna().to_numpy(np.float64)
        if len(values):
            row[what] = float(values.mean())
            draws = donor_draws(len(values), _DRAWS) @ values / len(values) if len(values) > 1 else np.zeros(0)
            row[f"{what}_low"], row[f"{what}_high"] = interval(draws)
    row["mean_p"] = float(own["p_label"].mean())
    least = mine.dropna(subset=["recall"]).sort_values(["recall", "group"]).iloc[0]
    row["lowest_donor"], row["lowest_recall"] = str(least["group"]), float(least["recall"])
    others = confusion[(confusion["label"] == name) & (confusion["predicted"] != name)]
    if len(others):
        row["confused_with"], row["confused_share"] = str(others["predicted"].iloc[0]), float(others["share"].iloc[0])
    return row


def _calibration(judged: pd.DataFrame) -> pd.DataFrame:
    """Agreement with the label by p_predicted, in ten bins."""
    place = np.minimum((judged["p"].to_numpy() * 10).astype(int), 9)
    right = (judged["label"] == judged["predicted"]).to_numpy(np.float64)
    table = pd.DataFrame({"bin": place, "confidence": judged["p"].to_numpy(), "agreement": right})
    found = table.groupby("bin").agg(confidence=("confidence", "mean"), agreement=("agreement", "mean"),
                                     n_cells=("bin", "size"))  # fmt: skip
    return found.reset_index(drop=True)


def _alike(judged: pd.DataFrame, sizes: pd.Series) -> list[list[str]]:
    """Pairs of types that are too alike, the largest first."""
    names = sorted({*judged["label"].dropna(), *judged["predicted"].dropna()})
    label, predicted = (pd.Index(names).get_indexer(judged[column]).astype(np.int64)
                        for column in ("label", "predicted"))  # fmt: skip
    donor, _ = pd.factorize(judged["donor"])
    called = confident_calls(label, predicted, judged["p_label"].to_numpy(), judged["p"].to_numpy(), len(names))
    first, second = np.nonzero(np.triu(alike_types(label, called, donor.astype(np.int64), len(names))))
    pairs = [[names[a], names[b]] for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    return sorted(pairs, key=lambda pair: (-int(min(sizes.get(name, 0) for name in pair)), pair))
