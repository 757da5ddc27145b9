"""Kernels: functions that numba compiles, and for which it is imported, when they are first called."""

import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from titin.compiling import announce_to_people

_lock = threading.RLock()


class Kernel:
    """A function that becomes one of numba's when it is first called, with the kernels that it may call itself."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._options = options
        self._dispatcher: Callable[..., Any] | None = None
        self._call = self._first_call

    def __call__(self, *arguments: Any) -> Any:
        """Call it; the first call makes it what numba calls."""
        return self._call(*arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (self._function.__module__, self._function.__qualname__)

    def _first_call(self, *arguments: Any) -> Any:
        self._call = self.dispatcher()
        return self._call(*arguments)

    def dispatcher(self) -> Callable[..., Any]:
        """Make numba's function, once."""
        with _lock:
            if self._dispatcher is None:
                import numba

                announce_to_people()
                self._dispatcher = numba.njit(**self._options)(self._function)
                names = self._function.__globals__  # where numba will look for the kernels that this one calls
                names.update({k: v.dispatcher() for k, v in names.items() if isinstance(v, Kernel)})
            return self._dispatcher


def kernel(function: Callable[..., Any], **options: Any) -> Any:
    """Have a function compiled by numba when it is first called, without Python's lock, and kept for later runs.

    Parameters
    ----------
    options
        Of ``numba.njit``, beside ``cache`` and ``nogil``.
    """
    return Kernel(function, {"cache": True, "nogil": True} | options)


def _named(module: str, name: str) -> Any:
    import importlib

    return getattr(importlib.import_module(module), name)
