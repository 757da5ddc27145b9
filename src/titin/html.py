"""Self-contained HTML pages from templates: one file, light and dark, fit to print, nothing fetched from anywhere."""

import base64
import json
from collections.abc import Sequence
from functools import cache
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from titin.text import json_safe
from titin.visible import visible, visible_json


@cache
def _environment() -> Environment:
    """Templates of this package; whatever is put into one is visible and escaped, and nothing may be left out."""
    return Environment(
        loader=PackageLoader("titin"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=_seen,
    )  # fmt: skip


def _seen(value: Any) -> Any:
    """A text with what a page would obey written out; what a template or a macro made has been through it."""
    return visible(value, keep="\n") if isinstance(value, str) and not isinstance(value, Markup) else value


def render(template: str, **shown: Any) -> Markup:
    """Fill a template of ``titin/templates``.

    Parameters
    ----------
    template
        Name of the file.
    shown
        What it asks for. Text is escaped; what another template made is not escaped again.
    """
    return Markup(_environment().get_template(template).render(**shown))  # noqa: S704 - the templates escape


def notebook(
    title: str, parts: Sequence[tuple[str, Sequence[str]]] = (), *, columns: Sequence[str] = (),
    rows: Sequence[Sequence[str]] = (), rest: str = "",
) -> Markup:  # fmt: skip
    """Return what an object looks like in a notebook: a sentence, what it has, and the first rows of a table.

    Parameters
    ----------
    title
        The sentence.
    parts
        A name, and the names of what is in it; those with nothing are left out.
    columns, rows
        Of the table.
    rest
        What is said below the table.
    """
    return render("notebook.html", title=title, parts=parts, columns=columns, rows=rows, rest=rest)


def script_document(document: Any) -> Markup:
    r"""Write a document as JSON for a ``<script type="application/json">``, which nothing in it can end.

    Examples
    --------
    >>> script_document({"name": "</script>"})
    Markup('{"name":"\\u003c/script>"}')
    """
    text = json.dumps(json_safe(document), ensure_ascii=False, separators=(",", ":"))
    return Markup(visible_json(text))  # noqa: S704 - it holds no end of a script


def link(path: PurePath | str) -> str:
    """Return the address of a file beside the page, by its path from there: never one of a script or a server.

    Examples
    --------
    >>> link("javascript:1/a b.csv")
    'javascript%3A1/a%20b.csv'
    """
    return quote(str(path).lstrip("/"), errors="surrogateescape")


def data_url(content: bytes, kind: str = "image/png") -> str:
    """Return an address that holds a file itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
