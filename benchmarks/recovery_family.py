"""Which counts are recovered from normalised values, and what is not taken for counts.

Every way of normalising (transform, target sum, type) is applied to the same counts, each result is built into a
dataset, and the kind, the counts, the values and the size are compared; then matrices that hold no counts.

python recovery_family.py [COUNTS.h5ad] [--cells 300] [--json FILE]

COUNTS.h5ad has integer counts in X; titin's demo where not given.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
from scipy import sparse

import titin
from titin.builder import build
from titin.demo import write_demo_atlas
from titin.text import table

TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "x": lambda x: x,
    "log1p(x)": np.log1p,
    "log(x + 1)": lambda x: np.log(x + x.dtype.type(1)),
    "log2(x + 1)": lambda x: np.log2(x + x.dtype.type(1)),
    "log1p(x) / log(2)": lambda x: (np.log1p(x) / np.log(2)).astype(x.dtype),
    "log10(x + 1)": lambda x: np.log10(x + x.dtype.type(1)),
}


def divisors(counts: sparse.csr_matrix, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What each cell is divided by, by the name of the target."""
    totals = np.asarray(counts.sum(axis=1), np.float64).ravel()
    factors = np.exp(rng.normal(0, 0.4, len(totals)))
    high = np.asarray((counts.multiply(1 / totals[:, None]) > 0.05).sum(axis=0)).ravel() > 0
    rest = np.maximum(np.asarray(counts[:, ~high].sum(axis=1), np.float64).ravel(), 1)
    return {
        "1": totals, "10,000": totals / 1e4, "1,000,000": totals / 1e6, "median": totals / np.median(totals),
        "size factors": factors / factors.mean(), "without highly expressed": rest / 1e4,
    }  # fmt: skip


def negatives(counts: sparse.csr_matrix, rng: np.random.Generator) -> dict[str, sparse.csr_matrix]:
    """Matrices without counts behind them."""
    totals = np.repeat(np.asarray(counts.sum(axis=1), np.float64).ravel(), np.diff(counts.indptr))
    data = counts.data.astype(np.float64)
    lengths = np.exp(rng.normal(7.5, 0.8, counts.shape[1]))[counts.indices]
    logs = np.log1p(data / totals * 1e4)
    spread = np.maximum(np.sqrt(np.bincount(counts.indices, logs**2, counts.shape[1]) / counts.shape[0]), 1e-3)
    shares = rng.uniform(0.6, 1.0, len(data))
    tpm = data / lengths
    of_cell = np.add.reduceat(tpm, counts.indptr[:-1])
    tpm *= np.repeat(1e6 / of_cell, np.diff(counts.indptr))
    half = np.where(np.repeat(np.arange(counts.shape[0]) % 2 == 0, np.diff(counts.indptr)), logs, data / totals * 1e4)
    found = {
        "scaled to unit variance": logs / spread[counts.indices],
        "clipped at 3": np.minimum(logs, 3.0),
        "imputed": logs + rng.gamma(1.0, 0.05, len(data)),
        "fractions of counts": data * shares,
        "fractions, to 2 decimals": np.maximum(np.round(data * shares, 2), 0.01),
        "log1p of fractions to 2 decimals": np.log1p(np.maximum(np.round(data * shares, 2), 0.01)),
        "log-normalised fractions to 2 decimals": np.log1p(np.maximum(np.round(data * shares, 2), 0.01) / totals * 1e4),
        "halves and thirds": data / rng.choice([1, 1, 1, 2, 3], len(data)),
        "log1p, to 2 decimals": np.maximum(np.round(logs, 2), 0.01),
        "log1p, to 3 decimals": np.maximum(np.round(logs, 3), 0.001),
        "CP10K, to 1 decimal": np.maximum(np.round(data / totals * 1e4, 1), 0.1),
        "log2 of TPM to 2 decimals": np.log2(np.maximum(np.round(tpm, 2), 0.01) + 1),
        "TPM": tpm,
        "log2(TPM + 1)": np.log2(tpm + 1),
        "square root of counts": np.sqrt(data),
        "half of the cells logged": half,
        "as float16": logs.astype(np.float16),
        "to 8 bits": np.maximum(np.round(logs / logs.max() * 255), 1) / 255,
    }
    return {
        f"{name} ({dtype})": sparse.csr_matrix((values.astype(dtype), counts.indices, counts.indptr), counts.shape)
        for name, values in found.items() for dtype in ("float32", "float64")
    }  # fmt: skip


