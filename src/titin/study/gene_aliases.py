"""Other names that genes go by: from a table that the user gives, or from columns of var."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from titin.dataset.checksums import sha256
from titin.errors import TitinError
from titin.study.table_files import read_table_file

_SYMBOL_COLUMNS = ("symbol", "approved_symbol")
_ALIAS_COLUMNS = frozenset({
    "alias", "aliases", "alias_symbol", "alias_symbols", "gene_alias", "gene_aliases", "prev_symbol", "prev_symbols",
    "previous_symbol", "previous_symbols", "synonyms", "gene_synonyms",
})  # fmt: skip
_ID_COLUMN, _STATUS, _APPROVED = "ensembl_gene_id", "status", "approved"
_HOLDS = "the columns alias and symbol, or those of HGNC: symbol, alias_symbol, prev_symbol, ensembl_gene_id"
_OPTION = "--gene-aliases"
_MOST_BYTES = 2**28


@dataclass(frozen=True)
class GeneAliases:
    """What genes are called beside their symbols.

    Attributes
    ----------
    symbols
        Of genes, as they are called now.
    of_alias
        Symbols by each other name of theirs.
    of_id
        Symbol by stable id.
    origin
        Of a table that was given: its ``name`` and ``sha256``.
    """

    symbols: frozenset[str]
    of_alias: Mapping[str, frozenset[str]]
    of_id: Mapping[str, str] = field(default_factory=dict)
    origin: dict[str, Any] | None = None

    def meant(self, name: str) -> frozenset[str]:
        """Return the genes that a name may stand for: its own where it is a symbol; none where it is not known."""
        return frozenset({name}) if name in self.symbols else self.of_alias.get(name, frozenset())


def read_gene_aliases(path: Path) -> GeneAliases:
    """Read a table of aliases.

    Parameters
    ----------
    path
        CSV, TSV or Parquet, as it is or packed: a column ``symbol`` and one or more of other names (``alias``, or
        ``alias_symbol`` and ``prev_symbol`` as in HGNC's ``hgnc_complete_set.txt``), several in an entry separated by
        ``|``; ``ensembl_gene_id`` where there is one. Withdrawn symbols of HGNC are left out.

    Raises
    ------
    TitinError
        If it cannot be read, has no such columns, or names no alias.
    """
    table = read_table_file(path, _OPTION, _HOLDS, most=_MOST_BYTES, keep_default_na=False)
    columns = {_plain(name): table[name] for name in table.columns}
    symbols = next((columns[name] for name in _SYMBOL_COLUMNS if name in columns), None)
    aliases = [column for name, column in columns.items() if name in _ALIAS_COLUMNS]
    if symbols is None or not aliases:
        found = ", ".join(map(str, table.columns[:6]))
        raise TitinError(f"{_OPTION}: {path} has the columns {found}", f"give a table with {_HOLDS}")
    if _STATUS in columns:
        kept = columns[_STATUS].astype(str).str.lower() == _APPROVED
        symbols, aliases = symbols[kept], [column[kept] for column in aliases]
    ids = columns.get(_ID_COLUMN, pd.Series("", index=table.index))[symbols.index]
    origin = {"name": path.name, "sha256": sha256(path)}
    known = _aliases(symbols, aliases, zip(_texts(ids), _texts(symbols), strict=True), origin)
    if not known.of_alias:
        raise TitinError(f"{_OPTION}: {path} names no alias", f"give a table with {_HOLDS}")
    return known


def aliases_of_var(tables: Iterable[tuple[pd.DataFrame, pd.DataFrame]]) -> GeneAliases | None:
    """Aliases that var itself tells of, in a column such as ``prev_symbol`` or ``synonyms``; None where none does.

    Parameters
    ----------
    tables
        Of each study var, and the symbols of its genes (``gene``).
    """
    symbols: list[str] = []
    aliases: list[Any] = []
    for var, named in tables:
        for column in (var[name] for name in var.columns if _plain(name) in _ALIAS_COLUMNS):
            if not pd.api.types.is_numeric_dtype(column.dtype):
                symbols += named["gene"].astype(str).tolist()
                aliases += column.tolist()
    found = _aliases(pd.Series(symbols, dtype=object), [pd.Series(aliases, dtype=object)], (), None)
    return found if found.of_alias else None


def _aliases(
    symbols: pd.Series, aliases: Sequence[pd.Series], ids: Iterable[tuple[str, str]], origin: dict[str, Any] | None
) -> GeneAliases:
    own = _texts(symbols)
    of_alias: dict[str, set[str]] = defaultdict(set)
    for column in aliases:
        for symbol, entry in zip(own, _texts(column), strict=True):
            for alias in filter(None, (one.strip() for one in re.split(r"[|;,]", entry))):
                if symbol and alias != symbol:
                    of_alias[alias].add(symbol)
    of_id: dict[str, str] = {}
    twice = set()
    for gene_id, symbol in ids:
        if gene_id and symbol and of_id.setdefault(gene_id, symbol) != symbol:
            twice.add(gene_id)
    return GeneAliases(
        frozenset(filter(None, own)), {alias: frozenset(meant) for alias, meant in of_alias.items()},
        {gene_id: symbol for gene_id, symbol in of_id.items() if gene_id not in twice}, origin,
    )  # fmt: skip


def _texts(column: pd.Series) -> list[str]:
    return ["" if missing else str(value).strip() for value, missing in zip(column, column.isna(), strict=True)]


def _plain(name: Any) -> str:
    """A column's name as HGNC writes it: ``Previous symbols`` is ``previous_symbols``."""
    return re.sub(r"\W+", "_", str(name).strip().lower())
