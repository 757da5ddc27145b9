"""Figures of the benchmark show what is in their tables."""

import numpy as np
import pandas as pd
import pytest

from titin.errors import TitinError
from titin.plot import alt_text, learning

pytest.importorskip("matplotlib")


def test_predicted_against_actual():
    table = pd.DataFrame({"true": [20.0, 70], "predicted": [30.0, 60], "low": [25.0, 55], "high": [33.0, 66],
                          "sex": ["female", "male"]})  # fmt: skip
    axes = learning.predicted_against_actual(table, color="sex")
    drawn = [bar.lines[0].get_xydata().tolist() for bar in axes.containers]
    assert drawn == [[[20, 30]], [[70, 60]]]
    assert "mean absolute error 10" in alt_text(axes)
    with pytest.raises(TitinError, match="no donor"):
        learning.predicted_against_actual(table.iloc[:0])


def test_confusion_puts_lineages_together():
    names = ["a", "b", "c"]
    counts = pd.DataFrame([[8, 0, 2], [0, 5, 0], [0, 0, 5]], names, names)
    axes = learning.confusion_matrix(counts, lineage={"a": "x", "c": "x", "b": "y"})
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "c", "b"]
    np.testing.assert_allclose(axes.images[0].get_array()[0], [0.8, 0.2, 0])
    assert "90.0% on the diagonal" in alt_text(axes)


def test_reliability_learning_curve_and_leak_gap():
    bins = pd.DataFrame({"model": ["m", "m"], "confidence": [0.3, 0.9], "accuracy": [0.2, 0.8], "n": [5, 5]})
    assert learning.reliability(bins).lines[0].get_xydata().tolist() == [[0.3, 0.2], [0.9, 0.8]]
    curve = pd.DataFrame({"model": "m", "donors": [8, 4], "value": [10.0, 15], "low": [8.0, 12], "high": [12.0, 18]})
    assert learning.learning_curve(curve).lines[0].get_xydata().tolist() == [[4, 15], [8, 10]]
    gap = learning.leak_gap(pd.DataFrame({"model": ["m"], "held_out": [-0.3], "leaky": [0.8]}), metric="R²")
    assert [line.get_xdata().tolist() for line in gap.lines] == [[-0.3], [0.8]]
    assert "largest gap 1.1" in alt_text(gap)
