"""An analysis of chosen cells is that of a dataset which has no others; who was chosen is kept and said."""

import numpy as np
import pandas as pd
import pytest
from small_atlases import build, cells, counts_of

from titin.ageing.analysis import Inputs
from titin.ageing.catalogue import ANALYSES
from titin.errors import TitinError
from titin.study.conditions import Where

WHERE = ["age>=24", "quality!=bad", "depth=..0.9"]
NAMES = ["composition", "de", "fibres", "programmes", "senescence", "variance"]


@pytest.fixture(scope="module")
def atlases(tmp_path_factory):
    """A dataset, and one that was built of the chosen cells alone."""
    rng = np.random.default_rng(5)
    obs = cells(rng, per_donor=90)
    obs["quality"] = rng.choice(["good", "fair", "bad"], len(obs))
    obs["depth"] = rng.random(len(obs))
    counts = counts_of(obs, rng)
    kept = ((obs["age"] >= 24) & (obs["quality"] != "bad") & (obs["depth"] <= 0.9)).to_numpy()
    folder = tmp_path_factory.mktemp("where")
    return build(folder / "all", obs, counts), build(folder / "kept", obs[kept], counts[kept]), int((~kept).sum())


@pytest.mark.parametrize("name", NAMES)
def test_chosen_cells_are_all_that_an_analysis_sees(atlases, name):
    everyone, alone, n_out = atlases
    analysis = next(one for one in ANALYSES if one.name == name)
    chosen = analysis.compute(Inputs(everyone, where=Where.of(WHERE)))
    expected = analysis.compute(Inputs(alone))
    assert list(chosen.results) == list(expected.results)
    for part, result in chosen.results.items():
        keys = [c for c in ("feature", "set", "gene", "measure", "cell_type", "protocol") if c in result.table]
        tables = [r.table.sort_values(keys, ignore_index=True) for r in (result, expected.results[part])]
        pd.testing.assert_frame_equal(*tables, check_categorical=False, rtol=1e-6, atol=1e-9)
        assert result.settings["where"] == ["age>=24", "quality!=bad", "depth=..0.9"]
    main = chosen.results[next(iter(chosen.results))]
    n = main.cells_left_out["--where"]
    assert n == n_out if name != "fibres" else 0 < n < n_out  # only fibres are asked for
    assert main.donors_left_out == ["d0"]
    assert main.left_out_sentences[0].startswith(f"{n:,} cells take no part: {n:,} not chosen by --where")
    everyone.cells.chosen = None


def test_conditions_that_leave_nobody_are_refused(atlases):
    for condition, said in (("age>=90", "no cell is left"), ("colour=red", "obs has no column 'colour'")):
        with pytest.raises(TitinError, match=said):
            Inputs(atlases[0], where=Where.of([condition]))
