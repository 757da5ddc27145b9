"""How many threads and how much memory a build may use, and has used."""

import os
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titin.errors import TitinError

if TYPE_CHECKING:
    from titin.cluster import Cluster

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
DEFAULT_MEMORY = 2**30
MIN_MEMORY = 512 * 2**20
_INTERPRETER = 330 * 2**20  # Python and the libraries before the first block
_CELL_BYTES = 8  # of a cell while a build runs, beside what is mapped; measured, of the muscle atlas
_READ_BYTES = 24  # of a cell, while obs is looked at and the card is written, mapped or not; measured likewise
_LEAST_FOR_BLOCKS = 4  # so small a part of what the interpreter leaves is for blocks however many cells there are
_SCAN_VALUES = 400_000  # larger blocks only cost page faults: measured 3.4 s of system time against 7.6 s with 2.8 M
_SCAN_BYTES = 64  # a stored value in flight while a block is encoded
_SORT_BYTES = 36  # a stored value in flight while a bucket is sorted and written


def parse_memory(text: str) -> int:
    """Read ``1GiB``, ``800 MB``, ``2G`` or a number of bytes.

    Raises
    ------
    TitinError
        If the text is not a size.

    Examples
    --------
    >>> parse_memory("1GiB"), parse_memory("1.5 GB")
    (1073741824, 1500000000)
    """
    match = re.fullmatch(r"\s*+((?:[0-9]+\.)?[0-9]++|\.[0-9]++)\s*+([KMGT]?I?)B?\s*+", text.upper())
    if not match or match[2] not in _UNITS:
        raise TitinError(f"{text!r} is not an amount of memory", "write it like 1GiB, 800MB or 2G")
    return int(float(match[1]) * _UNITS[match[2]])


def available_threads() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    import resource  # there is none on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def current_memory() -> int:
    """Resident memory of this process now, in bytes; its peak where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return peak_memory()
    return pages * os.sysconf("SC_PAGE_SIZE")


def available_memory() -> int:
    """Bytes that this machine, or the control group that the process is in, has left for programs."""
    found = [_number_in(Path("/proc/meminfo"), "MemAvailable:") * 1024]
    groups = Path("/sys/fs/cgroup")
    limit, used = _number_in(groups / "memory.max"), _number_in(groups / "memory.current")
    if limit:
        found.append(max(limit - used, 0))
    return min((size for size in found if size), default=sys.maxsize)


def _number_in(path: Path, word: str = "") -> int:
    """The number of a file of the kernel, after a word; 0 where there is none."""
    try:
        text = path.read_text("ascii")
        return int(text[text.index(word) + len(word) :].split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def memory_beside_interpreter(memory: int) -> int:
    """Bytes that are left for data of the memory that may be used."""
    return memory - _INTERPRETER


@dataclass(frozen=True)
class Resources:
    """Threads and bytes of memory a build may use.

    What the dataset's files hold does not depend on either.

    Attributes
    ----------
    threads, memory
        For whatever works in parts.
    allowed
        Bytes that a result may take which somebody asks for whole, where that was said.
    cluster
        Workers that passes go to instead of threads; not pickled.
    """

    threads: int
    memory: int = DEFAULT_MEMORY
    allowed: int | None = None
    cluster: "Cluster | None" = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"cluster": None}

    @property
    def result(self) -> int:
        """Bytes that a result may take: what was allowed, else half of what the machine has left now."""
        left = available_memory()
        return self.allowed or (left // 2 if left < sys.maxsize else DEFAULT_MEMORY)

    def beside(self, n_cells: int) -> "Resources":
        """What is left for blocks beside the tables of so many cells; a quarter at least, as tiny blocks take long."""
        least = self.memory - self._for_blocks + self._for_blocks // _LEAST_FOR_BLOCKS
        return replace(self, memory=max(self.memory - _CELL_BYTES * n_cells, least))

    def needed(self, n_cells: int) -> int:
        """Bytes that a build of so many cells takes: the memory given, or more where their tables take most of it."""
        building = self.beside(n_cells).memory + _CELL_BYTES * n_cells
        return max(self.memory, building, _INTERPRETER + _READ_BYTES * n_cells)

    @property
    def _for_blocks(self) -> int:
        return memory_beside_interpreter(self.memory)

    @property
    def scan_values(self) -> int:
        """Stored values of one block of the source; small enough to stay in the processor's cache."""
        return min(_SCAN_VALUES, max(50_000, self._for_blocks // (_SCAN_BYTES * (self.threads + 2))))

    @property
    def bucket_values(self) -> int:
        """Stored values of one bucket of shuffled cells, or of one strip of genes."""
        return max(50_000, self._for_blocks // (_SORT_BYTES * (self.threads + 2)))


def make_resources(
    threads: int | None = None, memory: int | str | None = None, *, least: int = 1, cluster: "Cluster | None" = None
) -> Resources:
    """Resources, with all processors and 1 GiB where nothing is said.

    Parameters
    ----------
    memory
        Bytes, or text as `parse_memory` reads it.
    least
        Bytes that are needed: `MIN_MEMORY` for whatever writes all cells.
    cluster
        As `titin.cluster.connect` returns it.

    Raises
    ------
    TitinError
        If the memory is no size or too little, or fewer than one thread is asked for.
    """
    if threads is not None and threads < 1:
        raise TitinError(f"{threads} threads cannot build anything", "give --threads 1 or more")
    size = parse_memory(memory) if isinstance(memory, str) else memory
    if size is not None and size < least:
        needed = f"{least // 2**20}MiB" if least >= 2**20 else f"{least} byte"
        raise TitinError(f"{memory} is too little memory", f"give at least {needed}")
    return Resources(threads or available_threads(), size or DEFAULT_MEMORY, size, cluster)
