"""A folder for intermediate files."""

from pathlib import Path

import pytest


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """An empty folder for intermediate files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder
