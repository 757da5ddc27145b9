"""Loaders to compare, each as a process of its own: python _loaders.py NAME SETTINGS-AS-JSON.

Every one runs whole epochs of shuffled minibatches and prints one JSON document: cells a second of each epoch, time to
the first batch, and how mixed the labels of a batch are.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import numpy as np

Batches = Iterator[tuple[Any, Any]]  # matrix, labels


def titin(settings: dict[str, Any]) -> tuple[Callable[[int], Batches], tuple[str, ...]]:
    """titin's Loader from Parquet, or from its decoded cache."""
    import titin as package

    atlas = package.open(settings["dataset"])
    several = {f"part {i}": path for i, path in enumerate(settings.get("parts") or [])}
    genes, label = None, settings["label"]
    if settings.get("dense"):
        detected = atlas.var["n_cells"].sort_values(ascending=False, kind="stable")
        genes = list(detected.index[: settings["dense"]])
    if settings.get("columns"):
        genes = list(atlas.var_names[settings["columns"]])
    order = np.random.default_rng(0).permutation(atlas.n_obs)
    loader = package.Loader(
        several or atlas, settings["batch"], genes=genes, values=settings.get("values", "lognorm"),
        dense=genes is not None, threads=settings["threads"], cache=settings.get("cache") or False,
        obs=[label] if label else [], weights=settings.get("weights"),
        sampler=package.load.SequentialSampler(order) if settings.get("order") == "single cells" else None,
    )  # fmt: skip

    def epoch(number: int) -> Batches:
        loader.set_epoch(number)
        for X, obs in loader:
            yield X, obs[label] if label else None

    return epoch, ("titin", "pyarrow", "numba")


def annbatch(settings: dict[str, Any]) -> tuple[Callable[[int], Batches], tuple[str, ...]]:
    """annbatch's Loader over its own shuffled collection, with the codecs that its documentation asks for."""
    import anndata
    import zarr
    from annbatch import DatasetCollection, Loader

    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "threading.max_workers": settings["threads"]})

    label = settings["label"]

    def load(group: Any) -> Any:
        obs = anndata.io.read_elem(group["obs"])[[label]] if label else None
        return anndata.AnnData(X=anndata.io.sparse_dataset(group["X"]), obs=obs)

    def epoch(_: int) -> Batches:
        loader = Loader(
            batch_size=settings["batch"], chunk_size=settings["block"], preload_nchunks=settings["buffer"],
            shuffle=True, to=None, preload_to_gpu=False,
        )  # fmt: skip
        loader.use_collection(DatasetCollection(settings["collection"]), load_adata=load)
        for batch in loader:
            yield _dense(batch["X"], settings), batch["obs"][label] if label else None

    return epoch, ("annbatch", "anndata", "zarr", "zarrs")


def datasets(settings: dict[str, Any]) -> tuple[Callable[[int], Batches], tuple[str, ...]]:
    """Hugging Face datasets, streaming the same Parquet; lists to CSR by hand, counts instead of values."""
    from datasets import load_dataset
    from scipy import sparse

    stream = load_dataset("parquet", data_files=settings["parquet"], split="train", streaming=True)
    stream = stream.select_columns(["genes", "counts", settings["label"]])

    def epoch(number: int) -> Batches:
        shuffled = stream.shuffle(seed=number, buffer_size=settings["block"] * settings["buffer"])
        for table in shuffled.with_format("arrow").iter(batch_size=settings["batch"]):
            genes = table.column("genes").combine_chunks()
            counts = table.column("counts").combine_chunks()
            indptr = genes.offsets.to_numpy() - genes.offsets[0].as_py()
            data = counts.flatten().to_numpy().astype(np.float32)
            X = sparse.csr_matrix((data, genes.flatten().to_numpy().astype(np.int32), indptr),
                                  shape=(len(genes), settings["genes"]))  # fmt: skip
            yield X, table.column(settings["label"]).to_pandas()

    return epoch, ("datasets", "pyarrow")


