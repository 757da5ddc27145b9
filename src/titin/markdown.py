r"""Markdown: text from a file is shown as it is, and is never markup, HTML or a link.

Whoever puts a name into a page says as what: `escape` as text, `code` as code, `link`, `prose` as Markdown that a
preset's author wrote, without HTML. Cells of a `table` that are not `Markdown` are escaped by themselves.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from titin.visible import visible

_ALWAYS = re.compile(r"[`*~\[\]|$]|(?<![^\W_])_|_(?![^\W_])")
_TAG = re.compile(r"<(?![ \d=])")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_FIRST = re.compile(r"^(?:#{1,6}(?= |$)|[-+](?=[-+ ]|$)|=+$|>)")  # what makes more than a paragraph of a line
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?= |$)")
_HTML = re.compile(r"<(?=[A-Za-z/!?])")
_TARGET = re.compile(r"(\](?:\(|:)\s*<?\s*)(?!https?://|mailto:|[#./])")


class Markdown(str):
    """Markdown of ours, in which what is foreign has been escaped."""

    __slots__ = ()


def escape(text: Any) -> Markdown:
    r"""Text that stays text, on one line, wherever it stands: in a paragraph, a heading, a list, a cell.

    Examples
    --------
    >>> print(escape("<b>|cell_type_0|</b> _x_"), escape("# 1"), escape("p < 0.05"))
    &lt;b>\|cell_type_0\|&lt;/b> \_x\_ \# 1 p < 0.05
    """
    flat = _ENTITY.sub("&amp;", visible(" ".join(str(text).split())))
    flat = _TAG.sub("&lt;", flat.replace("\\", "&#92;"))
    flat = _ALWAYS.sub(r"\\\g<0>", flat)
    return Markdown(_FIRST.sub(r"\\\g<0>", _NUMBERED.sub(r"\1\\\2", flat)))


def code(name: Any) -> Markdown:
    r"""A name as code; one that code cannot hold everywhere, as text.

    Examples
    --------
    >>> print(code("cell_type_0"), code("a|`b"))
    `cell_type_0` a\|\`b
    """
    text = visible(name)
    plain = text.strip() == text != "" and not re.search(r"[`|\\]|  ", text)
    return Markdown(f"`{text}`") if plain else escape(name)


def prose(text: Any) -> Markdown:
    """Markdown that an author wrote, on one line, without HTML and with links to pages and files only."""
    flat = visible(" ".join(str(text).split()))
    return Markdown(_TARGET.sub(r"\1./", _HTML.sub("&lt;", flat)))


def link(name: Any, url: Any) -> Markdown:
    """A link to a page; its name alone where the address is none of the web."""
    address = str(url).strip()
    if not re.match(r"https?://[^/]|mailto:", address):
        return escape(name)
    return Markdown(f"[{escape(name)}]({quote(address, safe=':/?#@!$&*+,;=%-._~')})")


def picture(name: str, alt: Any) -> Markdown:
    """A picture that lies beside the page."""
    return Markdown(f"![{escape(alt)}]({quote(name)})")


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]], numbers: Iterable[int] = ()) -> Markdown:
    """Make a table; columns of ``numbers`` are set to the right. Cells that are not `Markdown` are escaped.

    Examples
    --------
    >>> print(table(("sex", "cells"), [("F", 2)], numbers=[1]))
    | sex | cells |
    |---|---:|
    | F | 2 |
    """
    right = set(numbers)
    ruler = "".join("|---:" if i in right else "|---" for i in range(len(header))) + "|"
    return Markdown("\n".join([_row(header), ruler, *(_row(row) for row in rows)]))


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(cell: Any) -> str:
    if not isinstance(cell, Markdown):
        return escape(cell)
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(cell.split()))


def block(language: str, text: str) -> Markdown:
    """A fenced block, whatever is in it."""
    shown = visible(text.strip(), keep="\n\t")
    longest = max((len(run) for run in re.findall("`{3,}", shown)), default=2)
    fence = "`" * (longest + 1)
    return Markdown(f"{fence}{language}\n{shown}\n{fence}")


def bullets(items: Iterable[str]) -> Markdown:
    """A list of Markdown."""
    return Markdown("\n".join(f"- {' '.join(item.split())}" for item in items))


def section(title: str, *parts: str, level: int = 2) -> Markdown:
    """A section of the parts, Markdown, that are not empty; nothing if all are."""
    kept = [part.strip() for part in parts if part.strip()]
    return Markdown("\n\n".join(["#" * level + f" {title}", *kept]) if kept else "")


def listed(names: Sequence[str], most: int = 8) -> Markdown:
    """Names, the first few; those that are not `Markdown` are escaped."""
    shown = ", ".join(name if isinstance(name, Markdown) else escape(name) for name in names[:most])
    return Markdown(f"{shown} and {len(names) - most:,} more" if len(names) > most else shown)
