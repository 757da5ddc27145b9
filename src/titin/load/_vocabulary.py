"""Names of genes as numbers, for models that read cells as sentences."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError

PAD, CLS = "<pad>", "<cls>"
Naming = Literal["ids", "symbols"]


class Vocabulary:
    """Which number stands for which gene.

    Parameters
    ----------
    tokens
        Number of each name, and of the special tokens, such as ``<pad>`` and ``<cls>``, that there are.
    by
        What the names are: ``ids`` or ``symbols``.

    Raises
    ------
    TitinError
        If a number is negative or stands for two names, or ``by`` is neither of the two.

    Examples
    --------
    >>> vocabulary = Vocabulary({"<pad>": 0, "<cls>": 1, "MYH7": 2}, by="symbols")
    >>> vocabulary["MYH7"], len(vocabulary), "MYH2" in vocabulary
    (2, 3, False)
    """

    def __init__(self, tokens: Mapping[str, int], by: Naming = "ids") -> None:
        if by not in ("ids", "symbols"):
            raise TitinError(f"there are no names {by!r} of genes", "give ids or symbols")
        self.tokens, self.by = dict(tokens), by
        twice = [token for token, n in Counter(self.tokens.values()).items() if n > 1]
        bad = twice or [token for token in self.tokens.values() if not 0 <= token < 2**31]
        if bad:
            raise TitinError(
                f"the vocabulary has the token {bad[0]} {'twice' if twice else ''}".rstrip(),
                "number its names with different integers from 0",
            )

    @classmethod
    def of(cls, atlas: Atlas, by: Naming = "ids") -> "Vocabulary":
        """Number the genes of a dataset: ``<pad>`` 0, ``<cls>`` 1, then all genes in the source's order."""
        names = gene_names(atlas, by)
        return cls({name: token for token, name in enumerate([PAD, CLS, *names])}, by)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str], by: Naming = "ids") -> "Vocabulary":
        """Read a JSON file that maps names to numbers, as `to_json` writes and scGPT's ``vocab.json`` is.

        Raises
        ------
        TitinError
            If it is not such a file.
        """
        try:
            tokens = json.loads(Path(path).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise TitinError(f"{path} cannot be read: {error}", "give a JSON file of names and numbers") from error
        if not isinstance(tokens, dict) or not all(type(token) is int for token in tokens.values()):
            raise TitinError(f"{path} does not map names to numbers", "give a JSON file of names and numbers")
        return cls(tokens, by)

    def to_json(self) -> str:
        """Write it as one JSON object, names to numbers."""
        return json.dumps(self.tokens, indent=0, ensure_ascii=False) + "\n"

    def __getitem__(self, name: str) -> int:
        return self.tokens[name]

    def __contains__(self, name: object) -> bool:
        return name in self.tokens

    def __len__(self) -> int:
        return len(self.tokens)


def gene_names(atlas: Atlas, by: Naming) -> list[str]:
    """Name of every gene, in the source's order; a symbol that several genes share gives way to their ids."""
    table = atlas.store.table(atlas.layout.feature_metadata, [layout.GENE, layout.GENE_IDS, layout.SOURCE_COLUMN])
    table = table.take(np.argsort(table.column(layout.SOURCE_COLUMN).to_numpy()))
    ids: list[str] = table.column(layout.GENE_IDS).to_pylist()
    if by == "ids":
        return ids
    symbols: list[str] = table.column(layout.GENE).to_pylist()
    shared = {symbol for symbol, n in Counter(symbols).items() if n > 1}
    return [name if symbol in shared else symbol for symbol, name in zip(symbols, ids, strict=True)]
