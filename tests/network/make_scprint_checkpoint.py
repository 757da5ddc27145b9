"""Make a small checkpoint of scPRINT with random weights, and the attention of some cells by numpy.

Run by a Python that has scPRINT: ``python make_scprint_checkpoint.py FOLDER``, with ``genes.json`` and ``counts.npy``
(cells × some genes, the first of the model's) in the folder; writes ``tiny.ckpt`` and ``expected.npy``, genes × genes.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Trainer
from scprint import scPrint

folder = Path(sys.argv[1])
genes = json.loads((folder / "genes.json").read_text())
torch.manual_seed(0)
model = scPrint(
    genes=genes, organisms=["NCBITaxon:9606"], precpt_gene_emb=None, gene_pos_enc=None, d_model=32, nhead=2, nlayers=2,
    layers_cls=[], classes={"cell_type_ontology_term_id": 3}, labels_hierarchy={}, transformer="normal",
    num_heads_kv=2, num_batch_labels=2,
)  # fmt: skip
with torch.no_grad():  # far from the small weights that training begins with, so that cells differ
    for weight in model.parameters():
        weight += 0.3 * torch.randn_like(weight)
trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
trainer.strategy.connect(model)
trainer.save_checkpoint(folder / "tiny.ckpt")

counts = np.load(folder / "counts.npy")
model.eval()
layers, heads = 2, 2
values = torch.tensor(counts, dtype=torch.float32)
with torch.no_grad():
    place = torch.arange(counts.shape[1]).repeat(len(counts), 1)
    _, qkv = model.forward(place, values, depth_mult=values.sum(1), req_depth=values.sum(1),
                           get_attention_layer=[0, 1], do_class=True)  # fmt: skip
found = []
for layer in range(layers):
    mean = qkv[layer].numpy().astype(np.float64).mean(axis=0)  # tokens × (query, key, value) × heads × numbers
    for head in range(heads):
        scores = mean[:, 0, head] @ mean[:, 1, head].T / np.sqrt(mean.shape[-1])
        size = np.exp(scores - scores.max(axis=1, keepdims=True))
        found.append(size / size.sum(axis=1, keepdims=True))
first = found[0].shape[0] - counts.shape[1]
np.save(folder / "expected.npy", np.mean(found, axis=0)[first:, first:])