def scdataset(settings: dict[str, Any]) -> tuple[Callable[[int], Batches], tuple[str, ...]]:
    """scDataset over the backed .h5ad, blocks of cells shuffled."""
    import anndata
    from scdataset import BlockShuffling, scDataset
    from torch.utils.data import DataLoader

    adata = anndata.read_h5ad(settings["source"], backed="r")
    labels = adata.obs[settings["label"]].to_numpy() if settings["label"] else np.empty(adata.n_obs, object)

    def fetch(collection: Any, indices: Any) -> Any:
        indices = np.asarray(indices)
        order = np.argsort(indices, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return collection.X[indices[order]][back], labels[indices]

    def pick(fetched: Any, indices: Any) -> Any:
        return fetched[0][indices], fetched[1][indices]

    def epoch(number: int) -> Batches:
        data = scDataset(
            adata, BlockShuffling(block_size=settings["block"]), batch_size=settings["batch"],
            fetch_factor=settings["buffer"], fetch_callback=fetch, batch_callback=pick, seed=number,
        )  # fmt: skip
        for X, found in DataLoader(data, batch_size=None):
            yield _dense(X, settings), found if settings["label"] else None

    return epoch, ("scDataset", "anndata", "torch")


def soma(settings: dict[str, Any]) -> tuple[Callable[[int], Batches], tuple[str, ...]]:
    """tiledbsoma-ml over a SOMA experiment, chunks of cells shuffled."""
    import tiledbsoma
    from tiledbsoma_ml import ExperimentDataset, experiment_dataloader

    def epoch(number: int) -> Batches:
        with tiledbsoma.Experiment.open(settings["collection"]) as experiment, experiment.axis_query("RNA") as query:
            data = ExperimentDataset(
                query, layer_name="data", obs_column_names=[settings["label"] or "soma_joinid"],
                batch_size=settings["batch"],
                shuffle=True, shuffle_chunk_size=settings["block"], seed=number, return_sparse_X=True,
                io_batch_size=settings["block"] * settings["buffer"],
            )  # fmt: skip
            for X, obs in experiment_dataloader(data, num_workers=0):
                yield _dense(X, settings), obs[settings["label"]] if settings["label"] else None

    return epoch, ("tiledbsoma", "tiledbsoma-ml", "torch")


def scdl(settings: dict[str, Any]) -> tuple[Callable[[int], Batches], tuple[str, ...]]:
    """bionemo-scdl's memory maps, every cell drawn by itself, collated to torch's CSR; labels by position."""
    import anndata
    import torch
    from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset
    from bionemo.scdl.util.torch_dataloader_utils import collate_sparse_matrix_batch

    labels = anndata.read_h5ad(settings["source"], backed="r").obs[settings["label"]].to_numpy()
    data = SingleCellMemMapDataset(settings["collection"])

    def epoch(number: int) -> Batches:
        order = torch.utils.data.RandomSampler(data, generator=torch.Generator().manual_seed(number))
        batches = torch.utils.data.BatchSampler(order, settings["batch"], drop_last=False)
        for rows in batches:
            yield collate_sparse_matrix_batch([data[row] for row in rows]), labels[rows]

    return epoch, ("bionemo-scdl", "torch")


def cellstream(settings: dict[str, Any]) -> tuple[Callable[[int], Batches], tuple[str, ...]]:
    """cellstream's store, every cell drawn by itself; labels by position: without groups it keeps the order."""
    import cellstream as package

    store = package.open(settings["collection"])
    obs, label = package.read_obs(settings["collection"]), settings["label"]
    labels = obs[label].to_numpy() if label else None

    def epoch(number: int) -> Batches:
        order = np.random.default_rng(number).permutation(len(obs))
        for start in range(0, len(order), settings["batch"]):
            rows = order[start : start + settings["batch"]]
            X = store.gather_rows(rows, n_threads=settings["threads"])
            yield _dense(X, settings), labels[rows] if labels is not None else None

    return epoch, ("cellstream", "anndata")


def _dense(X: Any, settings: dict[str, Any]) -> Any:
    """Some columns as an array, where columns are asked for."""
    return X[:, settings["columns"]].toarray() if settings.get("columns") else X


def measure(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Run the epochs asked for, or as much of each as the seconds given allow."""
    began = time.perf_counter()
    epoch, libraries = globals()[name](settings)
    speeds: list[float] = []
    entropies: list[float] = []
    sizes: list[int] = []
    first: float | None = None
    for number in range(settings["epochs"]):
        cells, start = 0, time.perf_counter()
        for X, labels in epoch(number):
            if first is None:
                first = time.perf_counter() - began
            cells += X.shape[0]
            if number == 0 and len(entropies) < 300 and labels is not None:
                entropies.append(_entropy(labels))
                sizes.append(X.shape[0])
            if time.perf_counter() - start > settings["seconds"]:
                break
        speeds.append(cells / (time.perf_counter() - start))
    return {"cells_per_second": speeds, "first_batch_seconds": first, "entropy": float(np.mean(entropies or [np.nan])),
            "libraries": {library: version(library) for library in libraries}}  # fmt: skip


def _entropy(labels: Any) -> float:
    """Entropy of the labels of a batch, in bits."""
    _, counts = np.unique(np.asarray(labels, dtype=str), return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], json.loads(sys.argv[2]))))
