"""A small case of samples and a network, drawn by numbers alone so that any version of NumPy draws the same."""

import numpy as np
import pandas as pd

N_SAMPLES, N_GENES, N_REGULATORS = 7, 120, 14


def draw_case() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Samples × genes, and edges with weights of both signs; the last regulator has too few targets."""
    rng = np.random.Generator(np.random.PCG64(20))
    genes = [f"G{i:03}" for i in range(N_GENES)]
    values = pd.DataFrame(rng.random((N_SAMPLES, N_GENES)) * 9, [f"S{i}" for i in range(N_SAMPLES)], genes)
    rows = []
    for i in range(N_REGULATORS):
        own = np.argsort(rng.random(N_GENES))[: 4 if i == N_REGULATORS - 1 else 6 + 2 * i]
        weight = np.round(rng.random(len(own)) * 4 - 2, 3)
        rows += [(f"T{i:02}", genes[g], w or 1.0) for g, w in zip(own, weight, strict=True)]
    return values, pd.DataFrame(rows, columns=["source", "target", "weight"])
