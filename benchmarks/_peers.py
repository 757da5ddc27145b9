"""What a build is compared with, each as a process of its own.

python _peers.py dense SOURCE TARGET              one wide Parquet file, as the dataset was first published
python _peers.py annbatch SOURCE TARGET THREADS   annbatch's converter to a shuffled collection of Zarr stores
python _peers.py soma SOURCE TARGET               tiledbsoma's converter
python _peers.py scdl SOURCE TARGET               bionemo-scdl's converter
python _peers.py cellstream SOURCE TARGET         cellstream's store of single cells
python _peers.py first SOURCE TARGET N LABEL      its first cells, with one column of obs
python _peers.py genes KIND PLACE N               seconds of each of N genes over all cells: titin, backed, soma
"""

import json
import sys
import time
from collections.abc import Callable, Sized
from importlib.metadata import version


def dense(source: str, target: str) -> None:
    """Write every gene as a float32 column of one data frame."""
    import anndata
    import numpy as np
    import pandas as pd

    adata = anndata.read_h5ad(source)
    X = adata.X if isinstance(adata.X, np.ndarray) else adata.X.toarray()
    frame = pd.DataFrame(X.astype(np.float32, copy=False), index=adata.obs_names, columns=adata.var_names)
    frame.to_parquet(target, compression="snappy")
    print(json.dumps({"libraries": {name: version(name) for name in ("pandas", "pyarrow")}}))


def annbatch(source: str, target: str, threads: str) -> None:
    """Write a collection with annbatch's defaults and the codecs that its documentation asks for."""
    import zarr
    from annbatch import DatasetCollection

    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "threading.max_workers": int(threads)})
    DatasetCollection(target).add_adatas(adata_paths=[source], shuffle=True)
    print(json.dumps({"libraries": {name: version(name) for name in ("annbatch", "anndata", "zarr", "zarrs")}}))


def soma(source: str, target: str) -> None:
    """Write a SOMA experiment."""
    import tiledbsoma.io

    tiledbsoma.io.from_h5ad(target, source, "RNA", uns_keys=())  # it takes no keys but text
    print(json.dumps({"libraries": {"tiledbsoma": version("tiledbsoma")}}))


def scdl(source: str, target: str) -> None:
    """Write memory maps of X."""
    from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset

    SingleCellMemMapDataset(target, source, use_X_not_raw=True).save()
    print(json.dumps({"libraries": {"bionemo-scdl": version("bionemo-scdl")}}))


def cellstream(source: str, target: str) -> None:
    """Write one frame a cell, in the source's order, floats where they are no counts."""
    import anndata
    import cellstream as package
    import numpy as np

    X = anndata.read_h5ad(source, backed="r").X
    first = np.asarray(X[: min(X.shape[0], 512)].sum(axis=1))
    package.write_sharded(source, target, layout="cell", data_dtype=None if (first % 1 == 0).all() else "float32")
    print(json.dumps({"libraries": {"cellstream": version("cellstream")}}))


def first(source: str, target: str, n: str, label: str) -> None:
    """Write the first cells of a file, or all, as a CSR matrix."""
    import anndata
    from scipy import sparse

    adata = anndata.read_h5ad(source, backed="r")
    part = adata[: int(n)].to_memory()
    anndata.AnnData(sparse.csr_matrix(part.X), part.obs[[label]], part.var[[]]).write_h5ad(target)


def genes(kind: str, place: str, n: str) -> None:
    """Time genes drawn at random, one after the other, by a reader that is open."""
    import numpy as np

    names, read, library = {"titin": _titin_genes, "backed": _backed_genes, "soma": _soma_genes}[kind](place)
    drawn = np.random.default_rng(0).choice(len(names), int(n), replace=False)
    read(names[drawn[0]])
    seconds = []
    for position in drawn:
        began = time.perf_counter()
        values = read(names[position])
        seconds.append(time.perf_counter() - began)
        assert len(values)
    print(json.dumps({"seconds": seconds, "libraries": {library: version(library)}}))


Genes = tuple[list[str], Callable[[str], Sized], str]


def _titin_genes(place: str) -> Genes:
    import titin

    atlas = titin.open(place)
    return atlas.var_names.tolist(), atlas.__getitem__, "titin"


def _backed_genes(place: str) -> Genes:
    """scanpy's way with a file that is larger than memory: a column of a backed AnnData."""
    import anndata

    adata = anndata.read_h5ad(place, backed="r")
    return adata.var_names.tolist(), lambda gene: adata.obs_vector(gene), "anndata"


def _soma_genes(place: str) -> Genes:
    import tiledbsoma

    experiment = tiledbsoma.Experiment.open(place)
    var = experiment.ms["RNA"].var.read(column_names=["soma_joinid", "var_id"]).concat().to_pandas()
    joinid = dict(zip(var["var_id"], var["soma_joinid"], strict=True))

    def read(gene: str) -> Sized:
        X = experiment.ms["RNA"].X["data"]
        found = X.read((slice(None), [joinid[gene]])).tables().concat()
        return found if len(found) else [0]

    return var["var_id"].tolist(), read, "tiledbsoma"


if __name__ == "__main__":
    known: dict[str, Callable[..., None]] = {
        "dense": dense, "annbatch": annbatch, "soma": soma, "scdl": scdl, "cellstream": cellstream, "first": first,
        "genes": genes,
    }  # fmt: skip
    known[sys.argv[1]](*sys.argv[2:])
