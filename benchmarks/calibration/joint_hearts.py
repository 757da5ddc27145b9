"""Protocols that share donors, real pseudobulk: python benchmarks/calibration/joint_hearts.py --seed 5 --runs 60.

Seventeen of 22 hearts, drawn anew each time, take the places of the donors of the muscle atlas: ages, sexes, chemistry,
twelve in one protocol, thirteen in the other, eight in both. The protocols are two cell types of the hearts, or the
halves of one cell type, its counts dealt out at random. Nothing changes with age, but where ``--effect`` plants it in a
tenth of the genes (log2 a decade), by thinning counts: then power and false discoveries are told instead.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from donors import PROTOCOLS, study_donors
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing import Pseudobulk, expression_comparisons, joint_model
from titin.ageing.differential_expression import ExpressionMethod, compare_apart

SHARED = Path(__file__).resolve().parents[3] / "shared"
HEARTS = SHARED / "data" / "h5ad" / "heart_pseudobulk_mofacell_66x29126.h5ad"
ALPHA, PLANTED = 0.05, 0.1
METHODS = ("gene-wise", "consensus", *PROTOCOLS, "protocol × age")
Hearts = dict[str, pd.DataFrame]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hearts", type=Path, default=HEARTS)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--effect", type=float, default=0.0)
    parser.add_argument("--method", choices=get_args(ExpressionMethod), default="voom")
    parser.add_argument(
        "--only", nargs="+", choices=METHODS, default=METHODS, help="these rows alone, which is quicker"
    )
    options = parser.parse_args()
    rows = trial(read_hearts(options.hearts), options.seed, options.runs, options.effect, options.method, options.only)
    table = pd.DataFrame(rows)
    print("| " + " | ".join(table.columns) + " |\n" + "|---" * table.shape[1] + "|")
    for row in table.itertuples(index=False):
        print("| " + " | ".join(map(str, row)) + " |")
    return 0


def read_hearts(path: Path) -> Hearts:
    """Counts of each cell type, donors × genes."""
    import anndata

    found = anndata.read_h5ad(path)
    counts = sparse.csr_matrix(found.X).toarray().round().astype(np.int64)
    return {str(name): pd.DataFrame(counts[rows], found.obs["donor_id"].iloc[rows].to_numpy(), found.var_names)
            for name, rows in found.obs.groupby("cell_type", observed=True).indices.items()}  # fmt: skip


def trial(
    hearts: Hearts, seed: int, runs: int, effect: float = 0.0, method: ExpressionMethod = "voom",
    only: Sequence[str] = METHODS,
) -> list[dict[str, str]]:  # fmt: skip
    """One row a kind of protocols and a method."""
    rng = np.random.default_rng(seed)
    pairs = {"two cell types": list(combinations(sorted(hearts), 2)), "halves of one": [(n, n) for n in sorted(hearts)]}
    rows = []
    for kind, chosen in pairs.items():
        found: dict[str, list[pd.DataFrame]] = {name: [] for name in METHODS if name in only}
        for _ in range(runs):
            for first, second in chosen:
                data, planted = _study(rng, hearts[first], None if first == second else hearts[second], effect)
                for name, table in _test(data, method, only):
                    found[name].append(table.assign(planted=table["gene"].isin(planted)))
        rows += [{"protocols": kind, "p of": name, **(_power(own) if effect else _calibration(own))}
                 for name, own in found.items() if not (effect and name == "protocol × age")]  # fmt: skip
    return rows


def _study(
    rng: np.random.Generator, first: pd.DataFrame, second: pd.DataFrame | None, effect: float
) -> tuple[Pseudobulk, NDArray[np.object_]]:
    """A pseudobulk of one type in two protocols, and the genes in which a change with age is planted."""
    if second is None:
        half = rng.binomial(first.to_numpy(), 0.5)
        first, second = (pd.DataFrame(own, first.index, first.columns) for own in (half, first.to_numpy() - half))
    groups = study_donors().assign(cell_type="T", n_cells=100)
    names = groups["donor"].unique()
    hearts = dict(zip(names, rng.permutation(first.index)[: len(names)], strict=True))
    of = {PROTOCOLS[0]: first, PROTOCOLS[1]: second}
    rows = zip(groups["protocol"], groups["donor"], strict=True)
    counts = np.stack([of[protocol].loc[hearts[donor]].to_numpy() for protocol, donor in rows])
    planted = rng.permutation(counts.shape[1])[: int(PLANTED * counts.shape[1])] if effect else np.zeros(0, int)
    slope = effect * rng.choice([-1, 1], len(planted))
    decades = groups["age"].to_numpy()[:, None] / 10
    shift = slope * (decades - np.where(slope > 0, decades.max(), decades.min()))  # no count can grow
    counts[:, planted] = rng.binomial(counts[:, planted], 2.0**shift)
    genes = pd.DataFrame({"gene": first.columns, "gene_id": first.columns})
    matrix = sparse.csr_matrix(counts)
    return (Pseudobulk(groups, matrix, (matrix > 0).astype(np.int64), genes, ["cell_type"]),
            first.columns.to_numpy()[planted])  # fmt: skip


def _test(data: Pseudobulk, method: ExpressionMethod, only: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    compared = expression_comparisons(data)
    joint = joint_model(compared).table
    both = set(joint["gene"])
    names = {"interaction_p_value": "p_value", "interaction_adj_p_value": "adj_p_value"}
    differ = joint.drop(columns=["p_value", "adj_p_value"]).rename(columns=names)
    yield from ((name, own) for name, own in (("gene-wise", joint), ("protocol × age", differ)) if name in only)
    if "consensus" in only:
        yield "consensus", joint_model(compared, correlation="consensus").table
    if set(only) & set(PROTOCOLS):
        for name, own in compare_apart(compared, method).table.groupby("protocol", observed=True):
            if name in only:
                yield str(name), own[own["gene"].isin(both)]


def _calibration(tables: list[pd.DataFrame]) -> dict[str, str]:
    p = np.concatenate([own["p_value"] for own in tables])
    hits = np.mean([(own["adj_p_value"] < ALPHA).any() for own in tables])
    return {"tests": str(len(tables)), "p < 0.05": f"{(p < 0.05).mean():.4f}", "p < 0.001": f"{(p < 0.001).mean():.5f}",
            "p < 0.0001": f"{(p < 1e-4).mean():.6f}", "tests with a discovery": f"{hits:.1%}"}  # fmt: skip


def _power(tables: list[pd.DataFrame]) -> dict[str, str]:
    clear = [own["adj_p_value"] < ALPHA for own in tables]
    power = np.nanmean([hit[own["planted"]].mean() for hit, own in zip(clear, tables, strict=True)])
    false = np.mean([hit[~own["planted"]].sum() / max(hit.sum(), 1) for hit, own in zip(clear, tables, strict=True)])
    return {"tests": str(len(tables)), "found of what was planted": f"{power:.1%}", "false among them": f"{false:.1%}"}


if __name__ == "__main__":
    raise SystemExit(main())
