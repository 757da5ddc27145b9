"""Self-contained HTML pages from templates: one file, light and dark, fit to print, nothing fetched from anywhere."""

import base64
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@cache
def _environment() -> Environment:
    """Templates of this package; whatever is put into one is escaped, and nothing may be left out."""
    return Environment(
        loader=PackageLoader("titin"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


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


def data_url(content: bytes, kind: str = "image/png") -> str:
    """Return an address that holds a file itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
