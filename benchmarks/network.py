"""Planted regulators found again, p where nothing changes, and time and memory on a dataset.

    python benchmarks/network.py --seeds 30                   # planted: recovery, and power by 11 donors or so
    python benchmarks/network.py --null 30                    # nothing changes with age: p of 30 twins
    python benchmarks/network.py --dataset DATASET --network collectri.csv --regulators factors.txt --types 12

Twins are demo atlases with 10 regulators of 30 targets; the strength of three falls with age in one type.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import titin
from titin.demo import write_demo_atlas
from titin.demo.regulation import CHANGED
from titin.network import NetworkQuestion, PriorNetwork, activities, infer_networks, read_network
from titin.progress import LineProgress
from titin.resources import peak_memory
from titin.study.design import Study, choose_level, labels_of
from titin.study.groups import cell_keys

DECOYS = 90


Twin = tuple[titin.Atlas, pd.DataFrame, str]


def twin(folder: Path, seed: int, options: argparse.Namespace, *, change: bool) -> Twin:
    """A dataset with planted regulators, their edges, and the type in which strengths change."""
    import anndata as ad

    path = write_demo_atlas(folder / f"twin{seed}.h5ad", n_cells=options.n_cells, n_genes=options.n_genes, seed=seed,
                            age_effect=change, regulators=True)  # fmt: skip
    truth = ad.read_h5ad(path).uns["truth"]
    titin.build(path, folder / f"twin{seed}", preset="muscle", project=())
    return titin.open(folder / f"twin{seed}"), truth["regulation"], str(truth["regulation_changes_in"])


def ask(atlas: titin.Atlas, edges: pd.DataFrame, seed: int) -> NetworkQuestion:
    """Planted regulators among genes that regulate nothing."""
    rng = np.random.default_rng(seed)
    others = sorted(set(atlas.var_names) - set(edges["source"]) - set(edges["target"]))
    known = planted(edges)
    decoys = rng.choice(others, DECOYS, replace=False)
    return NetworkQuestion(network=known, regulators=(*known.sources, *decoys), seed=seed)


def planted(edges: pd.DataFrame) -> PriorNetwork:
    """What was planted, as a network that is known."""
    return PriorNetwork(edges[["source", "target", "weight"]], "planted")


def at_place(table: pd.DataFrame, test: dict[str, str]) -> pd.DataFrame:
    """Rows of one type and protocol."""
    return table[(table["cell_type"] == test["cell_type"]) & (table["protocol"] == test["protocol"])]


def recovery(folder: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    rows = []
    for seed in range(options.seeds):
        atlas, edges, kind = twin(folder, seed, options, change=True)
        question = replace(ask(atlas, edges, seed), reference=PriorNetwork(edges, "planted"), n_bootstraps=0)
        found = infer_networks(atlas, question)
        changed = set(edges.loc[edges["changes"], "source"])
        for test in found.tests:
            own = at_place(found.regulators, test)
            own = own[own["targets"] == "known"]
            at = at_place(found.evaluation, test).set_index("weights")
            hit = set(own.loc[own["adj_p_value"] <= 0.1, "regulator"])
            hit_edges = at_place(found.table, test)
            hit_edges = hit_edges[hit_edges["adj_p_value"] <= 0.1]
            rows.append({
                "seed": seed, "cell_type": test["cell_type"], "protocol": test["protocol"],
                "donors": len(test["donors"]), "metacells": test["n_metacells"],
                "ridge_aupr_ratio": at.loc["ridge", "aupr_ratio"],
                "correlation_aupr_ratio": at.loc["correlation", "aupr_ratio"],
                "planted_change": test["cell_type"] == kind, "changed_found": len(hit & changed),
                "others_found": len(hit - changed), "others": len(own) - len(changed & set(own["regulator"])),
                "edges_found": len(hit_edges), "of_changed": int(hit_edges["regulator"].isin(changed).sum()),
                "least_p": test.get("least_p"),
            })  # fmt: skip
        print(f"twin {seed + 1} of {options.seeds}", file=sys.stderr)
    return rows


def power(rows: list[dict[str, object]]) -> dict[str, object]:
    """Of all planted changes, how many are found, with Wilson's 95 % interval; and what else is."""
    table = pd.DataFrame(rows)
    where = table[table["planted_change"]]
    twins = where.groupby("seed")["changed_found"].sum()  # the changes of a twin are in one type and protocol or two
    planted, found = CHANGED * len(where), int(where["changed_found"].sum())
    interval = stats.binomtest(found, planted).proportion_ci(method="wilson")
    others = table[~table["planted_change"]]
    return {
        "twins": len(twins), "donors": sorted({int(n) for n in where["donors"]}), "planted_changes": planted,
        "found_at_0.1": found, "share": found / planted, "low": float(interval.low), "high": float(interval.high),
        "ridge_aupr_ratio": float(table["ridge_aupr_ratio"].median()),
        "correlation_aupr_ratio": float(table["correlation_aupr_ratio"].median()),
        "others_found_there": int(where["others_found"].sum()), "others_there": int(where["others"].sum()),
        "found_elsewhere": int((others["others_found"] + others["changed_found"]).sum()),
        "tests_elsewhere": int(others["others"].sum()) + CHANGED * len(others),
    }  # fmt: skip


