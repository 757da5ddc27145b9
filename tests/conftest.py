"""Files that lie beside the repository, how hypothesis is run, and that builds compute no projection unless asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from titin.builder import options

# kernels are compiled within the first example, and no test is about time
settings.register_profile("titin", deadline=None)
settings.load_profile("titin")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared files beside the repository."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the shared files, which would lie in {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def no_projections() -> Iterator[None]:
    """Projections take seconds that few tests have a use for: those that do ask for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "DEFAULT_PROJECTIONS", ())
        patch.setenv("TITIN_PROJECT", "none")  # of processes that tests start
        yield
