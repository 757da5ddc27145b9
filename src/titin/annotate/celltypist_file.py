"""Models of CellTypist, ``.pkl``: a pickle is a programme, and here it is read without anything of it being run.

A pickle names functions that are to be called. Of these, a model needs a handful of NumPy's, scikit-learn's and
CellTypist's; each is replaced by a class of this file that keeps what it was given and does nothing, and any other is
refused. What comes out are texts, numbers, and arrays that are made here from their bytes.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.annotate.linear_model import LabelModel
from titin.errors import TitinError
from titin.files import open_regular
from titin.text import json_safe

MOST_BYTES = 1 << 30
_NUMBERS = {"f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}
_HINT = "give a model that celltypist has saved: celltypist.models.download_models, or Model.write"


class _Inert:
    """Keeps what a pickle gives to an object: arguments, state."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _PickledType(_Inert):
    """Stands for numpy.dtype."""


class _PickledArray(_Inert):
    """Stands for an array that numpy's ``_reconstruct`` makes, to be filled by its state."""


class _PickledBuffer(_Inert):
    """Stands for an array that numpy's ``_frombuffer`` makes."""


class _PickledBytes(_Inert):
    """Stands for bytes that pickles of protocol 2 make of text."""


class _PickledNumber(_Inert):
    """Stands for a number of NumPy."""


class _PickledEstimator(_Inert):
    """Stands for a model of scikit-learn."""


def _admitted() -> dict[tuple[str, str], type[_Inert]]:
    """Classes that stand for what a pickle of a model names, made anew for each, so that none keeps anything."""

    def fresh(kind: type[_Inert]) -> type[_Inert]:
        return type(kind.__name__, (kind,), {})

    found: dict[tuple[str, str], type[_Inert]] = {("numpy", "dtype"): fresh(_PickledType),
                                                  ("numpy", "ndarray"): fresh(_Inert)}  # fmt: skip
    found["_codecs", "encode"] = fresh(_PickledBytes)
    for core in ("numpy.core", "numpy._core"):
        found[f"{core}.multiarray", "_reconstruct"] = fresh(_PickledArray)
        found[f"{core}.multiarray", "scalar"] = fresh(_PickledNumber)
        found[f"{core}.numeric", "_frombuffer"] = fresh(_PickledBuffer)
    for module in ("sklearn.linear_model._logistic", "sklearn.linear_model.logistic"):
        found[module, "LogisticRegression"] = fresh(_PickledEstimator)
    for module in ("sklearn.linear_model._stochastic_gradient", "sklearn.linear_model.stochastic_gradient"):
        found[module, "SGDClassifier"] = fresh(_PickledEstimator)
    for module in ("sklearn.preprocessing._data", "sklearn.preprocessing.data"):
        found[module, "StandardScaler"] = fresh(_PickledEstimator)
    for module in ("sklearn.linear_model._sgd_fast", "sklearn.linear_model.sgd_fast", "sklearn._loss._loss", "_loss"):
        for name in ("Log", "CyHalfBinomialLoss"):  # what SGD keeps beside the coefficients
            found[module, name] = fresh(_Inert)
    return found


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self._known = _admitted()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"it wants {module}.{name} to be run, which no model needs")
        return self._known[module, name]

    def persistent_load(self, _: Any) -> Any:
        raise pickle.UnpicklingError("it refers to what lies outside of it")


def read_celltypist(path: Path) -> LabelModel:
    """Read a model of CellTypist's, which is not run.

    Raises
    ------
    TitinError
        If there is none, or it holds anything else than such a model.
    """
    try:
        with open_regular(path) as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
        return _model(_Unpickler(io.BytesIO(data)).load(), path)
    except FileNotFoundError:
        raise TitinError(f"there is no file {path}", _HINT) from None
    except (MemoryError, RecursionError):
        raise TitinError(f"{path} is no model of CellTypist: it is larger than any", _HINT) from None
    except Exception as error:  # whatever a crafted pickle comes to
        raise TitinError(f"{path} is no model of CellTypist: {error}", _HINT) from error


