"""One rank of a training with DistributedDataParallel: python _rank.py DATASET FOLDER RANK DIES.

Trains over one epoch and checkpoints every third batch; goes on from its checkpoint where there is one. A rank that
DIES does so before that batch. Writes the names of its cells, batch by batch, and in the end its weights.
"""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import titin
from titin.load import BlockShuffleSampler, DistributedSampler, Loader
from titin.load.torch import TorchDataset

WORLD, EVERY = 2, 3


def main() -> None:
    dataset, folder, rank, dies = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    meeting = folder / "meeting"
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=WORLD, timeout=timedelta(seconds=60)
    )
    atlas = titin.open(dataset)
    whole = BlockShuffleSampler(atlas.n_obs, block_cells=16, buffer_cells=48, seed=4)
    loader = Loader(atlas, 20, sampler=DistributedSampler(whole, rank=rank, world_size=WORLD), threads=1)
    batches = TorchDataset(loader)
    torch.manual_seed(0)
    model = torch.nn.Linear(atlas.n_vars, 1)
    handed_out: list[list[str]] = []
    checkpoint = folder / f"checkpoint-{rank}.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        batches.load_state_dict(state["batches"])
        handed_out = state["handed_out"]
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.01)
    for X, obs in batches:
        if len(handed_out) == dies:
            os._exit(9)
        optimizer.zero_grad()
        parallel(X).square().mean().backward()
        optimizer.step()
        handed_out.append(obs.index.tolist())
        if len(handed_out) % EVERY == 0:
            found = {"model": model.state_dict(), "batches": batches.state_dict(), "handed_out": handed_out}
            torch.save(found, checkpoint)
    weights = model.weight.detach().double().flatten().tolist()
    (folder / f"rank-{rank}.json").write_text(json.dumps({"cells": handed_out, "weights": weights}), "utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
