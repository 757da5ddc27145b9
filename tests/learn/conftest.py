"""Small atlases with the published design: with planted ageing, and without."""

import pytest
from small_demos import build_demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """With planted ageing."""
    return build_demo(tmp_path_factory.mktemp("ageing"), n_cells=2500, n_genes=600, age_effect=True)


@pytest.fixture(scope="session")
def ageless(tmp_path_factory):
    """Without: nothing but the donors differs between ages."""
    return build_demo(tmp_path_factory.mktemp("ageless"), n_cells=9000, n_genes=300, age_effect=False)
