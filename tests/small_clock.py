"""A clock of few genes, written by hand: it tells the same age of everyone."""

from pathlib import Path

import numpy as np

from titin.learn.clock_file import FORMAT, VERSION, ClockContents, write_clock


def write_small_clock(path: Path, genes: list[str]) -> None:
    scores = {"mae": 10.0, "rmse": 12.0, "r2": 0.1, "baseline_mae": 15.0, "n_donors": 6}
    everyone = {"cell_type": "", "n_donors": 6, "rmse": 12.0, "mae": 10.0, "n_held_out": 6, "fitted": True}
    document = {
        "format": FORMAT, "version": VERSION, "titin": "0.1.0",
        "model": {"name": "ridge", "features": "centred", "level": "donor", "seed": 0, "chosen_of": []},
        "age": {"column": "age_numeric", "mean": 40.0, "lowest": 20.0, "highest": 60.0},
        "values": {"is_log": True, "what": "log1p"},
        "dataset": {"name": "small", "sha256": "0" * 64, "where": []},
        "genes": [{"name": gene, "id": gene} for gene in genes],
        "groups": [{"cell_type": "", "protocol": ""}],
        "parts": [""],
        "cell_types": [everyone],
        "scores": scores,
        "donors": [{"donor": f"D{i}", "age": 20.0 + 8 * i, "predicted": 40.0} for i in range(6)],
    }  # fmt: skip
    n = len(genes)
    arrays = {"coef": np.zeros((1, n), np.float32), "intercept": np.array([40.0]),
              "means": np.zeros((1, n), np.float32), "expression": np.ones(n)}  # fmt: skip
    write_clock(ClockContents(document, arrays), path, force=True)
