"""Ask tables of public studies about the bundled gene sets: python docs/reference_sets.py FOLDER [--gmt FILE].

FOLDER holds tables/ and genesets/. Prints the Markdown tables of docs/ageing_programmes.md. With --gmt also writes the
genes whose expression rises or falls most clearly with age in GTEx muscle, as sets for `titin bench --gmt`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from titin.ageing.enrichment import ranked_enrichment


def slow_against_fast(folder: Path) -> pd.DataFrame:
    """Single human muscle fibres, slow against fast: Wald statistics by gene."""
    table = pd.read_csv(folder / "tables/human_muscle_fibres_slow_vs_fast_de.csv")
    return pd.DataFrame({"gene": table["GENE"], "cell_type": "fibre", "protocol": "slow vs fast", "t": table["stat"],
                         "mean_log_cpm": np.log2(table["baseMean"] + 1)}).dropna()  # fmt: skip


def gtex_slopes(folder: Path) -> pd.DataFrame:
    """GTEx v8 skeletal muscle, slope with age: z of the p-value with the sign of the slope."""
    table = pd.read_parquet(folder / "tables/gtex_v8_muscle_bulk_age_beta.parquet").dropna()
    z = stats.norm.isf(np.maximum(table["p_rna"], 1e-300) / 2) * np.sign(table["beta_age_rna"])
    names = pd.read_csv(folder / "genesets/gencode_human_cellxgene.csv.gz", header=None, usecols=[0, 1], index_col=0)[1]
    symbol = table["gene"].str.partition(".")[0].map(names[~names.index.duplicated()])
    return pd.DataFrame({"gene": symbol, "cell_type": "muscle", "protocol": "GTEx v8", "t": z}).dropna()


def write_gmt(slopes: pd.DataFrame, path: Path, n: int = 500) -> None:
    """Write the ``n`` genes that rise, and the ``n`` that fall, most clearly."""
    ordered = slopes.drop_duplicates("gene").sort_values("t")["gene"].tolist()
    about = "GTEx v8 skeletal muscle with age (mandhri/Multi-omics-skeletal-muscle-ageing)"
    lines = [["GTEX_MUSCLE_AGE_UP", f"rises in {about}", *ordered[: -n - 1 : -1]],
             ["GTEX_MUSCLE_AGE_DOWN", f"falls in {about}", *ordered[:n]]]  # fmt: skip
    path.write_text("".join("\t".join(line) + "\n" for line in lines), "utf-8")


def main(folder: Path) -> None:
    """Print the clearest sets of both."""
    for name, results in (
        ("Slow against fast fibres", slow_against_fast(folder)),
        ("GTEx muscle", gtex_slopes(folder)),
    ):
        found = ranked_enrichment(results).table.sort_values("p_value")
        sys.stdout.write(f"\n{name}: {len(results):,} genes\n\n| set | genes | t | adjusted p |\n|---|---|---|---|\n")
        for row in found.head(12).itertuples():
            sys.stdout.write(f"| {row.set} | {row.n_set} | {row.t:.1f} | {row.adj_p_value:.1e} |\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gmt", type=Path, help="also write the sets of GTEx muscle here")
    chosen = parser.parse_args()
    main(chosen.folder)
    if chosen.gmt:
        write_gmt(gtex_slopes(chosen.folder), chosen.gmt)
