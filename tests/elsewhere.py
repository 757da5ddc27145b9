"""A small dataset that lies elsewhere too: made once, as it is here and there, and what changes it there stopped."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

MadeOnce = Callable[[str, Callable[[Path], object]], Path]
Contents = dict[str, bytes]


def make_small(made_once: MadeOnce) -> Path:
    """A folder with ``atlas.h5ad``, and in ``dataset`` what is built of it here."""
    from titin.builder import build
    from titin.demo import write_demo_atlas

    def make(folder: Path) -> None:
        build(write_demo_atlas(folder / "atlas.h5ad", n_cells=300, n_genes=150), folder / "dataset", project=())

    return made_once("remote", make)


def there(fs: Any, root: str = "/atlas") -> Contents:
    """Files of a folder elsewhere."""
    return {path.rpartition("/")[2]: fs.cat_file(path) for path in fs.find(root)}


def here(folder: Path) -> Contents:
    """Files of a folder here."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Stop(BaseException):
    """As of a key."""


def stop_at(
    monkeypatch: pytest.MonkeyPatch, of: type, names: Sequence[str], n: int, error: BaseException | None = None
) -> None:
    """Let the n-th call of some methods, from 0, raise an error in their place: `Stop` where none is given."""
    done = []

    def failing(name: str) -> None:
        original = getattr(of, name)

        def call(self: Any, *given: Any) -> None:
            if len(done) == n:
                raise Stop if error is None else error
            done.append(name)
            original(self, *given)

        monkeypatch.setattr(of, name, call)

    for name in names:
        failing(name)
