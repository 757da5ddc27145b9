import pandas as pd
import pytest
from typed_cells import ROLES, typed_atlas

import titin


@pytest.fixture(scope="session")
def typed(made_once):
    """A dataset of 6 donors, 360 cells, two levels of separable types."""

    def make(folder):
        typed_atlas().write_h5ad(folder / "atlas.h5ad")
        titin.build(folder / "atlas.h5ad", folder / "dataset", roles=ROLES)

    return made_once("typed", make) / "dataset"


@pytest.fixture
def relabelled(typed):
    """Open the dataset with other labels: ``relabelled(change)``, which changes those of ``cell_type`` in place."""

    def open_with(change=None, level="cell_type"):
        atlas = titin.open(typed)
        if change is not None:
            obs = atlas.obs.copy()
            labels, donors = obs[level].astype(str).to_numpy(object), obs["donor"].astype(str).to_numpy(object)
            change(labels, donors)
            atlas.obs = obs.assign(**{level: pd.Categorical(labels)})
        return atlas

    return open_with
