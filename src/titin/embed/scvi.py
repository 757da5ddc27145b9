"""scVI, trained from minibatches: counts are never in memory together."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.extras import quiet, require
from titin.load import BlockShuffleSampler, Loader, Sampler, SequentialSampler
from titin.progress import Progress
from titin.resources import make_resources

if TYPE_CHECKING:
    from titin.atlas import Atlas

BATCH_CELLS = 128
_INFERENCE_CELLS = 1024
_VALIDATION_SHARE = 0.1
_LEAST_CELLS = 2 * BATCH_CELLS


@dataclass(frozen=True)
class ScviResult:
    """Latent space of a trained model.

    Attributes
    ----------
    latent
        float32, cells × ``n_latent``, in the dataset's order: mean of each cell's posterior.
    history
        By name (``elbo_train``, ``elbo_validation`` …) one number an epoch: the training curve.
    params
        How it was trained; JSON.
    """

    latent: NDArray[np.float32]
    history: dict[str, list[float]]
    params: dict[str, Any]


def scvi(
    atlas: "Atlas",
    *,
    n_latent: int = 30,
    n_layers: int = 2,
    n_hidden: int = 128,
    n_top_genes: int = 10_000,
    batch_key: str | None = None,
    max_epochs: int | None = None,
    random_state: int = 0,
    accelerator: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> ScviResult:
    """Train scVI on the counts and return where it puts the cells.

    The defaults are those of Kedlian et al., Nature Aging 4, 727 (2024): 30 dimensions, 2 layers, samples as batches,
    the 10,000 most variable genes.
    A tenth of the cells is held out to watch the training. All cells and donors are trained on, so the result is
    for looking and for neighbours, not for a score with donors held out.

    Parameters
    ----------
    atlas
        A dataset with counts.
    n_latent, n_layers, n_hidden
        Of the model.
    n_top_genes
        Genes chosen by `titin.features.highly_variable` (``seurat``); all where there are no more.
    batch_key
        obs column whose effect is taken out; the column of the role ``sample`` where not given, or none without one.
    max_epochs
        scvi-tools' choice by the number of cells where not given: 400 up to 20,000 cells, then fewer.
    random_state
        Seed. On one device the same seed gives the same result.
    accelerator
        ``cpu``, ``gpu`` or ``auto``.
    threads
        All processors where not given.
    progress
        Told of every epoch.

    Raises
    ------
    TitinError
        If scvi-tools is not installed, there are no counts, too few cells, or no such column.

    References
    ----------
    Lopez et al., Nature Methods 15, 1053-1058 (2018); Gayoso et al., Nature Biotechnology 40, 163-166 (2022).
    """
    package = require("scvi", "scVI")
    if not atlas.manifest.value_kind.has_counts:
        raise TitinError("scVI models counts, and this dataset has none", "take another projection")
    if atlas.n_obs < _LEAST_CELLS:
        raise TitinError(f"{atlas.n_obs} cells are too few to train scVI", f"it takes {_LEAST_CELLS} or more")
    threads, progress = make_resources(threads).threads, progress or Progress()
    genes, column = _genes(atlas, n_top_genes), _batch_column(atlas, batch_key)
    data = _Data(atlas, genes, column, random_state, threads)
    with quiet():
        model, epochs = _train(
            package, data, {"n_latent": n_latent, "n_layers": n_layers, "n_hidden": n_hidden}, max_epochs,
            random_state, accelerator, threads, progress,
        )  # fmt: skip
        latent = model.get_latent_representation(dataloader=data.inference()).astype(np.float32)
    history = {
        name: [float(value) for value in frame.to_numpy().ravel()]
        for name, frame in model.history.items()
        if name.startswith(("elbo", "reconstruction"))
    }
    params = {"n_latent": n_latent, "n_layers": n_layers, "n_hidden": n_hidden, "n_top_genes": len(genes),
              "batch_key": column, "max_epochs": epochs, "gene_likelihood": "zinb"}  # fmt: skip
    return ScviResult(latent, history, params)


def _genes(atlas: "Atlas", n_top: int) -> list[str]:
    measured = atlas.comparable().var_names
    if n_top >= len(measured):
        return list(measured)
    from titin.features import highly_variable

    return list(atlas.var_names[highly_variable(atlas, n_top)["highly_variable"].to_numpy()])


def _batch_column(atlas: "Atlas", batch_key: str | None) -> str | None:
    column = batch_key or atlas.roles.get("sample")
    if column is not None:
        atlas.cell_columns(column)  # which says so if there is none
    return column


class _Data:
    """Minibatches as scvi-tools' modules take them, each iteration one epoch."""

    def __init__(self, atlas: "Atlas", genes: list[str], column: str | None, seed: int, threads: int) -> None:
        self.atlas, self.genes, self.column, self.threads, self.seed = atlas, genes, column, threads, seed
        self.batches = pd.Index(atlas.cell_columns(column)[column].astype(str).unique() if column else [""])
        self.n_batch = len(self.batches)
        order = np.random.default_rng(seed).permutation(atlas.n_obs)
        self.held_out, self.trained_on = np.split(order, [max(BATCH_CELLS, int(len(order) * _VALIDATION_SHARE))])

    def training(self) -> "_Batches":
        """The cells to train on, in another order each time; a last short batch is left out."""
        return self._batches(BlockShuffleSampler(self.trained_on, seed=self.seed), BATCH_CELLS, drop_last=True)

    def validation(self) -> "_Batches":
        """The cells held out."""
        return self._batches(SequentialSampler(self.held_out), BATCH_CELLS)

    def inference(self) -> "_Batches":
        """All cells in the dataset's order."""
        return self._batches(SequentialSampler(self.atlas.n_obs), _INFERENCE_CELLS)

    def _batches(self, sampler: Sampler, size: int, *, drop_last: bool = False) -> "_Batches":
        loader = Loader(
            self.atlas, size, sampler=sampler, genes=self.genes, values="counts", dense=True, drop_last=drop_last,
            obs=[self.column] if self.column else [], threads=self.threads,
        )  # fmt: skip
        return _Batches(loader, self.column, self.batches)


