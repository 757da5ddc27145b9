"""Planted wrong labels, found again: recall in the first 3 % of the list, and flags where nothing is wrong.

    python benchmarks/annotate.py DATASET [LEVEL] [--table TABLE.csv]
    python benchmarks/annotate_peers.py TABLE.csv DATASET.h5ad

Swaps 2 % of the labels at random, and apart from that exchanges two types of one donor, without changing the dataset.
Then trains a model on all donors and labels every cell by it, which is timed: what it says of its own training cells
counts for nothing else.
The table has the swapped labels for the peers, which is another script as they need an environment of their own.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta

import titin
from titin.annotate import check_labels, label_cells, train_label_model
from titin.resources import peak_memory

SHARE, FIRST = 0.02, 0.03


def clopper_pearson(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits else 0.0
    return low, float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0


def relabelled(path: str, level: str, change: str, seed: int) -> tuple[titin.Atlas, np.ndarray, tuple[str, ...]]:
    """Open a dataset with other labels; which cells have them, and what was exchanged."""
    atlas = titin.open(path)
    obs = atlas.obs.copy()
    labels, donors = (obs[name].astype(str).to_numpy(object) for name in (level, atlas.roles["donor"]))
    rng, wrong = np.random.default_rng(seed), np.zeros(len(obs), bool)
    pair: tuple[str, ...] = ()
    if change == "random":
        types, n = np.unique(labels, return_counts=True)
        types = types[n >= 10]
        at = rng.permutation(len(labels))[: round(SHARE * len(labels))]
        labels[at] = [rng.choice(types[types != name]) for name in labels[at]]
        wrong[at] = True
    elif change == "exchange":
        sizes = pd.crosstab(pd.Series(donors), pd.Series(labels))
        donor = str(sizes.sum(axis=1).idxmax())
        one, other = sizes.T[donor].nlargest(2).index.astype(str)
        a, b = ((donors == donor) & (labels == name) for name in (one, other))
        labels[a], labels[b] = other, one
        wrong, pair = a | b, (donor, one, other)
    atlas.obs = obs.assign(**{level: pd.Categorical(labels)})
    return atlas, wrong, pair


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("level", nargs="?", help="column of obs; the coarsest where not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", help="file for the labels swapped at random, and whether each was")
    options = parser.parse_args()
    level = options.level or titin.open(options.dataset).roles["cell_type"][0]
    rows = []
    for change in ("none", "random", "exchange"):
        atlas, wrong, pair = relabelled(options.dataset, level, change, options.seed)
        if options.table and change == "random":
            pd.DataFrame(
                {
                    "cell_id": atlas.obs_names,
                    "label": atlas.obs[level].astype(str).to_numpy(),
                    "wrong": wrong,
                    "donor": atlas.obs[atlas.roles["donor"]].astype(str).to_numpy(),
                }
            ).to_csv(options.table)
        began, cpu = time.perf_counter(), time.process_time()
        check = check_labels(atlas, cell_type_level=level, seed=options.seed)
        row: dict[str, Any] = {"change": change, "cells": atlas.n_obs, "wrong": int(wrong.sum()),
               "flagged": float(check.table["flagged"].mean()), "seconds": round(time.perf_counter() - began, 1),
               "cpu_seconds": round(time.process_time() - cpu, 1)}  # fmt: skip
        if wrong.any():
            rank = check.table["rank"].to_numpy(float, na_value=np.inf)[wrong]
            hits = int((rank <= FIRST * len(wrong)).sum())
            flagged = check.table["flagged"].to_numpy(bool)
            row |= {"recall": hits / len(rank), "interval": clopper_pearson(hits, len(rank))}
            row |= {"wrong_flagged": float(flagged[wrong].mean()), "flagged_right": float(wrong[flagged].mean())}
        if pair:
            named = {(r.donor, r.label, r.suggested) for r in check.review.head(2).itertuples()}
            row["named_first"] = named == {(pair[0], pair[1], pair[2]), (pair[0], pair[2], pair[1])}
        rows.append(row)
    print(pd.DataFrame(rows).to_string(index=False))
    transfer = transferred(options.dataset, level, options.seed)
    print(json.dumps({"level": level, "peak_bytes": peak_memory(), "runs": rows, "transfer": transfer}))


def transferred(path: str, level: str, seed: int) -> dict[str, float]:
    """Seconds to train a model and to label every cell by it, reading the dataset anew."""
    began = time.perf_counter()
    model = train_label_model(titin.open(path), cell_type_level=level, seed=seed)
    trained = time.perf_counter()
    labels = label_cells(titin.open(path), model)
    return {"cells": len(labels.table), "train_seconds": round(trained - began, 1),
            "label_seconds": round(time.perf_counter() - trained, 1)}  # fmt: skip


if __name__ == "__main__":
    main()
