"""What every analysis finds where nothing changes with age: python benchmarks/calibration/analyses_null.py.

Each run makes a small twin of the muscle atlas without an effect of age, whose genes vary between donors as in real
pseudobulk, and runs every analysis of `titin age` that gives p on it, with its defaults. Printed are, for each column
of p, the share of single tests below 0.05 and 0.001; how many of its families (the tests of a type and protocol, over
which adj_p_value is adjusted) have one at an adjusted p < 0.05; and in how many runs something is found when p is
adjusted over all tests of the result, which is what the command's first sentence tells. Families of a run share its
donors, so that their interval is too narrow; that of runs is exact. `--contrast "bs(age, df=3)"` asks it of F tests;
`--only composition stemcells` runs these analyses alone.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from paired_twins import build, load_twin_script
from rates import say_rate
from repeated import parse, repeat

import titin
from titin.ageing.analysis import Analysis, Inputs
from titin.ageing.catalogue import ANALYSES
from titin.ageing.linear_models import adjust
from titin.ageing.terminal import label_of
from titin.analysis_options import CONTRAST
from titin.errors import TitinError

PLACES = ("cell_type", "protocol", "direction")
ASKED: dict[str, dict[str, Any]] = {"composition": {"min_sample_cells": 0}}  # samples of small twins are small


def trial(
    folder: Path, cells: int, genes: int, seed: int, script: Path, contrast: str, only: Sequence[str] = ()
) -> list[dict]:
    """One row an analysis, result and column of p, of one null twin."""
    adata, _ = load_twin_script(script).build(cells, genes, seed, False, True)
    atlas = titin.open(build(adata, folder / "null"))
    rows = []
    for analysis in [one for one in ANALYSES if not only or one.name in only]:
        for name, p, families in p_columns(atlas, analysis, contrast):
            hits = [bool((adjust(p[own]) < 0.05).any()) for own in families]
            rows.append({"seed": seed, "of": name, "tests": len(p), "p < 0.05": int((p < 0.05).sum()),
                         "p < 0.001": int((p < 1e-3).sum()), "families": len(hits), "hits": sum(hits),
                         "found": bool((adjust(p) < 0.05).any())})  # fmt: skip
    return rows


def p_columns(atlas: titin.Atlas, analysis: Analysis, contrast: str) -> Iterator[tuple[str, np.ndarray, list[Any]]]:
    """Every column of p of an analysis that can be asked for the contrast: its name, p, and positions by family."""
    asked = ASKED.get(analysis.name, {})
    if contrast != "age":
        if CONTRAST not in analysis.options:
            return
        asked = {**asked, "contrast": contrast}
    try:
        findings = analysis.compute(Inputs(atlas, threads=1), **asked)
    except TitinError:  # such as a term of several columns in composition
        return
    for part, result in findings.results.items():
        order = getattr(result, "trajectory", {}).get("p_value")
        if order is not None:
            yield f"{analysis.name}, trajectory", np.array([order]), [np.zeros(1, int)]
        table = result.table
        for column in table.columns[table.columns.str.endswith("p_value") & ~table.columns.str.contains("adj_")]:
            known = table[table[column].notna()]  # the types are the features of composition
            by = [known[place].astype(str) for place in PLACES if place in known and place != label_of(table)]
            families = list(known.groupby(by).indices.values()) if by else [np.arange(len(known))]
            said = [analysis.name, *([part] if part else []), *([column] if column != "p_value" else [])]
            yield ", ".join(said), known[column].to_numpy(float), families


def summary(rows: list[dict]) -> list[str]:
    """A Markdown table, a row a column of p."""
    lines = ["| analysis | tests | p < 0.05 | p < 0.001 | families | with a discovery | runs | with a finding |",
             "|---|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for name, own in pd.DataFrame(rows).groupby("of", sort=False):
        n, tested = own["tests"].sum(), own[own["tests"] > 0]
        small = " | ".join(f"{own[column].sum() / n:.2g}" if n else "" for column in ("p < 0.05", "p < 0.001"))
        lines.append(f"| {name} | {n:,} | {small} | {own['families'].sum()} | "
                     f"{say_rate(int(own['hits'].sum()), int(own['families'].sum()))} | {len(tested)} | "
                     f"{say_rate(int(tested['found'].sum()), len(tested))} |")  # fmt: skip
    return lines


def main() -> None:
    """Print the table."""
    parser = parse(__doc__, runs=40, cells=8000, genes=3000)
    parser.add_argument("--contrast", default="age")
    parser.add_argument("--only", nargs="+", choices=[one.name for one in ANALYSES], default=[], metavar="NAME")
    chosen = parser.parse_args()
    rows = repeat(lambda folder, seed: trial(folder, chosen.cells, chosen.genes, seed, chosen.twin_script,
                                             chosen.contrast, chosen.only), chosen)  # fmt: skip
    print("\n".join(summary(rows)))


if __name__ == "__main__":
    main()
