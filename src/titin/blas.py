"""One thread for each product of matrices: where several run side by side, and as their last bits depend on it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from titin.extras import require


@dataclass
class _Limit:
    """Those who are within, and the limit of the process that the first of them has set."""

    n: int = 0
    limit: Any = None


_limits: dict[str | None, _Limit] = {"blas": _Limit(), None: _Limit()}
_lock = threading.Lock()


@contextmanager
def one_blas_thread(what: str, api: Literal["blas"] | None = "blas") -> Iterator[None]:
    """Keep BLAS to one thread as long as anybody is within, from whichever thread of the process.

    Parameters
    ----------
    what
        What needs it, as the message shall begin that says what to install.
    api
        None for OpenMP as well.

    Raises
    ------
    MissingPackageError
        If threadpoolctl is not installed.
    """
    threadpoolctl = require("threadpoolctl", what)
    own = _limits[api]
    with _lock:
        if not own.n:
            own.limit = threadpoolctl.threadpool_limits(1, api)
        own.n += 1
    try:
        yield
    finally:
        with _lock:
            own.n -= 1
            if not own.n:
                own.limit.restore_original_limits()
