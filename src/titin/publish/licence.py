"""Licences of data: the Hub's identifiers, what each is called, and where its text is."""

import difflib
import json
from importlib import resources

from titin.dataset import layout
from titin.errors import TitinError
from titin.visible import visible

FILE = layout.LICENCE


def licences() -> dict[str, tuple[str, str]]:
    """Name and address of the text of each licence, by the Hub's identifier."""
    text = (resources.files("titin.publish") / "licences.json").read_text("utf-8")
    return {key: (name, url) for key, (name, url) in json.loads(text).items()}


def check_licence(identifier: str) -> str:
    """Return an identifier as the Hub writes it.

    Raises
    ------
    TitinError
        If the Hub does not know it.
    """
    known, wanted = licences(), identifier.strip().lower()
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known)}"
        raise TitinError(f"the Hub knows no licence {identifier!r}", hint)
    return wanted


def statement(identifier: str, title: str) -> str:
    """Text of the file ``LICENSE``: which licence, and that it was stated, not found."""
    name, url = licences()[identifier]
    return (
        f"{visible(title)}\n\n"
        f"This dataset is made available by its publisher under the {name}\n({identifier}).\n\n{url}\n\n"
        "The licence was stated by whoever published the dataset. The terms of the source from which it was made, "
        "and of\n"
        "the study to be cited, hold beside it.\n"
    )
