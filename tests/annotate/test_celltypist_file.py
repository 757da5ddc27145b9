"""Models of CellTypist are read as data: what they compute is computed, and nothing in a pickle is run."""

import builtins
import os
import pickle
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.preprocessing import StandardScaler
from typed_cells import TYPES

import titin
from titin.annotate import label_cells, read_celltypist
from titin.errors import TitinError


def pickled_model(atlas, *, sgd=False, types=TYPES, genes=None, protocol=pickle.DEFAULT_PROTOCOL):
    """A model as CellTypist trains and writes it: the objects of scikit-learn that it has, and its bytes."""
    X = np.log1p(_per_10k(atlas))
    y = atlas.cell_columns(["cell_type"])["cell_type"].astype(str).to_numpy()
    own = np.isin(y, types)
    scaler = StandardScaler().fit(X[own])
    scaled = np.minimum(scaler.transform(X[own]), 10)
    made = SGDClassifier(loss="log_loss", random_state=0) if sgd else LogisticRegression(C=1.0, solver="liblinear")
    if not sgd and len(types) > 2:
        made = LogisticRegression(C=1.0)
    classifier = made.fit(scaled, y[own])
    classifier.features = np.array(genes or atlas.var_names, object)
    document = {"Model": classifier, "Scaler_": scaler, "description": {"date": "2026", "details": "test", "number": 1}}
    return classifier, scaler, pickle.dumps(document, protocol=protocol)


def _per_10k(atlas):
    counts = atlas.counts[:].toarray().astype(np.float64)
    return counts / counts.sum(axis=1, keepdims=True) * 1e4


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("sgd", [False, True])
def test_probabilities_are_those_of_the_model(typed, tmp_path, sgd, protocol):
    atlas = titin.open(typed)
    classifier, scaler, data = pickled_model(atlas, sgd=sgd, protocol=protocol)
    (tmp_path / "model.pkl").write_bytes(data)
    found = label_cells(atlas, read_celltypist(tmp_path / "model.pkl"))
    scores = classifier.decision_function(np.minimum(scaler.transform(np.log1p(_per_10k(atlas))), 10))
    assert found.table["predicted"].astype(str).tolist() == classifier.classes_[scores.argmax(axis=1)].tolist()
    np.testing.assert_allclose(found.table["p"], expit(scores.max(axis=1)), atol=1e-5)
    assert found.settings["model"]["made_by"] == "CellTypist"
    assert found.coverage == 1


def test_of_two_types_the_other_is_all_that_the_one_is_not(typed, tmp_path):
    atlas = titin.open(typed)
    classifier, scaler, data = pickled_model(atlas, types=("B cell", "Mast"))
    (tmp_path / "model.pkl").write_bytes(data)
    found = label_cells(atlas, read_celltypist(tmp_path / "model.pkl"))
    scores = classifier.decision_function(np.minimum(scaler.transform(np.log1p(_per_10k(atlas))), 10))
    np.testing.assert_allclose(found.table["p"], expit(np.abs(scores)), atol=1e-5)
    assert found.table["predicted"].astype(str).tolist() == np.where(scores > 0, "Mast", "B cell").tolist()


class _Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(where):
    """Pickles that would write a file if they were run, alone and within what looks like a model."""
    command = f"touch {where}"
    calls = [
        _Calls(os.system, command), _Calls(subprocess.check_call, ["touch", str(where)]),
        _Calls(builtins.eval, f"open({str(where)!r}, 'w')"), _Calls(builtins.getattr, os, "system"),
        _Calls(np.save, str(where), 1), _Calls(builtins.open, str(where), "w"),
    ]  # fmt: skip
    for call in calls[:3] + calls[4:]:
        yield pickle.dumps(call)
        yield pickle.dumps({"Model": call, "Scaler_": call, "description": {}})
        within = np.array([call], object)
        yield pickle.dumps({"Model": LogisticRegression(), "Scaler_": StandardScaler(), "description": within})
    yield b"cos\nsystem\n(S'" + command.encode() + b"'\ntR."
    yield b"\x80\x04\x8c\x0bnumpy.linalg\x8c\x0f_umath_linalg.f\x93."  # a name with a dot in it
    yield b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__class__\x93."
    yield b"\x80\x02cnumpy\nndarray\n}(S'__init__'\ncnumpy\ndtype\nub."  # attributes of a class
    yield b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x01x\x85R."
    yield b"\x80\x02Pid\n."  # what lies outside
    yield b"\x82\x01."  # of copyreg's registry
    yield pickle.dumps([1, 2])
    yield pickle.dumps({"Model": 1, "Scaler_": 2})
    yield b""
    yield b"\x80\x04" + b"(" * 10_000


def test_a_hostile_pickle_is_refused_and_nothing_is_run(tmp_path):
    where, path = tmp_path / "ran", tmp_path / "model.pkl"
    n = 0
    for data in hostile(where):
        path.write_bytes(data)
        with pytest.raises(TitinError, match="no model of CellTypist"):
            read_celltypist(path)
        n += 1
    assert n == 26
    assert not where.exists()


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_pickle_is_a_model_or_refused(whole, damaged_path, data):
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.just(len(whole)) | st.integers(1, len(whole)))
    damaged_path.write_bytes(bytes(changed[:length]))
    try:
        model = read_celltypist(damaged_path)
    except TitinError:
        return
    assert model.coef.shape == (len(model.classes), len(model.genes))


@pytest.fixture(scope="module")
def whole(typed):
    return pickled_model(titin.open(typed))[2]


@pytest.fixture(scope="module")
def damaged_path(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged") / "model.pkl"
