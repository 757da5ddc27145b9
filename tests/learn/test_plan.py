"""What of a benchmark is run on a dataset."""

import pandas as pd
import pytest

from titin.learn import design_table, find_models
from titin.learn.plan import models_for

ROLES = {"donor": "donor", "age": "age", "sex": "sex"}


@pytest.mark.parametrize(("obs", "lacking"), [
    ({"donor": list("abcdef"), "age": [20, 21, 22, 60, 61, 62], "sex": list("FMFMFM")}, []),
    ({"donor": list("abcdef"), "age": [20, 21, 22, 60, 61, 62]}, ["sex_only: the dataset has no sex"]),
    ({"donor": list("abc"), "age": [20, 40, 60], "sex": list("FMF")},
     ["young_old_oracle: the dataset has no young_old"]),
    ({"donor": list("abcdef"), "age": [40] * 6, "sex": list("FMFMFM")},
     ["young_old_oracle: the dataset has no young_old"]),
])  # fmt: skip
def test_baselines_that_would_be_the_mean_are_left_out(obs, lacking):
    every = find_models([])
    chosen, told = models_for(every, design_table(pd.DataFrame(obs), ROLES))
    assert told == lacking
    assert {model.name for model in every} - {model.name for model in chosen} == {s.split(":")[0] for s in lacking}
