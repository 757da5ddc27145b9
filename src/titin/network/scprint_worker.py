"""Attention of scPRINT, by a process in scPRINT's own environment: this file imports nothing of titin.

The first line of the standard input is JSON with the ``checkpoint`` and how much ``memory`` there is; the answer is the
``genes`` that the model knows. Each further line is a folder with the cells of one cell type; the answer says that the
attention lies beside them. What goes wrong is answered by ``error`` and ``hint``.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_SINGLE = 4  # bytes
_COPIES = 6  # of a cell's attention, while it is computed
_MOST_CELLS = 64  # at once


class _RefusedError(Exception):
    """What is told, and what to do."""


def main() -> None:
    """Answer line by line; what libraries print goes where errors go."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    model: Any = None
    memory = 0
    for line in sys.stdin:
        try:
            if model is None:
                asked = json.loads(line)
                memory = int(asked["memory"])
                model = _load(Path(asked["checkpoint"]))
                told: dict[str, Any] = {"genes": list(model.genes)}
            else:
                told = _attend(model, Path(json.loads(line)), memory)
        except _RefusedError as reason:
            told = {"error": str(reason.args[0]), "hint": str(reason.args[1])}
        except MemoryError:
            told = _no_memory("")
        except Exception as error:  # whatever the model comes to
            said = f"{type(error).__name__}: {error}"
            small = "not enough memory" in said.lower() or "out of memory" in said.lower()
            told = _no_memory(said) if small else {"error": f"scPRINT failed: {said}", "hint": ""}
        answers.write(json.dumps(told) + "\n")
        answers.flush()


def _no_memory(said: str) -> dict[str, str]:
    return {"error": f"scPRINT has not enough memory{': ' * bool(said)}{said}",
            "hint": "take a smaller checkpoint, or a machine with more memory"}  # fmt: skip


def _load(checkpoint: Path) -> Any:
    """A model on the processor, or on the accelerator where there is one.

    The checkpoint is unpickled, which runs what it holds.
    """
    try:
        import torch
        from scprint import scPrint
    except ImportError as error:
        raise _RefusedError(f"scPRINT cannot be loaded by {sys.executable}: {error}",
                            "install the packages scprint and 'pyarrow<22' there") from error  # fmt: skip
    try:
        held = torch.load(checkpoint, map_location="cpu", weights_only=False)
        known = held["hyper_parameters"]
        size = len(held["state_dict"])
    except MemoryError:
        raise
    except Exception as error:
        raise _RefusedError(f"{checkpoint.name} is no checkpoint of scPRINT: {type(error).__name__}: {error}",
                            "give a file as its authors publish them, such as medium-v1.5.ckpt") from error  # fmt: skip
    if not size or not known.get("genes"):
        raise _RefusedError(f"{checkpoint.name} is no checkpoint of scPRINT: it names no genes", "give another file")
    given = {"classes": known["label_counts"]} if "label_counts" in known else {}
    model = scPrint.load_from_checkpoint(
        checkpoint, precpt_gene_emb=None, transformer="normal", map_location="cpu", **given
    )
    model = model.to(torch.float32).to("cuda" if torch.cuda.is_available() else "cpu")
    model.pred_log_adata = False
    return model.eval()


def _attend(model: Any, folder: Path, memory: int) -> dict[str, Any]:
    """Write the attention of each donor's cells: donors × regulators × genes, float32."""
    place, regulators, donor = (np.load(folder / f"{name}.npy") for name in ("place", "regulators", "donor"))
    counts, depth = np.load(folder / "counts.npy"), np.load(folder / "depth.npy")
    order = np.argsort(place)  # the network comes in the order of the model's genes
    batch = _cells_at_once(model, len(place), memory)
    found = np.empty((int(donor.max()) + 1, len(regulators), len(place)), np.float32)
    for code in range(len(found)):
        rows = np.flatnonzero(donor == code)
        network = _network(model, counts[rows][:, order], place[order], depth[rows], batch)
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        found[code] = network.T[back[regulators]][:, back]  # a target attends to its regulator
    np.save(folder / "attention.npy", found)
    return {"cells": len(counts), "cells_at_once": batch}


def _cells_at_once(model: Any, n_genes: int, memory: int) -> int:
    """How many cells fit."""
    tokens = n_genes + model.attn.additional_tokens
    heads = model.hparams.get("nhead", 4)
    held = (len(model.genes) + tokens) * model.nlayers * 2 * model.d_model * _SINGLE + _COPIES * tokens**2 * _SINGLE
    cell = _COPIES * heads * tokens**2 * _SINGLE
    if held + cell > memory:
        need, free = (size / 2**30 for size in (held + cell, memory))
        raise _RefusedError(
            f"scPRINT has not enough memory: {n_genes:,} genes take {need:.2g} GiB, and {free:.2g} are free",
            "take a smaller checkpoint, fewer --regulators, or a machine with more memory",
        )
    return int(min(_MOST_CELLS, (memory - held) // cell))


def _network(model: Any, counts: np.ndarray, place: np.ndarray, depth: np.ndarray, batch: int) -> np.ndarray:
    """Genes × genes: the softmax of what the cells' mean queries and keys have in common, mean of heads and layers.

    The mean is that of scPRINT's own ``GNInfer``.
    """
    import torch
    from scprint.tasks import GNInfer

    layers = list(range(model.nlayers))
    genes = [model.genes[i] for i in place.tolist()]
    infer = GNInfer(layer=layers, how="given", genes=genes, filtration="none", head_agg="mean", preprocess="softmax")
    infer.n_cell_embs, infer.curr_genes = model.attn.additional_tokens, genes
    model.on_predict_epoch_start()
    model.attn.comp_attn = True
    device = model.device.type
    with torch.no_grad(), _half_precision(device):
        for begin in range(0, len(counts), batch):
            cells = slice(begin, begin + batch)
            values = torch.tensor(counts[cells], dtype=torch.float32, device=device)
            tokens = torch.tensor(np.broadcast_to(place, values.shape).copy(), device=device)
            of_all = torch.tensor(depth[cells], dtype=torch.float32, device=device)
            model._predict(tokens, values, of_all, predict_mode="none", keep_output=False, get_attention_layer=layers)
        found = infer.aggregate(model.attn.get(), model.genes)
    first = infer.n_cell_embs
    return np.asarray(found[first:, first:], np.float32)


@contextlib.contextmanager
def _half_precision(device: str) -> Iterator[None]:
    import torch

    with torch.autocast(device_type=device, dtype=torch.float16) if device == "cuda" else contextlib.nullcontext():
        yield


if __name__ == "__main__":
    main()
