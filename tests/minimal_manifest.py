"""A manifest of a dataset that is not there, with everything that each has."""

from typing import Any

from titin.dataset.manifest import Manifest

SOURCE = {"name": "läber.h5ad", "format": "h5ad", "sha256": "00", "matrix": "X", "dtype": "float32", "storage": "csr"}


def _index(column: str) -> dict[str, Any]:
    labels = {"dtype": "object", "name": None}
    return {"columns": [{"name": None, "column": column, "kind": "object", "labels": labels}]}


def minimal_manifest(**changes: Any) -> Manifest:
    """Manifest with some keys changed."""
    known: dict[str, Any] = {
        "prefix": "liver_10x", "tissue": "liver", "method": "10x", "kind": "log1p",
        "n_cells": 4, "n_genes": 5, "nnz": 5, "source": SOURCE, "settings": {"seed": 0, "shuffle": True},
        "obs": _index("cell_id"), "var": _index("gene"),
    }  # fmt: skip
    return Manifest(**known | changes)
