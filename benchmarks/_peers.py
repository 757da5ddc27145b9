"""What a build is compared with, each as a process of its own.

python _peers.py dense SOURCE TARGET              one wide Parquet file, as the dataset was first published
python _peers.py annbatch SOURCE TARGET THREADS   annbatch's converter to a shuffled collection of Zarr stores
python _peers.py soma SOURCE TARGET               tiledbsoma's converter
python _peers.py scdl SOURCE TARGET               bionemo-scdl's converter
"""

import json
import sys
from importlib.metadata import version


def dense(source: str, target: str) -> None:
    """Write every gene as a float32 column of one data frame."""
    import anndata
    import numpy as np
    import pandas as pd

    adata = anndata.read_h5ad(source)
    X = adata.X if isinstance(adata.X, np.ndarray) else adata.X.toarray()
    frame = pd.DataFrame(X, index=adata.obs_names, columns=adata.var_names).astype(np.float32, copy=False)
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


if __name__ == "__main__":
    {"dense": dense, "annbatch": annbatch, "soma": soma, "scdl": scdl}[sys.argv[1]](*sys.argv[2:])
