"""What reading a part of a source takes, told from its declared shapes and types before anything of it is read.

A file of a few kilobytes can declare any number of values, and groups that hold themselves. So whatever is about to be
read whole is claimed first, and every walk down the groups of a file has an end.
"""

import copy
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from titin.resources import available_memory, memory_beside_interpreter
from titin.shelf import Shelf
from titin.source.reading import DEEPEST, MOST_ELEMENTS, UnboundedError, child, is_group, members, shortened

_TIMES_STORED = 32  # what real files hold takes at most so many times the bytes that the file has
_COPIES = 2  # what is read, and what is made of it
_TEXT_BYTES = 120  # a text in memory, beside its characters
_JSON_BYTES = 128  # a number on its way to a document
_TEXTS = "OSUTV"


class Descent:
    """A walk down the groups of a file: not in circles, not too deep, and not over too many elements."""

    def __init__(self) -> None:
        self._above: list[tuple[Any, str]] = []
        self._n = 0

    @contextmanager
    def into(self, node: Any, place: str) -> Iterator[None]:
        """Stand in a group or array while its parts are looked at.

        Raises
        ------
        UnboundedError
            If it is a group that the walk is in already, lies too deep, or is one too many.
        """
        self._n += 1
        if self._n > MOST_ELEMENTS:
            raise UnboundedError(f"{place} is beyond the {MOST_ELEMENTS:,} elements that are read")
        if len(self._above) >= DEEPEST:
            raise UnboundedError(f"{shortened(place)} lies more than {DEEPEST} groups deep")
        address = _address(node)
        circle = next((at for known, at in self._above if known == address), None) if address else None
        if circle is not None:
            raise UnboundedError(f"{place} leads back to {circle}, which holds it")
        self._above.append((address, place))
        try:
            yield
        finally:
            self._above.pop()


class Budget:
    """Memory for what of one source is in memory as a whole: tables, unstructured metadata, row pointers.

    A source may take what ``--memory`` leaves beside the interpreter; or more, up to 32 times the bytes that it has on
    disk, as a file of ten million cells does: what a file really holds cannot be packed much closer.

    Parameters
    ----------
    path
        The source.
    memory
        Bytes, as given with ``--memory``.
    arrow_names
        Whether names of cells are read as Arrow has them; see `titin.source.open_source`.
    shelf
        Where columns of obs are put away, one after another.
    """

    def __init__(
        self, path: Path, memory: int, *, arrow_names: bool = False, shelf: Shelf | None = None
    ) -> None:  # fmt: skip
        self.path, self.memory, self.arrow_names = path, memory, arrow_names
        self.shelf = shelf or Shelf()
        self._taken = 0

    def claim(self, node: Any, place: str, *, as_json: bool = False) -> None:
        """Count what reading an element whole takes; it stays in memory.

        Parameters
        ----------
        node, place
            A group or an array, and where it is.
        as_json
            Whether it will be written as JSON, in which a number takes more.

        Raises
        ------
        UnboundedError
            If it takes more than is left, or walking it does not end.
        """
        self._taken += self.check(node, place, as_json=as_json)

    def check(self, node: Any, place: str, *, as_json: bool = False) -> int:
        """Bytes that reading an element whole takes, which is let go again.

        Raises
        ------
        UnboundedError
            As `claim`.
        """
        size = _size(node, place, Descent(), _JSON_BYTES if as_json else 0)
        self._compare(size, place)
        return size

    def anew(self) -> "Budget":
        """A budget of what is left, for what will be let go again."""
        return copy.copy(self)

    def check_chunk(self, array: Any, place: str) -> None:
        """Refuse an array of which even one chunk, which can only be unpacked whole, is too large.

        Raises
        ------
        UnboundedError
        """
        if getattr(array, "chunks", None):
            self._compare(math.prod(array.chunks) * array.dtype.itemsize, f"a chunk of {place}")

    def check_unpacked(self, size: int, place: str) -> None:
        """Refuse what is stored packed and says itself that it unpacks to more than there is memory for.

        Raises
        ------
        UnboundedError
        """
        self._compare(size, place)

    def _compare(self, size: int, place: str) -> None:
        spare = memory_beside_interpreter(self.memory) - self._taken
        if size > spare and size > self._backed - self._taken:
            raise UnboundedError(
                f"{place} would take {_readable(size)} of memory, and {_readable(max(spare, 0))} are left of "
                f"--memory {_readable(self.memory)} for a file of {_readable(self._stored)}",
                f"If it is meant to be so large, give --memory {_whole_gib(size + self.memory - spare)}GiB.",
            )

    @cached_property
    def _stored(self) -> int:
        files = (file for file in self.path.rglob("*") if file.is_file()) if self.path.is_dir() else [self.path]
        return sum(_on_disk(file.stat()) for file in files)

    @property
    def _backed(self) -> int:
        return min(_TIMES_STORED * self._stored, available_memory())


def _on_disk(file: os.stat_result) -> int:
    """Bytes that a file has, without its holes."""
    return min(file.st_size, getattr(file, "st_blocks", file.st_size) * 512)


def _size(node: Any, place: str, descent: Descent, value_bytes: int) -> int:
    with descent.into(node, place):
        if not is_group(node):
            return _array_size(node, value_bytes)
        return sum(_size(child(node, key), f"{place}/{key}", descent, value_bytes) for key in members(node))


def _array_size(array: Any, value_bytes: int) -> int:
    if array.shape is None:  # declared as holding nothing
        return 0
    dtype = array.dtype
    whole = max(math.prod(array.shape), math.prod(getattr(array, "chunks", None) or ()))
    texts = _n_texts(dtype)
    n_values = len(dtype.names) if dtype.names else 1
    return int(whole * (dtype.itemsize * _COPIES + texts * _TEXT_BYTES + n_values * value_bytes))


def _n_texts(dtype: Any) -> int:
    """How many objects one entry becomes: texts of any length, and those of a fixed one."""
    if getattr(dtype, "names", None):
        return sum(_n_texts(dtype[name]) for name in dtype.names)
    return int(np.dtype(dtype).kind in _TEXTS)


def _address(node: Any) -> Any:
    """What an HDF5 group is told by, whatever link leads to it; None where there are no links."""
    if not isinstance(node, h5py.Group):
        return None
    info = h5py.h5o.get_info(node.id)
    return info.fileno, info.addr


def _readable(size: int) -> str:
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size:,} bytes"


def _whole_gib(size: int) -> int:
    return -(-size // 2**30)