def try_build(X: sparse.csr_matrix, folder: Path) -> tuple[Any, float]:
    """Build a matrix; the report and the seconds it took."""
    source, target = folder / "source.h5ad", folder / "dataset"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ad.AnnData(X).write_h5ad(source)
    began = time.perf_counter()
    return build(source, target, force=True, project=(), shuffle=False), time.perf_counter() - began


def matrix_bytes(report: Any) -> int:
    """Bytes of the two matrix files."""
    return sum(
        entry["bytes"] for name, entry in report.manifest.files.items()
        if "_expression" in name and "_panel" not in name
    )  # fmt: skip


def recovered(counts: sparse.csr_matrix, folder: Path, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Every transform × target × type."""
    rows: list[dict[str, Any]] = []
    by_log1p: dict[tuple[str, str], int] = {}
    of_cell = divisors(counts, rng)
    for transform in sorted(TRANSFORMS, key=lambda name: name != "log1p(x)"):  # first what sizes are compared with
        for target, by in of_cell.items():
            for dtype in (np.float32, np.float64):
                linear = counts.data.astype(dtype) / np.repeat(by, np.diff(counts.indptr)).astype(dtype)
                X = sparse.csr_matrix((TRANSFORMS[transform](linear), counts.indices, counts.indptr), counts.shape)
                report, seconds = try_build(X, folder)
                manifest, n_bytes = report.manifest, matrix_bytes(report)
                key = target, np.dtype(dtype).name
                by_log1p.setdefault(key, n_bytes)
                atlas = titin.open(report.path)
                exact = np.array_equal(atlas.X[:].data, X.data)
                share = 0.0
                if manifest.value_kind.has_counts:
                    share = float((atlas.counts[:].data == counts.data).mean())
                rows.append({
                    "transform": transform, "target": target, "dtype": key[1], "kind": manifest.kind,
                    "base": manifest.recovery.get("base"), "counts": share, "values": "equal" if exact else "differ",
                    "size": n_bytes / by_log1p[key], "ulp": manifest.recovery["worst_ulp"], "seconds": seconds,
                })  # fmt: skip
    return rows


def refused(counts: sparse.csr_matrix, folder: Path, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Every matrix without counts."""
    rows = []
    for name, X in negatives(counts, rng).items():
        report, seconds = try_build(X, folder)
        rows.append({"matrix": name, "kind": report.manifest.kind, "seconds": seconds})
    return rows


def read_counts(path: Path | None, cells: int, folder: Path) -> sparse.csr_matrix:
    """The first cells of a file, or of the demo, without genes that are not expressed."""
    if path is None:
        source = write_demo_atlas(folder / "demo.h5ad", n_cells=max(cells, 300), n_genes=1000)
        matrix = titin.open(build(source, folder / "demo", shuffle=False, project=()).path).counts[:]
    else:
        matrix = ad.read_h5ad(path).X
    counts = sparse.csr_matrix(matrix)[:cells].astype(np.int64)
    counts = counts[:, np.asarray(counts.sum(axis=0)).ravel() > 0]
    counts.sort_indices()
    return counts


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=Path, nargs="?", help="AnnData with counts in X")
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        counts = read_counts(chosen.counts, chosen.cells, Path(folder))
        found = recovered(counts, Path(folder), rng)
        wrong = refused(counts, Path(folder), rng)
    print(f"{counts.shape[0]:,} cells × {counts.shape[1]:,} genes, {counts.nnz:,} counts\n")
    print(table(tuple(found[0]), [tuple(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values())
                                  for row in found]))  # fmt: skip
    print("\n" + table(("no counts", "kind", "seconds"), [(r["matrix"], r["kind"], f"{r['seconds']:.1f}")
                                                        for r in wrong]))  # fmt: skip
    if chosen.json:
        chosen.json.write_text(json.dumps({"recovered": found, "refused": wrong}, indent=2) + "\n")


if __name__ == "__main__":
    main()
