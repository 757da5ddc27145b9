"""Ids of the genes, by which the CELLxGENE schema knows them."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.exporter.cellxgene_schema import gene_id
from titin.text import count, say_some

_SHOWN = 3


@dataclass(frozen=True)
class Genes:
    """Genes of a table of them, in its order.

    Attributes
    ----------
    column
        Of var, that holds the ids; empty for its index.
    names
        As var calls them, one a gene.
    ids
        Without versions; None for a gene that has none.
    """

    column: str
    names: list[str]
    ids: list[str | None]

    def without_id(self) -> list[str]:
        """Names of the genes that have none."""
        return [name for name, own in zip(self.names, self.ids, strict=True) if own is None]

    def chosen(self, leave_out: Collection[str]) -> tuple[NDArray[np.int64], list[str]]:
        """Positions and ids of the genes that are exported: those with an id, less those that are left out.

        Parameters
        ----------
        leave_out
            Ids, with or without a version, or names.

        Raises
        ------
        TitinError
            If there is no such gene, two have one id, or none is left.
        """
        known = {*self.names, *filter(None, self.ids)}
        out = {name if name in known else gene_id(name) or name for name in leave_out}
        if strange := sorted(out - known):
            raise TitinError(f"leave_out names {say_some(strange, _SHOWN)}, which the dataset does not have",
                             "take it out of the file of terms")  # fmt: skip
        kept = [(at, own) for at, (name, own) in enumerate(zip(self.names, self.ids, strict=True))
                if own is not None and not {own, name} & out]  # fmt: skip
        ids = [own for _, own in kept]
        if not ids:
            raise TitinError("no gene is left to be exported", "see [genes] in the file of terms")
        again = pd.Index(ids).duplicated()
        if again.any():
            twice = sorted({own for own, is_again in zip(ids, again, strict=True) if is_again})
            names = say_some([self.names[at] for at, own in kept if own == twice[0]], _SHOWN)
            raise TitinError(f"{count(len(twice), 'id')} stand for several genes each: {say_some(twice, _SHOWN)}",
                             f"name all but one in leave_out of the file of terms, of {names}")  # fmt: skip
        return np.array([at for at, _ in kept], np.int64), ids


def find_genes(var: pd.DataFrame, column: str | None = None) -> Genes:
    """Find the ids in a table of genes.

    Parameters
    ----------
    column
        That holds them; empty for the index. Where not given, the one with the most ids, the index before others.

    Raises
    ------
    TitinError
        If there is no such column.
    """
    if column and column not in var.columns:
        raise TitinError(f"var has no column {column!r}, in which the file of terms sees the ids of genes",
                         f"columns: {', '.join(map(str, var.columns)) or 'none'}; empty for the index")  # fmt: skip
    if column is None:
        texts = [own for own in var.columns if isinstance(own, str) and _may_hold_text(var[own])]
        found = {own: _ids(var, own) for own in ("", *texts)}
        column = max(found, key=lambda own: sum(name is not None for name in found[own]))
    return Genes(column, list(map(str, var.index)), _ids(var, column))


def _may_hold_text(column: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype))


def _ids(var: pd.DataFrame, column: str) -> list[str | None]:
    return [gene_id(name) for name in (var[column] if column else var.index)]
