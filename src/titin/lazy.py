"""Names of a package that are imported when they are first used, so that the package itself costs nothing."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, Sequence[str]], modules: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make ``__getattr__`` and ``__dir__`` of a package.

    A name must not be that of a module of the package: importing the module would hide it.

    Parameters
    ----------
    package
        Its ``__name__``.
    homes
        Names by the module that they are taken from, as in an import: ``{"titin.atlas": ["open_atlas as open"]}``.
    modules
        Modules of the package that are imported when they are first named: ``titin.plot`` after ``import titin``.
    """
    origin = {}
    for home, names in homes.items():
        for text in names:
            attribute, _, name = text.partition(" as ")
            origin[name or attribute] = home, attribute

    def get(name: str) -> Any:
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        if name not in origin:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, attribute = origin[name]
        try:
            return getattr(importlib.import_module(home), attribute)
        except ModuleNotFoundError as error:
            from titin.extras import missing_package

            raise (missing_package(error) or error) from None

    return get, lambda: sorted([*origin, *modules])
