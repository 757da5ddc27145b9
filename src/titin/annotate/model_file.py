"""Files of label models: one JSON document and four arrays of NumPy (`titin.dataset.array_zip`), never a pickle.

===================  ===================  ==================================================
member               of                   what
===================  ===================  ==================================================
``model.json``       strict JSON          names of types and genes, and how it was made
``coef.npy``         float32, K × G       of standardised expression
``intercept.npy``    float32, K
``mean.npy``         float32, G           of log1p of counts per 10,000
``scale.npy``        float32, G           standard deviations
===================  ===================  ==================================================
"""

from pathlib import Path
from typing import Any

import numpy as np

from titin import __version__
from titin.annotate.linear_model import LabelModel
from titin.dataset.array_zip import UNREADABLE, Shapes, read_array_zip, write_array_zip
from titin.dataset.shapes import anything, list_of, one_of, record, table_of, text, whole
from titin.errors import TitinError

FORMAT, VERSION = "titin.label_model", 1
MOST_GENES, MOST_CLASSES, MOST_VALUES = 200_000, 5_000, 64_000_000
_JSON = "model.json"
_ARRAYS = ("coef", "intercept", "mean", "scale")
_DOCUMENT = record({
    "format": one_of(FORMAT), "version": whole(1, VERSION), "titin": text(), "classes": list_of(text(), least=2),
    "genes": list_of(record({"name": text(), "id": text()}), least=1), "facts": table_of(anything),
})  # fmt: skip


def write_label_model(model: LabelModel, path: Path, *, force: bool = False) -> None:
    """Write a model, whole or not at all; `numpy.load` reads its arrays as well.

    Raises
    ------
    OutputError
        If the file is there and ``force`` is not given, or cannot be written.
    TitinError
        If it does not end in ``.npz``.
    """
    check_ending(path)
    genes = [{"name": name, "id": own} for name, own in zip(model.genes, model.gene_ids, strict=True)]
    document = {"format": FORMAT, "version": VERSION, "titin": __version__, "classes": list(model.classes),
                "genes": genes, "facts": model.facts}  # fmt: skip
    arrays = {name: np.asarray(getattr(model, name), np.float32) for name in _ARRAYS}
    write_array_zip(path, _JSON, document, arrays, force=force)


def check_ending(path: Path) -> None:
    """Refuse a path that does not end in ``.npz``."""
    if path.suffix != ".npz":
        raise TitinError(f"{path} does not end in .npz", "name the model so")


def read_label_model(path: Path) -> LabelModel:
    """Read a model that `write_label_model` has written.

    Raises
    ------
    TitinError
        If there is none, or the file is no such model in every respect.
    """
    try:
        document, arrays = read_array_zip(path, _JSON, _ARRAYS, _shapes)
        if (arrays["scale"] <= 0).any():
            raise ValueError("scale.npy holds what is not above 0")
    except FileNotFoundError:
        raise TitinError(f"there is no file {path}", "`titin annotate DATASET --save-model FILE` makes one") from None
    except UNREADABLE as error:
        raise TitinError(f"{path} is no label model: {error}", "get it anew from whoever made it") from error
    genes = document["genes"]
    return LabelModel(document["classes"], [gene["name"] for gene in genes], [gene["id"] for gene in genes],
                      facts=document["facts"], **arrays)  # fmt: skip


def _shapes(document: Any) -> Shapes:
    """Check a document, and say what arrays it promises."""
    _DOCUMENT(document)
    k, g = len(document["classes"]), len(document["genes"])
    if g > MOST_GENES or k > MOST_CLASSES or g * k > MOST_VALUES:
        raise ValueError("it has more genes or cell types than any label model")
    if len(set(document["classes"])) < k:
        raise ValueError("it has one of its classes twice")
    return {"coef": ((k, g), np.float32), "intercept": ((k,), np.float32), "mean": ((g,), np.float32),
            "scale": ((g,), np.float32)}  # fmt: skip
