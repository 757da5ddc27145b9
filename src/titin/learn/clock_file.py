"""Files of clocks: one JSON document and four arrays of NumPy (`titin.dataset.array_zip`).

A clock may come from a stranger: what the document says is checked against what a clock can be.

===================  ===============================  ================================================
member               of                               what
===================  ===============================  ================================================
``clock.json``       strict JSON                      see `DOCUMENT`
``coef.npy``         float32, parts × genes           years a unit of log1p expression
``intercept.npy``    float64, parts                   years
``means.npy``        float32, groups × genes          log1p expression that is taken off, by type and protocol
``expression.npy``   float64, genes                   mean linear expression of the training units
===================  ===============================  ================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.array_zip import UNREADABLE, Shapes, read_array_zip, write_array_zip
from titin.dataset.shapes import flag, list_of, one_of, optional, real, record, text, whole
from titin.errors import TitinError

FORMAT, VERSION = "titin.clock", 1
MOST_GENES, MOST_ROWS, MOST_VALUES = 200_000, 5_000, 64_000_000
_JSON = "clock.json"
ARRAYS = ("coef", "intercept", "means", "expression")

_number = optional(real())
_scores = record({"mae": _number, "rmse": _number, "r2": _number, "baseline_mae": _number, "n_donors": whole()})
_type = record({"cell_type": text(), "n_donors": whole(), "rmse": _number, "mae": _number, "n_held_out": whole(),
                "fitted": flag})  # fmt: skip
_donor = record({"donor": text(), "age": real(), "predicted": _number})
DOCUMENT = record({
    "format": one_of(FORMAT), "version": whole(1, VERSION), "titin": text(),
    "model": record({"name": text(), "features": text(), "level": one_of("cell", "pseudocell", "pseudobulk", "donor"),
                     "seed": whole(-(2**63)), "chosen_of": list_of(text())}),
    "age": record({"column": text(), "mean": real(), "lowest": real(), "highest": real()}),
    "values": record({"is_log": flag, "what": text()}),
    "dataset": record({"name": text(), "sha256": text("[0-9a-f]{64}", said="a sha256 in hexadecimal"),
                       "where": list_of(text())}),
    "genes": list_of(record({"name": text(), "id": text()}), least=1),
    "groups": list_of(record({"cell_type": text(), "protocol": text()}), least=1),
    "parts": list_of(text(), least=1), "cell_types": list_of(_type, least=1),
    "scores": _scores, "donors": list_of(_donor, least=1),
})  # fmt: skip


@dataclass(frozen=True)
class ClockContents:
    """What a file of a clock holds: its document, and its arrays by name."""

    document: dict[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(repr=False)


def write_clock(contents: ClockContents, path: Path, *, force: bool = False) -> None:
    """Write a clock, whole or not at all; the same clock makes the same bytes.

    Raises
    ------
    OutputError
        If the file is there and ``force`` is not given, or cannot be written.
    """
    write_array_zip(path, _JSON, contents.document, contents.arrays, force=force)


def read_clock(path: Path) -> ClockContents:
    """Read a clock.

    Raises
    ------
    TitinError
        If there is none, or the file is no clock in every respect.
    """
    try:
        return ClockContents(*read_array_zip(path, _JSON, ARRAYS, _shapes))
    except FileNotFoundError:
        raise TitinError(f"there is no file {path}", "`titin bench DATASET --save-clock FILE` makes one") from None
    except UNREADABLE as error:
        raise TitinError(f"{path} is no clock: {error}", "get it anew from whoever made it") from error


def _shapes(document: Any) -> Shapes:
    """Check a document, and say what arrays it promises."""
    DOCUMENT(document)
    genes, groups, parts = (len(document[key]) for key in ("genes", "groups", "parts"))
    if genes > MOST_GENES or max(groups, parts) > MOST_ROWS:
        raise ValueError("it has more genes or cell types than any clock")
    if genes * (groups + parts) > MOST_VALUES:
        raise ValueError(f"it has more than {MOST_VALUES:,} values")
    named = {"genes": [gene["name"] for gene in document["genes"]], "parts": document["parts"],
             "groups": [(group["cell_type"], group["protocol"]) for group in document["groups"]],
             "cell_types": [one["cell_type"] for one in document["cell_types"]]}  # fmt: skip
    for key, entries in named.items():
        if len(set(entries)) < len(entries):
            raise ValueError(f"it has one of its {key} twice")
    if ("", "") not in named["groups"] or "" not in named["cell_types"]:
        raise ValueError("it lacks what holds for all cell types together")
    return {"coef": ((parts, genes), np.float32), "intercept": ((parts,), np.float64),
            "means": ((groups, genes), np.float32), "expression": ((genes,), np.float64)}  # fmt: skip
