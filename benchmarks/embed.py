"""Time and memory of projections from blocks, scanpy's own path beside ours, and how far the results are apart.

python benchmarks/embed.py --dataset DATASET [--source TWIN.h5ad [--scanpy-cells 20000]] [--sections pca neighbors]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _measure import HERE, BenchmarkError, cores, describe, finish, load_average, machine, note, run, size, table, title

EMBEDDERS = HERE / "_embedders.py"
Row = dict[str, Any]


def main() -> int:
    """Parse, measure, print."""
    options = parse()
    document = measure(options)
    if options.json is not None:
        text = json.dumps(document, indent=2)
        print(text) if str(options.json) == "-" else options.json.write_text(text + "\n", "utf-8")
    if str(options.json) != "-":
        print(report(document, markdown=options.markdown))
    return 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="a dataset that titin built")
    parser.add_argument("--source", type=Path, help="its source, for scanpy's path and the comparison")
    parser.add_argument("--scanpy-cells", type=int, default=0, help="first cells that scanpy takes; 0 for all")
    parser.add_argument("--sections", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--n-comps", type=int, default=50)
    parser.add_argument("--n-neighbors", type=int, default=15)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--work", type=Path, help="keep scores, loadings and neighbours in this folder")
    parser.add_argument("--json", type=Path, help="write everything measured; - for stdout")
    parser.add_argument("--markdown", action="store_true")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the sections that are asked for, with what they need."""
    facts = run([sys.executable, "-m", "titin", "info", options.dataset, "--json"]).document
    document: dict[str, Any] = {
        "machine": machine(),
        "load_average": {"before": load_average()},
        "dataset": {key: facts[key] for key in ("prefix", "n_cells", "n_genes", "nnz", "kind")},
        "settings": {k: getattr(options, k) for k in ("n_comps", "n_neighbors", "threads", "scanpy_cells")},
    }
    with tempfile.TemporaryDirectory(prefix="titin-embed-") as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(options, facts["kind"], work)
        document["sections"] = {name: SECTIONS[name](bench) for name in options.sections}
    document["load_average"]["after"] = load_average()
    return document


class Bench:
    """Runs steps in processes of their own; what one wrote is kept for the next."""

    def __init__(self, options: argparse.Namespace, kind: str, work: Path) -> None:
        self.options, self.kind, self.work = options, kind, work

    def step(self, label: str, step: str, out: str, **settings: Any) -> Row:
        """Run one step; say why it failed if it did, as the others stand without it."""
        note(label)
        shared = {"threads": self.options.threads, "out": str(self.work / out)}
        try:
            done = run([sys.executable, EMBEDDERS, step, json.dumps({**shared, **settings})])
        except BenchmarkError as error:
            return {"label": label, "failed": str(error)}
        measured = {"seconds": done.seconds, "cpu_seconds": done.cpu_seconds, "peak_bytes": done.peak_bytes}
        return {"label": label, **measured, **json.loads(done.stdout.strip().splitlines()[-1])}

    def scores(self) -> Path:
        """Scores of all cells, computed unless they are there."""
        path = self.work / "pca.npz"
        if not path.exists():
            found = self.pca()
            if "failed" in found:
                raise BenchmarkError(found["failed"])
        return path

    def pca(self, label: str = "titin", out: str = "pca.npz", **settings: Any) -> Row:
        """titin's PCA."""
        settings = {"dataset": str(self.options.dataset), "n_comps": self.options.n_comps, **settings}
        return self.step(f"PCA, {label}", "titin_pca", out, **settings)


def pca(bench: Bench) -> dict[str, Any]:
    """All genes: titin on all cells; scanpy on all or the first cells, titin on the same, and both compared."""
    options = bench.options
    rows = [bench.pca()]
    if options.source is None:
        return {"rows": rows, "parity": None}
    n_cells = options.scanpy_cells
    rows.append(bench.step(
        f"PCA, scanpy, ARPACK, {f'{n_cells:,} cells' if n_cells else 'all cells'} in memory", "scanpy_pca",
        "scanpy_pca.npz", source=str(options.source), n_cells=n_cells, n_comps=options.n_comps, kind=bench.kind,
    ))  # fmt: skip
    theirs, ours = bench.work / "scanpy_pca.npz", bench.work / "pca.npz"
    if "failed" not in rows[-1] and n_cells:
        ours = bench.work / "same_pca.npz"
        rows.append(bench.pca("titin, the same cells", ours.name, cells=str(theirs)))
    if any("failed" in row for row in rows):
        return {"rows": rows, "parity": None}
    return {"rows": rows, "parity": bench.step("comparing", "compare_pca", "-", ours=str(ours), theirs=str(theirs))}


