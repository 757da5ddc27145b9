"""``titin.open``."""

import os

from titin.atlas._store import Store
from titin.atlas.atlas import Atlas


def open_atlas(path: str | os.PathLike[str], *, memory: int | str | None = None, threads: int | None = None) -> Atlas:
    """Open a dataset; nothing but ``titin.json`` is read yet.

    Parameters
    ----------
    path
        The folder that `titin.build` wrote, ``hf://datasets/user/repo`` (with ``@revision`` if need be), or any URL
        that fsspec opens.
    memory
        What one result may take, as bytes or like ``"4GiB"``; 1 GiB where not given. Not counted are obs, var and
        a few dozen bytes a cell.
    threads
        For reading; all processors where not given.

    Raises
    ------
    DatasetError
        If there is no dataset, or one of a later format.
    TitinError
        If a package is missing that the URL needs.
    """
    return Atlas(Store(path), memory=memory, threads=threads)
