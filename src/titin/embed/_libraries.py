"""Libraries that are imported when they are needed, and kept from talking."""

import importlib
import importlib.metadata
import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from titin.errors import TitinError


def require(module: str, package: str, extra: str | None = None) -> Any:
    """Import a module.

    Parameters
    ----------
    package
        What pip calls it.
    extra
        The extra of titin that brings it, if it comes with one.

    Raises
    ------
    TitinError
        Naming what to install.
    """
    try:
        with quiet():
            return importlib.import_module(module)
    except ImportError as error:
        raise _missing(package, extra) from error


def check_installed(module: str, package: str, extra: str | None = None) -> None:
    """As `require`, but without the time that an import takes."""
    if importlib.util.find_spec(module) is None:
        raise _missing(package, extra)


def _missing(package: str, extra: str | None) -> TitinError:
    also = f" (or 'titin[{extra}]')" if extra else ""
    return TitinError(f"this needs the package {package}, which is not installed", f"pip install {package}{also}")


def version(package: str) -> str:
    """Version of an installed package."""
    return importlib.metadata.version(package)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep a library's warnings from users: of packages it could also use, or of its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