class _Batches:
    """An epoch of a loader as tensors."""

    def __init__(self, loader: Loader, column: str | None, batches: pd.Index) -> None:
        self._loader, self._column, self._batches = loader, column, batches

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        import torch

        for X, obs in self._loader:
            codes = np.zeros(len(X), np.int64)
            if self._column:
                codes = self._batches.get_indexer(pd.Index(obs[self._column].astype(str))).astype(np.int64)
            batch = torch.from_numpy(codes).unsqueeze(1)
            # its own memory: the loader's is used again once nothing of numpy refers to it
            yield {"X": torch.tensor(X), "batch": batch, "labels": torch.zeros_like(batch)}


def _train(
    package: Any, data: _Data, settings: dict[str, int], max_epochs: int | None, seed: int, accelerator: str,
    threads: int, progress: Progress,
) -> tuple[Any, int]:  # fmt: skip
    """Train a model; return it and the epochs that it was trained for."""
    import torch
    from lightning.pytorch import Callback, LightningDataModule, seed_everything

    class Module(LightningDataModule):
        n_obs, n_vars, n_batch, n_labels = data.atlas.n_obs, len(data.genes), data.n_batch, 1

        def train_dataloader(self) -> _Batches:
            return data.training()

        def val_dataloader(self) -> _Batches:
            return data.validation()

    class Tell(Callback):
        def on_train_epoch_end(self, *_: Any) -> None:
            progress.advance(1)

    epochs = max_epochs or int(np.clip(round(20_000 / data.atlas.n_obs * 400), 1, 400))
    progress.start("scVI: epochs", epochs, "epochs")
    former = torch.get_num_threads()
    torch.set_num_threads(threads)
    for name in ("lightning.pytorch", "lightning.fabric"):  # they tell which devices there are, and give tips
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        seed_everything(seed, verbose=False)
        model = package.model.SCVI(**settings)
        model.train(
            datamodule=Module(), max_epochs=epochs, accelerator=accelerator, enable_progress_bar=False,
            enable_model_summary=False, check_val_every_n_epoch=1, callbacks=[Tell()],
        )  # fmt: skip
    finally:
        torch.set_num_threads(former)
        progress.finish()
    return model, epochs