def neighbors(bench: Bench) -> dict[str, Any]:
    """Neighbours in titin's principal components, and UMAP's weights, by both."""
    settings = {"scores": str(bench.scores()), "n_neighbors": bench.options.n_neighbors}
    return {"rows": [
        bench.step("neighbours and weights, titin", "titin_neighbors", "neighbors.npz", **settings),
        bench.step("neighbours and weights, scanpy", "scanpy_neighbors", "-", **settings),
    ]}  # fmt: skip


def umap(bench: Bench) -> dict[str, Any]:
    """UMAP of titin's principal components by both, neighbours included."""
    settings = {"scores": str(bench.scores()), "n_neighbors": bench.options.n_neighbors}
    return {"rows": [bench.step("neighbours and UMAP, titin", "titin_umap", "-", **settings),
                     bench.step("neighbours and UMAP, scanpy", "scanpy_umap", "-", **settings)]}  # fmt: skip


def tsne(bench: Bench) -> dict[str, Any]:
    """t-SNE of titin's principal components by titin and by openTSNE with its defaults."""
    settings = {"scores": str(bench.scores())}
    return {"rows": [bench.step("t-SNE, titin", "titin_tsne", "-", **settings),
                     bench.step("t-SNE, openTSNE", "opentsne", "-", **settings)]}  # fmt: skip


SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "pca": pca, "neighbors": neighbors, "umap": umap, "tsne": tsne,
}  # fmt: skip


def report(document: dict[str, Any], *, markdown: bool) -> str:
    """Turn what was measured into a table and sentences."""
    rows, remarks = [], []
    for section in document["sections"].values():
        for row in section["rows"]:
            if "failed" in row:
                rows.append((row["label"], "failed: " + row["failed"].splitlines()[0][:60], "", "", "", ""))
                continue
            rows.append((
                row["label"], f"{row['seconds']:.1f}", f"{row['cpu_seconds']:.1f}", f"{row['step_seconds']:.1f}",
                size(row["peak_bytes"]), _remark(row),
            ))  # fmt: skip
        if section.get("parity"):
            remarks.append(_parity(section["parity"]))
    data, settings = document["dataset"], document["settings"]
    facts = (
        f"{data['prefix']}: {data['n_cells']:,} cells × {data['n_genes']:,} genes, {data['nnz']:,} non-zeros",
        f"{settings['n_comps']} components, {settings['n_neighbors']} neighbours, {settings['threads']} threads",
        "each step in a process of its own; s: all of it, step s: without imports and reading what came before",
    )
    header = ("step", "s", "CPU s", "step s", "peak memory", "")
    return "\n\n".join([
        describe(document, facts, markdown=markdown),
        title("Projections", markdown=markdown) + "\n" + table(header, rows, markdown=markdown),
        *remarks,
    ])  # fmt: skip


def _remark(row: Row) -> str:
    if "recall" in row:
        return f"recall {row['recall']:.4f} in {row['recall_cells']:,} cells, {row['index']}"
    if "kept" in row:
        return f"{row['kept']:.1%} of 15 neighbours kept"
    if "passes" in row:
        return f"{row['svd_solver']}, {row['passes']} passes" + ("" if row["converged"] else ", not converged")
    return ""


def _parity(found: Row) -> str:
    if "failed" in found:
        return f"The comparison failed: {found['failed']}"
    return (
        f"The same cells by both: the largest angle between the first {found['components']} components has cosine "
        f"{found['loadings_cosine']:.7f} (loadings) and {found['scores_cosine']:.7f} (scores); variances differ by up "
        f"to {found['variance_deviation']:.1e}."
    )


if __name__ == "__main__":
    finish(main)
