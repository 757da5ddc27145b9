"""Minibatches as PyTorch tensors."""

import copy
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.extras import MissingPackageError
from titin.load.loader import Loader
from titin.load.samplers import Sampler

try:
    import torch
    from torch.utils.data import IterableDataset, get_worker_info
except ImportError as error:
    raise MissingPackageError("torch", "titin.load.torch") from error

MISSING = -100  # what PyTorch's losses leave out

with warnings.catch_warnings():  # PyTorch warns of sparse CSR once a process, also where it unpacks a worker's batch
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 0], [], [], (1, 1))


class TorchDataset(IterableDataset):
    """A `titin.Loader` as a dataset of ready batches, for ``DataLoader(dataset, batch_size=None)``.

    Without worker processes it iterates over the loader itself, whose threads work ahead, and goes on from epoch to
    epoch and from a loaded state as the loader does; this is the quickest way. With workers, each takes its share of
    the epoch's loads, so that all together hand out every cell once; every worker ends with a batch of what is left
    (or leaves it out, with ``drop_last``), so there can be a few batches more than ``len(loader)``. The epoch is then
    the one that was set last: call `set_epoch` before each, as for PyTorch's own samplers.

    It knows where it is (`state_dict`), also in a worker: torchdata's ``StatefulDataLoader`` in the place of PyTorch's
    ``DataLoader`` goes on where it stopped.

    Parameters
    ----------
    loader
        Says which cells, genes and values, and how many at a time.
    layout
        ``csr``: sparse CSR tensors, columns ascending in each row; ``dense``: what ``Loader(dense=True)`` gives, or
        the same made from its CSR.
    target
        A column of obs that the loader hands out, as second part of every batch. Text and categories become int64
        positions in ``classes``, -100 where missing; other numbers float32, integers and booleans int64. The batch's
        obs, a DataFrame, where not given.
    dtype
        Of the values: ``torch.float32``, or ``torch.float16`` or ``torch.bfloat16``, in half the memory and rounded; of
        ``values="counts"``, which neither of these holds exactly, ``torch.int32``.
    mask
        Give what was measured as third part of every batch: bool, cells × genes (dense), as `titin.Loader.mask` says.
        Of several studies, to leave out of a loss the genes that a cell's study did not measure.

    Attributes
    ----------
    classes
        Names of the classes, or None: the categories of the column in their order, or its distinct values, sorted.

    Raises
    ------
    TitinError
        If obs has no such column, there is no such layout, or values of this kind are not given in this dtype.

    Examples
    --------
    >>> loader = Loader("dataset", batch_size=512)  # doctest: +SKIP
    >>> dataset = TorchDataset(loader, target="cell_type")  # doctest: +SKIP
    >>> for X, y in torch.utils.data.DataLoader(dataset, batch_size=None):  # doctest: +SKIP
    ...     loss = torch.nn.functional.cross_entropy(model(X), y)
    """

    def __init__(
        self, loader: Loader, layout: Literal["csr", "dense"] = "csr", target: str | None = None,
        dtype: torch.dtype = torch.float32, *, mask: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if layout not in ("csr", "dense"):
            raise TitinError(f"there is no layout {layout!r}", "give csr or dense")
        if layout == "csr" and loader.dense:
            raise TitinError("the loader gives dense batches", 'give layout="dense", or make the loader sparse')
        _refuse_dtype(dtype, loader.values)
        self.loader, self.layout, self.target, self.dtype, self.mask = loader, layout, target, dtype, mask
        if mask:
            loader.mask(loader.obs.iloc[:0])  # which says so if that cannot be known
        self.classes = None if target is None else _classes(_handed_out(loader, target))
        # in shared memory, as workers that stay alive hear of a new epoch in no other way
        epoch: Any = torch.tensor(loader.state_dict()["epoch"])
        self._epoch = epoch.share_memory_()
        self._running, self._to_load = loader, dict[str, int]()

    def set_epoch(self, epoch: int) -> None:
        """Begin this epoch when iterated over next, in every worker; the order of cells depends on it."""
        self._epoch.fill_(epoch)
        self.loader.set_epoch(epoch)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield ``X`` (cells × genes, of ``dtype``) with the target (cells) or obs, and with the mask if wanted."""
        worker = get_worker_info()
        loader = self.loader if worker is None else self._share(worker.id, worker.num_workers)
        self._running = loader
        if self._to_load:
            loader.load_state_dict(self._to_load)
            self._to_load = {}
        for X, obs in loader:
            batch = self._tensor(X), self._second(obs)
            yield (*batch, torch.from_numpy(loader.mask(obs))) if self.mask else batch

    def state_dict(self) -> dict[str, int]:
        """Where the epoch is in this process, as of a `titin.Loader`: in a worker, of its share."""
        return dict(self._to_load) or self._running.state_dict()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that had been handed out when ``state`` was taken, when iterated over next."""
        self._to_load = dict(state)

    def _share(self, number: int, of: int) -> Loader:
        """The loader of one worker."""
        loader = copy.copy(self.loader)
        loader.sampler = _Share(loader.sampler, number, of)
        loader.threads = max(1, loader.threads // of)
        loader.set_epoch(int(self._epoch))
        return loader

    def _tensor(self, X: Any) -> torch.Tensor:
        if self.layout == "dense":
            return self._convert(X if self.loader.dense else X.toarray())
        X.sort_indices()
        indptr, indices = torch.from_numpy(X.indptr), torch.from_numpy(X.indices)
        return torch.sparse_csr_tensor(indptr, indices, self._convert(X.data), X.shape, check_invariants=False)

    def _convert(self, values: NDArray[np.float32]) -> torch.Tensor:
        """Values in the dtype that is wanted."""
        converted = torch.from_numpy(values).to(self.dtype)
        if self.dtype == torch.float16 and not bool(converted.isfinite().all()) and np.isfinite(values).all():
            raise TitinError(
                f"a value of {np.abs(values).max():g} is beyond torch.float16", "give dtype=torch.bfloat16"
            )  # fmt: skip
        return converted

    def _second(self, obs: Any) -> Any:
        if self.target is None:
            return obs.to_frame()
        return torch.from_numpy(_numbers(obs[self.target], self.classes))


class _Share(Sampler):
    """One worker's loads of an epoch; unlike a `DistributedSampler`'s, no cell is left out or handed out again."""

    def __init__(self, sampler: Sampler, number: int, of: int) -> None:
        super().__init__(sampler.cells)
        self.sampler, self.number, self.of = sampler, number, of
        self._length: int | None = None

    def loads(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Yield every so many-th load, or a part of every load where there are fewer loads than workers."""
        loads = list(self.sampler.loads(epoch))
        if len(loads) < self.of:
            yield from (np.array_split(load, self.of)[self.number] for load in loads)
        else:
            yield from loads[self.number :: self.of]

    def __len__(self) -> int:
        if self._length is None:  # which is asked for with every state
            self._length = sum(map(len, self.loads(0)))
        return self._length


def _refuse_dtype(dtype: torch.dtype, values: str) -> None:
    """Refuse a dtype in which values would be wrong without a word: halves of counts, whole numbers of logarithms."""
    fitting = (torch.float32, torch.int32) if values == "counts" else (torch.float32, torch.float16, torch.bfloat16)
    if dtype not in fitting:
        raise TitinError(
            f'values="{values}" are not given as {dtype}', f"give dtype={' or '.join(map(str, fitting))}"
        )  # fmt: skip


def _handed_out(loader: Loader, column: str) -> pd.Series:
    """A column that a loader hands out, of every cell of the dataset."""
    if column not in loader.obs:
        loader.atlas.cell_columns(column)  # which says so if there is none
        raise TitinError(f"the loader does not hand out {column!r}", f'make it with obs=["{column}"]')
    return loader.obs[column]


def _classes(values: pd.Series) -> list[str] | None:
    """Names of the classes of a column; None if it holds numbers."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return [str(name) for name in values.cat.categories]
    if pd.api.types.is_numeric_dtype(values.dtype):
        return None
    return sorted(map(str, values.dropna().unique()))


def _numbers(values: pd.Series, classes: list[str] | None) -> NDArray[Any]:
    """What a model is to predict, as a new array."""
    if classes is None:
        kind = np.float32 if pd.api.types.is_float_dtype(values.dtype) else np.int64
        return values.to_numpy(kind, copy=True)
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes = values.cat.codes.to_numpy(np.int64, copy=True)
    else:
        codes = pd.Categorical(values.astype(object), categories=classes).codes.astype(np.int64)
    codes[codes < 0] = MISSING
    return np.asarray(codes)