def null(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    p, edge_p, hits, places, places_hit, activity_hits, n_activity = [], [], 0, 0, 0, 0, 0
    for seed in range(options.null):
        atlas, edges, _ = twin(folder, seed, options, change=False)
        found = infer_networks(atlas, replace(ask(atlas, edges, seed), n_bootstraps=0, n_edges=100))
        own = found.regulators[found.regulators["targets"] == "known"].dropna(subset=["p_value"])
        p += own["p_value"].tolist()
        hits += int((own["adj_p_value"] <= 0.1).sum())
        by_place = (own["adj_p_value"] <= 0.1).groupby([own["cell_type"], own["protocol"]]).any()
        places, places_hit = places + len(by_place), places_hit + int(by_place.sum())
        edge_p += found.table["p_value"].dropna().tolist()
        active = activities(atlas, planted(edges)).table.dropna(subset=["p_value"])
        n_activity, activity_hits = n_activity + len(active), activity_hits + int((active["adj_p_value"] < 0.05).sum())
        print(f"twin {seed + 1} of {options.null}: {len(own)} tests", file=sys.stderr)
    test = stats.kstest(p, "uniform")
    return {
        "twins": options.null, "tests": len(p), "ks_p": float(test.pvalue),
        "share_to_0.05": float(np.mean(np.array(p) <= 0.05)), "hits_at_0.1": hits / len(p),
        "types_and_protocols": places, "share_of_them_with_a_hit": places_hit / places,
        "edges": len(edge_p), "edges_to_0.05": float(np.mean(np.array(edge_p) <= 0.05)),
        "edges_to_0.001": float(np.mean(np.array(edge_p) <= 0.001)),
        "activity_tests": n_activity, "activity_hits_at_0.05": activity_hits / max(n_activity, 1),
    }  # fmt: skip


def keep_types(atlas: titin.Atlas, n: int) -> None:
    """Let the cells of the largest types alone take part."""
    labels = labels_of(cell_keys(atlas), choose_level(Study.of(atlas).levels, None, whole=True)).astype("string")
    atlas.cells.chosen = labels.isin(labels.value_counts().index[:n]).to_numpy(bool)


def timing(options: argparse.Namespace) -> dict[str, object]:
    known = read_network(options.network)
    regulators = None if options.regulators is None else tuple(Path(options.regulators).read_text().split())
    atlas = titin.open(options.dataset)
    if options.stand_ins:  # a simulated atlas expresses few of the factors
        regulators = tuple(atlas.var["n_cells"].sort_values(ascending=False).index[: options.stand_ins])
    if options.types:
        keep_types(atlas, options.types)
    told: dict[str, object] = {"cells": atlas.n_obs, "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    for name, work in (
        ("activities", lambda: activities(atlas, known)),
        ("networks", lambda: infer_networks(atlas, NetworkQuestion(network=known, regulators=regulators),
                                            progress=LineProgress(sys.stderr))),
    ):  # fmt: skip
        began, cpu = time.perf_counter(), time.process_time()
        found = work()
        told[name] = {
            "seconds": round(time.perf_counter() - began, 1), "cpu_seconds": round(time.process_time() - cpu, 1),
            "rows": len(found.table), "types": len({test["cell_type"] for test in found.tests}),
            "types_and_protocols": len(found.tests), "peak_bytes": peak_memory(),
        }  # fmt: skip
        if name == "networks":
            told["regulators_most"] = max(test["n_regulators"] for test in found.tests)
            told["genes_most"] = max(test["n_genes"] for test in found.tests)
    return told | {"load_after": os.getloadavg()[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="planted twins; an interval of the power takes many")
    parser.add_argument("--null", type=int, default=0, help="twins in which nothing changes, in place of planted ones")
    parser.add_argument("--n-cells", type=int, default=12_000)
    parser.add_argument("--n-genes", type=int, default=1500)
    parser.add_argument("--dataset", help="a dataset to time, in place of twins")
    parser.add_argument("--network", help="of --dataset: a table of source, target, weight")
    parser.add_argument("--regulators", help="of --dataset: a file of symbols, one a line")
    parser.add_argument("--stand-ins", type=int, help="of --dataset: so many genes of the most cells as regulators")
    parser.add_argument("--types", type=int, help="of --dataset: so many types, those of the most cells")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.dataset:
            found: object = timing(options)
        elif options.null:
            found = null(Path(folder), options)
        else:
            found = recovery(Path(folder), options)
    if isinstance(found, list):
        if not options.json:
            print(pd.DataFrame(found).to_string(index=False))
        found = {"power": power(found), **({"places": found} if options.json else {})}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
