"""How fast a small network trains on what the Loader gives, and how much of that time it waits for cells.

python benchmarks/train.py --dataset DATASET [--device cuda] [--cache FOLDER]
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

import titin
from _measure import finish, load_average, note, table
from titin.load import Loader
from titin.load.torch import TorchDataset

BATCHES = 64  # held in memory, for the network alone
Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


def main() -> int:
    """Measure loading, training and both, for each kind of batch."""
    options = parse()
    atlas = titin.open(options.dataset)
    cache: Any = options.cache or False
    torch.manual_seed(0)
    rows: list[dict[str, Any]] = []
    for name, dataset in datasets(atlas, options.batch, options.label, options.genes, cache):
        note(name)
        rows.append({"batches": name, **measure(dataset, options)})
    if options.json:
        print(json.dumps({"cells": atlas.n_obs, "device": options.device, "batch": options.batch,
                          "load_average": load_average(), "rows": rows}, indent=2))  # fmt: skip
        return 0
    print(f"{atlas.n_obs:,} cells, batches of {options.batch}, on {options.device}; load {load_average()}\n")
    print(table(
        ("batches", "loading alone, cells/s", "training alone", "together", "waiting for cells"),
        [(row["batches"], *(f"{row[k]:,.0f}" for k in ("loading", "training", "together")), f"{row['waiting']:.0%}")
         for row in rows],
    ))  # fmt: skip
    return 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="a dataset that titin built")
    parser.add_argument("--label", default="annotation_level0", help="obs column that the network learns")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--genes", type=int, default=2000, help="those detected in most cells, of dense batches")
    parser.add_argument("--epochs", type=int, default=3, help="the best counts; one before them is not measured")
    parser.add_argument("--batches", type=int, default=400, help="of an epoch, at most")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; batches reach a GPU pinned and asynchronously")
    parser.add_argument("--cache", type=Path, help="folder of the decoded cache; read from Parquet where not given")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def datasets(
    atlas: titin.Atlas, batch: int, label: str, n_genes: int, cache: Any
) -> Iterator[tuple[str, TorchDataset]]:
    """Kinds of batches: values of some genes, dense and in half of the memory; counts of all genes, sparse."""
    genes = list(atlas.var["n_cells"].sort_values(ascending=False, kind="stable").index[:n_genes])
    for dtype in (torch.float32, torch.bfloat16):
        loader = Loader(atlas, batch, genes=genes, dense=True, obs=[label], drop_last=True, cache=cache)
        yield f"values, {len(genes):,} genes, dense, {dtype}", TorchDataset(loader, "dense", label, dtype)
    if atlas.store.manifest.value_kind.has_counts:
        loader = Loader(atlas, batch, values="counts", obs=[label], drop_last=True, cache=cache)
        yield "counts, all genes, CSR, torch.float32", TorchDataset(loader, target=label)


def measure(dataset: TorchDataset, options: argparse.Namespace) -> dict[str, float]:
    """Cells a second of loading alone, of training alone, and of both; the share of the latter spent on waiting."""
    device, epochs = options.device, options.epochs
    kept = list(islice(moved(dataset, device), BATCHES))
    train = trainer(dataset, kept[0][0].shape[1], device)
    alone = best(lambda _: run(iter(kept), train, device)[0] / (len(kept) * options.batch), epochs)
    both, waits = [], []

    def epoch(number: int, step: Any) -> float:
        dataset.set_epoch(number)
        seconds, waited, cells = run(islice(moved(dataset, device), options.batches), step, device)
        if step is train:
            both.append(seconds / cells)
            waits.append(waited / seconds)
        return seconds / cells

    loading = best(lambda number: epoch(number, None), epochs)
    together = best(lambda number: epoch(number, train), epochs)
    return {"loading": 1 / loading, "training": 1 / alone, "together": 1 / together,
            "waiting": waits[int(np.argmin(both))]}  # fmt: skip


def best(seconds_a_cell: Callable[[int], float], epochs: int) -> float:
    """The least of some epochs, after one that is not measured."""
    return min([seconds_a_cell(number) for number in range(epochs + 1)][1:])


def trainer(dataset: TorchDataset, n_genes: int, device: str) -> Any:
    """Give what trains on a batch: two layers, Adam, mixed precision where values are halves."""
    assert dataset.classes is not None, "every kind of batch has a target"
    model = torch.nn.Sequential(
        torch.nn.Linear(n_genes, 128), torch.nn.ReLU(), torch.nn.Linear(128, len(dataset.classes))
    )
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters())
    half = dataset.dtype != torch.float32

    def train(X: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.partition(":")[0], dtype=dataset.dtype if half else torch.bfloat16, enabled=half):
            loss = torch.nn.functional.cross_entropy(model(X), y)
        loss.backward()
        optimizer.step()

    return train


def moved(dataset: TorchDataset, device: str) -> Batches:
    """Give batches on the device; a GPU gets the next one while it works on the last."""
    gpu = device != "cpu"
    for X, y in dataset:
        if gpu and X.layout == torch.strided:
            X, y = X.pin_memory(), y.pin_memory()
        yield X.to(device, non_blocking=gpu), y.to(device, non_blocking=gpu)


def run(batches: Batches, step: Any, device: str) -> tuple[float, float, int]:
    """Seconds of an epoch, those of them in which nothing was there to train on, and its cells."""
    waited, cells, began = 0.0, 0, time.perf_counter()
    while True:
        asked = time.perf_counter()
        pair = next(batches, None)
        waited += time.perf_counter() - asked
        if pair is None:
            break
        cells += len(pair[1])
        if step:
            step(*pair)
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - began, waited, cells


if __name__ == "__main__":
    finish(main)
