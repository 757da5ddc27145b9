"""Memory that the system does not give: whether that is why something failed, which limit there is, and what to do."""

import contextlib
import sys

from titin.errors import TitinError

_WORDS = (
    "cannot allocate memory", "failed to map segment", "memory allocation failed", "unable to allocate", "bad_alloc",
    "out of memory", "not enough memory", "realloc of size", "malloc of size",
)  # fmt: skip
_THREADS = ("can't start new thread", "resource temporarily unavailable", "pthread_create")
_LIBRARY = ("llvmlite", "shared object")  # numba's compiler, which does not say why it could not be loaded
_DEPTH = 10
_LEAST = 2 * 2**30  # bytes of addresses; with fewer OpenBLAS was seen to wait for ever while it is loaded
_RAISE = (
    "allow 4 GiB or more: libraries reserve many more addresses than they use. What is used is bounded by --memory, or "
    "by a control group (systemd-run -p MemoryMax=2G)"
)


def shortage(error: BaseException) -> TitinError | None:
    """Say which memory or threads the system refused, if that is behind an error of any library; None if it is not."""
    chain = _behind(error)
    said, limit = " ".join(str(one).lower() for one in chain), _limit()
    if any(word in said for word in _THREADS):
        threads = "give --threads 1, or raise the limit on processes (ulimit -u)"
        return TitinError("the system starts no more threads" + limit, _RAISE if limit else threads)
    # under a limit libraries fail in ways of their own: not to be loaded, or to return what Python takes for a bug
    odd = all(word in said for word in _LIBRARY) or any(isinstance(one, SystemError) for one in chain)
    unloaded = bool(limit) and odd
    if unloaded or any(isinstance(one, MemoryError) for one in chain) or any(word in said for word in _WORDS):
        return TitinError(
            "out of memory" + limit, _RAISE if limit else "give a smaller --memory, or close other programs"
        )
    return None


def _behind(error: BaseException) -> list[BaseException]:
    """An error and those that led to it."""
    chain: list[BaseException] = []
    last: BaseException | None = error
    while last is not None and len(chain) < _DEPTH:
        chain.append(last)
        last = last.__cause__ or last.__context__
    return chain


def check_addresses() -> None:
    """Refuse to begin with fewer addresses than libraries take to be loaded.

    Raises
    ------
    TitinError
        Naming the limit.
    """
    size = _address_limit()
    if size is not None and size < _LEAST:
        raise TitinError("too little memory to begin" + _limit(), _RAISE)


def _address_limit() -> int | None:
    """Bytes of addresses that this process may have; None where there is no limit."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # there is none on Windows

        size = resource.getrlimit(resource.RLIMIT_AS)[0]
        if size != resource.RLIM_INFINITY and size < sys.maxsize:
            return size
    return None


def _limit() -> str:
    """The limit on addresses that this process has, in words."""
    size = _address_limit()
    return "" if size is None else f": this process may have {size / 2**30:,.1f} GiB of addresses (ulimit -v)"
