"""The explorer as a folder of files for any static host."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from titin.ageing import write_ageing_tables
from titin.atlas import open_atlas
from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.dataset.swap import put, scratch, write_json
from titin.errors import DatasetError, OutputError, TitinError, reason_of
from titin.explore import page
from titin.explore.results import collect_results
from titin.files import beside, local_folder
from titin.network.regulator_tables import read_results, write_regulator_tables
from titin.network.results_beside import SUFFIX
from titin.progress import Progress

_DATA = "data"
_HUB = re.compile(r"hf://datasets/([\w.-]+)/([\w.-]+)(?:@([\w.%-]+))?((?:/[\w.-]+)*)/?")


@dataclass(frozen=True)
class SiteResult:
    """A site that was written.

    Attributes
    ----------
    path
        Its folder.
    data
        Where its page reads the dataset: a URL, or a path from the page.
    n_bytes
        Of all its files.
    no_ageing
        Why its pages say nothing of what changes with age; empty where they do, or the dataset lies elsewhere.
    no_regulators
        Why its pages do not show what `titin network` has left beside the dataset; empty where they do, or nothing was
        left, or the dataset lies elsewhere.
    """

    path: Path
    data: str
    n_bytes: int
    no_ageing: str = ""
    no_regulators: str = ""


def write_site(
    dataset: Path | str, output: Path | str | None = None, *, data: str | None = None, force: bool = False,
    progress: Progress | None = None,
) -> SiteResult:  # fmt: skip
    """Write the explorer of a dataset as a folder that any static host can serve.

    Parameters
    ----------
    dataset
        A dataset folder.
    output
        Folder to write; ``DATASET.site`` beside the dataset where not given.
    data
        Where the page finds the dataset, if it does not lie beside it: an ``https://`` URL of its folder, or
        ``hf://datasets/user/repo``. Without it, the files of the dataset are copied into the site, and what changes
        with age is found for its pages where the dataset does not hold it.
    force
        Replace a site that is there.
    progress
        Told of the pass over the genes.

    Raises
    ------
    TitinError
        If the page is not built, ``data`` is no such URL, or the folder is there and is no site.
    DatasetError
        If there is no dataset.
    """
    page.check_built()
    folder = local_folder(dataset)
    manifest = Manifest.read(folder)
    where = f"{_DATA}/" if data is None else web_address(data)
    target = _choose_target(folder, output, force)
    name = data if data is not None else f"./{_DATA}"
    no_ageing = no_regulators = ""
    with scratch(target) as place:
        site = place / target.name
        site.mkdir()
        _put_page(manifest, site, where, name, results=page.RESULTS if data is None else "")
        if data is None:
            write_json(site / page.RESULTS, collect_results(folder))
            _copy(folder, manifest.files, site / _DATA)
            no_ageing = _add_ageing(site / _DATA, progress)
            no_regulators = _add_regulators(folder, site / _DATA)
        size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
        put(site, target)
    return SiteResult(target, where, size, no_ageing, no_regulators)


def write_page(dataset: Path, target: Path, data: str, name: str) -> None:
    """Write the page alone into a folder, to read a dataset that lies elsewhere.

    Parameters
    ----------
    dataset
        A folder that holds the dataset, too.
    target
        The folder.
    data
        Where the page finds the dataset, as for `write_site`.
    name
        What `titin.open` takes for it, told in code that is copied from the page.

    Raises
    ------
    TitinError
        If the page is not built, or ``data`` is nothing that a browser reads from.
    """
    page.check_built()
    _put_page(Manifest.read(dataset), target, web_address(data), name)


def _put_page(manifest: Manifest, target: Path, where: str, name: str, *, results: str = "") -> None:
    (target / page.INDEX).write_text(page.make_index(manifest, where, name, results=results), "utf-8")
    for file in page.FILES:
        (target / file).write_bytes(page.read_file(file))


def _copy(folder: Path, files: Mapping[str, object], target: Path) -> None:
    target.mkdir()
    for name in (layout.MANIFEST, *files):
        shutil.copyfile(folder / name, target / name)


def _add_ageing(dataset: Path, progress: Progress | None) -> str:
    """Find what changes with age for the pages, where it can be; return why not."""
    atlas = open_atlas(dataset)
    if atlas.manifest.ageing:
        return ""
    try:
        write_ageing_tables(atlas, progress=progress)
    except (DatasetError, OutputError):
        raise
    except TitinError as reason:
        return str(reason.args[0])
    return ""


def _add_regulators(dataset: Path, copy: Path) -> str:
    """Put what `titin network` has left beside the dataset into its copy; return why that cannot be."""
    names = Manifest.read(copy).layout
    if names.regulators in Manifest.read(copy).files or not beside(dataset, SUFFIX).is_dir():
        return ""
    try:
        activities, networks = read_results(dataset)
        if activities is not None or networks is not None:
            write_regulator_tables(copy, activities, networks)
    except TitinError as reason:
        return reason_of(reason)
    return ""


def web_address(data: str) -> str:
    """Return the URL of a dataset's folder as a browser asks for it, ending in a slash.

    Raises
    ------
    TitinError
        If it is none that a browser can read from.

    Examples
    --------
    >>> web_address("hf://datasets/someone/muscle@v1")
    'https://huggingface.co/datasets/someone/muscle/resolve/v1/'
    >>> web_address("https://example.org/atlas")
    'https://example.org/atlas/'
    """
    if found := _HUB.fullmatch(data):
        user, repo, revision, folder = found.groups()
        return f"https://huggingface.co/datasets/{user}/{repo}/resolve/{revision or 'main'}{folder}/"
    place = urlsplit(data)
    if place.scheme not in ("http", "https") or not re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?", place.netloc):
        raise TitinError(f"--data {data} is no address that a browser reads files from",
                         "give the https:// address of the dataset's folder, or hf://datasets/user/repo")  # fmt: skip
    return f"{place.scheme}://{place.netloc}{quote(place.path.rstrip('/'), safe='/%@~')}/"


def _choose_target(folder: Path, output: Path | str | None, force: bool) -> Path:
    whole = folder.absolute()
    target = Path(output).absolute() if output is not None else whole.with_name(f"{whole.name}.site")
    if target.resolve() == whole.resolve() or whole.resolve() in target.resolve().parents:
        raise OutputError(f"{target} lies in the dataset, which a site is no part of", "give another --output")
    if not (target.exists() or target.is_symlink()):
        return target
    if not force:
        raise OutputError(f"{target} is there already", "give --force to replace it, or another --output")
    is_site = target.is_dir() and (not any(target.iterdir()) or (target / next(iter(page.FILES))).is_file())
    if not is_site:
        raise OutputError(f"{target} is there and is no site of titin", "move it, or give another --output")
    return target
