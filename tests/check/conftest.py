"""Good datasets of every kind, built once, to be copied and corrupted."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from good_datasets import MAKERS, Good, find_good


@pytest.fixture(scope="session")
def good(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Callable[[str], Good]:
    """Give the good dataset of a name, built when first asked for."""
    made: dict[str, Good] = {}

    def give(name: str) -> Good:
        if name not in made:
            made[name] = find_good(name, made_once(f"good-{name}", MAKERS[name]))
        return made[name]

    return give


@pytest.fixture
def copy_of(good: Callable[[str], Good], tmp_path: Path) -> Callable[[str], Good]:
    """Give a copy that may be corrupted, of the same folder name; its source is not copied."""

    def give(name: str) -> Good:
        original = good(name)
        target = tmp_path / original.path.name
        shutil.copytree(original.path, target)
        for path in target.iterdir():
            os.utime(path)
        return Good(target, original.source)

    return give