def _model(document: Any, path: Path) -> LabelModel:
    if not isinstance(document, dict) or not {"Model", "Scaler_"} <= set(document):
        raise ValueError("it holds no Model and Scaler_")
    classifier, scaler = _state(document["Model"]), _state(document["Scaler_"])
    classes, genes = _texts(classifier["classes_"]), _texts(classifier["features"])
    coef, intercept = _floats(classifier["coef_"]), _floats(classifier["intercept_"]).reshape(-1)
    scale = _floats(scaler["scale_"])
    mean = np.zeros(len(genes)) if scaler.get("mean_") is None else _floats(scaler["mean_"])
    if len(classes) == 2 and len(coef) == 1:  # the other type is all that the one is not
        coef, intercept = np.concatenate([-coef, coef]), np.concatenate([-intercept, intercept])
    shapes = {"coef_": (coef.shape, (len(classes), len(genes))), "intercept_": (intercept.shape, (len(classes),)),
              "scale_": (scale.shape, (len(genes),)), "mean_": (mean.shape, (len(genes),))}  # fmt: skip
    for name, (found, wanted) in shapes.items():
        if found != wanted:
            raise ValueError(f"its {name} are {found}, not {wanted}")
    if len(classes) < 2 or len(set(classes)) < len(classes) or (scale <= 0).any():
        raise ValueError("its types or scales are none")
    told = document.get("description")
    facts = {"made_by": "CellTypist", "file": path.name}
    if isinstance(told, Mapping):
        facts |= {str(k): json_safe(v) for k, v in told.items() if isinstance(v, str | int | float)}
    return LabelModel(classes, genes, [""] * len(genes), mean, scale, np.ascontiguousarray(coef), intercept, facts)


def _state(estimator: Any) -> dict[str, Any]:
    state = estimator.state if isinstance(estimator, _PickledEstimator) else None
    if not isinstance(state, dict):
        raise TypeError("its model is none of scikit-learn's")
    return state


def _floats(value: Any) -> NDArray[np.float64]:
    found = np.ascontiguousarray(_array(value), np.float64)
    if not np.isfinite(found).all():
        raise ValueError("it holds what is no number")
    return found


def _texts(value: Any) -> list[str]:
    entries = _array(value).tolist() if not isinstance(value, list) else value
    if not all(isinstance(entry, str) for entry in entries):
        raise TypeError("the names of its types or genes are no text")
    return [str(entry) for entry in entries]


def _array(value: Any) -> NDArray[Any]:
    """Make an array of what a pickle says of it."""
    if isinstance(value, _PickledArray):
        if not isinstance(value.state, tuple) or len(value.state) != 5:
            raise ValueError("an array has no content")
        _, shape, dtype, fortran, content = value.state
    elif isinstance(value, _PickledBuffer):
        content, dtype, shape, order = value.arguments
        fortran = order == "F"
    else:
        raise TypeError(f"it has {type(value).__name__} where an array is")
    shape = tuple(int(n) for n in shape)
    if isinstance(content, list):  # of Python's own objects
        found = np.empty(len(content), object)
        found[:] = content
    else:
        if isinstance(content, _PickledBytes):
            content = str(content.arguments[0]).encode("latin-1")
        if not isinstance(content, bytes | bytearray):
            raise TypeError("an array has no bytes")
        found = np.frombuffer(bytes(content), _dtype(dtype))
    return found.reshape(shape, order="F" if fortran else "C")


def _dtype(value: Any) -> np.dtype:
    """A type of numbers or of text."""
    if not isinstance(value, _PickledType) or not value.arguments or not isinstance(value.arguments[0], str):
        raise TypeError("an array has no type")
    name = value.arguments[0]
    order = value.state[1] if isinstance(value.state, tuple) and len(value.state) > 1 else "<"
    if name not in _NUMBERS and not (name[:1] == "U" and name[1:].isdecimal() and len(name) < 8):
        raise TypeError(f"an array is of {name!r}")
    return np.dtype(name).newbyteorder(">" if order == ">" else "<")
