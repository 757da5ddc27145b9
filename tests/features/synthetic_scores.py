"""The cells and sets of which results_scores.json holds the scores."""

import numpy as np


def synthetic() -> tuple[np.ndarray, dict[str, list[str]]]:
    """Return log-normalised values of 60 cells × 500 genes, and the sets."""
    rng = np.random.default_rng(11)
    counts = rng.poisson(rng.lognormal(-0.7, 1.4, 500), (60, 500))
    values = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    genes = [f"gene{i}" for i in range(500)]
    sets = {"a": genes[:12], "b": genes[100:150], "c": genes[5:200:7], "d": genes[-3:]}
    return values, sets
