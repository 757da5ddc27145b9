"""Text in which nothing is hidden: what a terminal, a page or a figure would obey or not show is written out."""

import re
from collections.abc import Mapping
from typing import Any

# controls of terminals (C0, DEL, C1), marks that turn the direction of writing, what has no width (but the joiners that
# scripts and emoji need), ends of lines that are none for most programs, and halves of characters
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible(text: object, *, keep: str = "") -> str:
    r"""Write out what would be obeyed or not be seen, as Python writes it.

    Parameters
    ----------
    text
        Anything that has a text, such as a name from a file.
    keep
        Characters to leave as they are: line feeds of a text of ours.

    Examples
    --------
    >>> print(visible("T cell\x1b[2J\n"), visible("CD8\u202e+"))
    T cell\x1b[2J\n CD8\u202e+
    """
    return _HIDDEN.sub(lambda found: found[0] if found[0] in keep else _written(found[0]), str(text))


def visible_document(document: Any) -> Any:
    """Write out the same in every text and key of a document of mappings and sequences."""
    if isinstance(document, str):
        return visible(document)
    if isinstance(document, Mapping):
        return {visible_document(key): visible_document(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [visible_document(value) for value in document]
    return document


def visible_json(text: str) -> str:
    r"""Write out the same in JSON, which stays the same document: as ``\uXXXX``, but for the line feeds between values.

    Nor does it end the ``<script>`` of a page that it is put into.

    Examples
    --------
    >>> print(visible_json('"a\u202eb"'))
    "a\u202eb"
    """
    shown = _HIDDEN.sub(lambda found: found[0] if found[0] == "\n" else _utf16(found[0]), text)
    return shown.replace("</", r"\u003c/").replace("<!--", r"\u003c!--")


def _written(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    width, letter = (2, "x") if number < 0x100 else (4, "u") if number < 0x10000 else (8, "U")
    return _SHORT.get(character) or f"\\{letter}{number:0{width}x}"


def _utf16(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
