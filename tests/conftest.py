"""Files that lie beside the repository, and how hypothesis is run."""

from pathlib import Path

import pytest
from hypothesis import settings

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
