"""The extras of titin: the packages that each brings, and what to install where one of them is missing."""

import importlib
import importlib.metadata
import importlib.util
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from titin.errors import TitinError

# what pip calls a module, where it has another name
_PACKAGES = {
    "cellxgene_ontology_guide": "cellxgene-ontology-guide",
    "huggingface_hub": "huggingface-hub", "igraph": "igraph", "openTSNE": "openTSNE", "scvi": "scvi-tools",
    "skmisc": "scikit-misc", "sklearn": "scikit-learn", "umap": "umap-learn", "yaml": "pyyaml",
}  # fmt: skip
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+)[^;]*(?:;(.*))?")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


class MissingPackageError(TitinError, ImportError):
    """A package that titin does not always need is not installed.

    Attributes
    ----------
    name
        The module that could not be imported.
    """

    def __init__(self, module: str, what: str = "this") -> None:
        package = package_of(module)
        extra = extra_of(package)
        hint = f"pip install 'titin[{extra}]'" if extra else f"pip install {package}"
        super().__init__(f"{what} needs the package {package}, which is not installed", hint)
        self.name = module


def require(module: str, what: str = "this") -> Any:
    """Import a module that an extra brings, without the warnings that it gives on the way.

    Parameters
    ----------
    what
        What needs it, as the message shall begin.

    Raises
    ------
    MissingPackageError
        Naming what to install.
    """
    try:
        with quiet():
            return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(module, what) from error


def check_installed(module: str, what: str = "this") -> None:
    """As `require`, but without the time that an import takes."""
    if importlib.util.find_spec(module) is None:
        raise MissingPackageError(module, what)


def missing_package(error: ModuleNotFoundError) -> MissingPackageError | None:
    """Turn a failed import into the error that says what to install; None for a module of no package of titin's."""
    module = (error.name or "").partition(".")[0]
    known = {name.lower() for names in requirements().values() for name in names}
    return MissingPackageError(module) if package_of(module).lower() in known else None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep a library's warnings from users: of packages it could also use, or of its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def package_of(module: str) -> str:
    """Return what pip calls the package of a module."""
    top = module.partition(".")[0]
    return _PACKAGES.get(top, top)


def extra_of(package: str) -> str | None:
    """Return the smallest extra that brings a package; None if it comes with titin itself, or with no extra."""
    having = [
        (len(names), extra)
        for extra, names in requirements().items()
        if extra and package.lower() in {name.lower() for name in names}
    ]
    return min(having)[1] if having else None


def requirements() -> dict[str, list[str]]:
    """Names of the packages that titin's own metadata asks for, by extra; those always needed under ``""``.

    An extra that is made of others has what these have. Without metadata, as in a source tree that is not installed,
    there is only an empty ``""``.
    """
    found: dict[str, set[str]] = {"": set()}
    made_of: dict[str, set[str]] = {}
    try:
        stated = importlib.metadata.requires("titin") or []
    except importlib.metadata.PackageNotFoundError:
        stated = []
    for requirement in stated:
        match = _REQUIREMENT.match(requirement)
        if match is None:
            continue
        marked = _EXTRA.search(match[2] or "")
        extra = marked[1] if marked else ""
        own = found.setdefault(extra, set())
        if match[1] == "titin":
            made_of.setdefault(extra, set()).update(re.findall(r"[\w-]+", requirement.split("[")[1].split("]")[0]))
        else:
            own.add(match[1])
    for extra in made_of:
        found[extra] |= set().union(*(found.get(part, set()) for part in _parts(extra, made_of)))
    return {extra: sorted(names, key=str.lower) for extra, names in sorted(found.items())}


def _parts(extra: str, made_of: dict[str, set[str]]) -> set[str]:
    """Extras that one is made of, and those that these are made of."""
    seen, ahead = set[str](), [extra]
    while ahead:
        for part in made_of.get(ahead.pop(), set()) - seen:
            seen.add(part)
            ahead.append(part)
    return seen
