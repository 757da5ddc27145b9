"""Names of cells and genes: each there, each once; and columns that a table can hold."""

import reprlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from titin.dataset.repeated_hashes import RepeatedHashes
from titin.errors import SourceError
from titin.shelf import let_go_of_pages

ID_COLUMNS = (
    "ENSEMBL", "gene_ids", "gene_id", "ensembl_id", "ensembl", "Ensembl", "feature_id", "ENSEMBL_ID",
)  # fmt: skip
"""Columns of var in which stable ids stand by convention, the most usual first."""

STABLE_ID = r"ENS[A-Z]*G\d{6,}(\.\d+)?"
_OTHER_IDS = r"(FBgn|WBGene|ZFIN:|MGI:|HGNC:|RGD:|SGD:|AT[1-5CM]G)\w+(\.\d+)?"
_MORE_ID_COLUMNS = frozenset({"ensemblid", "ensgid", "geneid", "geneids", "featureid", "accession", "ensemblgeneid",
                              "entrezid", "entrez", "ncbigeneid", "hgncid", "mgiid", "flybaseid"})  # fmt: skip
_UNNAMED = "unnamed"
_AT_ONCE = 1 << 16  # names that are looked at
_WAYS = {
    "cell": "Give --make-unique, which appends -1, -2, … as scanpy's obs_names_make_unique, or prefix the names by "
    "their sample.",
    "gene": "Give --make-unique, which appends -1, -2, … as scanpy's var_names_make_unique, or Ensembl ids in a column "
    "of var such as gene_ids, which then become the key.",
}


class Names(NamedTuple):
    """Names of cells or genes that are missing, and those that occur more than once."""

    kind: str
    missing: np.ndarray
    repeated: pd.Index

    @classmethod
    def of(cls, names: pd.Index, kind: str) -> "Names":
        """Look for what is wrong with the names of cells (``cell``) or genes (``gene``)."""
        missing = np.zeros(len(names), bool)
        for own, part in _in_parts(names):
            missing[own] = _absent(part)
        alike = pd.Index(_alike(names), dtype=object)
        return cls(kind, np.flatnonzero(missing), alike[alike.duplicated()].unique())

    @property
    def fine(self) -> bool:
        """Whether every one is there, and once."""
        return not len(self.missing) and not len(self.repeated)

    def said(self) -> str:
        """What is wrong, in words."""
        if len(self.missing):
            return f"{len(self.missing):,} {self.kind}s have no name; the first is {self.kind} {self.missing[0]:,}"
        what = "barcodes" if self.kind == "cell" else "genes"
        return f"duplicate {what}: {len(self.repeated):,} names occur more than once ({_shown(self.repeated)})"

    def refusal(self, path: Path) -> SourceError:
        """The error, with the ways out."""
        index = f"Name every {self.kind} in the index of {'obs' if self.kind == 'cell' else 'var'}, or give "
        way = f"{index}--make-unique." if len(self.missing) else _WAYS[self.kind]
        return SourceError(f"{path}: {self.said()}", way)


def _in_parts(names: pd.Index) -> Iterator[tuple[slice, np.ndarray]]:
    """Names as Python's, some at a time."""
    for start in range(0, len(names), _AT_ONCE):
        own = slice(start, start + _AT_ONCE)
        yield own, names[own].to_numpy(object)
        let_go_of_pages()


def _absent(names: np.ndarray) -> np.ndarray:
    """Which names are missing or empty."""
    absent = np.asarray(pd.isna(names), bool)
    absent[~absent] = names[~absent] == ""
    return absent


def _alike(names: pd.Index) -> list[Any]:
    """Names that may occur more than once, by half a hash: a table of millions of names would be the largest thing."""
    hashes = RepeatedHashes(len(names), np.uint32)
    for _, part in _in_parts(names):
        hashes.add(_half_hashes(part))
    if not len(hashes.several):
        return []
    return [
        name for _, part in _in_parts(names)
        for name in part[hashes.among(_half_hashes(part)) & ~_absent(part)]
    ]  # fmt: skip


def _half_hashes(names: np.ndarray) -> np.ndarray:
    """Half a hash of each name (uint32)."""
    return (pd.util.hash_array(names, categorize=False) >> np.uint64(32)).astype(np.uint32)


def without_names(table: pd.DataFrame) -> pd.DataFrame:
    """The same columns with numbers for names, which pandas would make Python's text of again and again."""
    plain = table.copy(deep=False)
    plain.index = pd.RangeIndex(len(table))
    return plain


def _shown(names: pd.Index) -> str:
    return ", ".join(str(name) for name in names[:3]) + (", …" if len(names) > 3 else "")


def cells_by_name(path: Path, obs: pd.DataFrame, make_unique: bool, notes: list[str]) -> pd.DataFrame:
    """Return obs with a name for each cell.

    Raises
    ------
    SourceError
        If names are missing or repeated, and are not to be made unique.
    """
    found = Names.of(obs.index, "cell")
    if found.fine:
        return obs
    if not make_unique:
        raise found.refusal(path)
    return obs.set_axis(_made_unique(obs.index, found, notes), axis=0)


def genes_by_name(
    path: Path, var: pd.DataFrame, make_unique: bool, notes: list[str]
) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """Return var with a name for each gene: its own, an id where names repeat, or its own made unique.

    Returns
    -------
    pandas.DataFrame
        Where ids have become the index, the names that were are its first column.
    dict or None
        That column (``column``), and what the index was called (``name``).

    Raises
    ------
    SourceError
        If names are missing or repeated, no column has unique ids, and they are not to be made unique.
    """
    found = Names.of(var.index, "gene")
    if found.fine:
        return var, None
    if make_unique:
        return var.set_axis(_made_unique(var.index, found, notes), axis=0), None
    ids = find_ids(var)
    if ids is None or _are_ids(var.index):
        raise found.refusal(path)
    column = next(name for n in range(len(var.columns) + 1) if (name := f"gene_symbols{n or ''}") not in var.columns)
    keyed = var.set_axis(pd.Index(var[ids].astype(object).astype(str).to_numpy(object)), axis=0)
    keyed.insert(0, column, var.index.to_numpy(object))
    if len(found.missing):
        notes.append(f"{found.said()}; genes are keyed by {ids!r}")
    else:
        notes.append(
            f"{len(found.repeated):,} names are those of several genes ({_shown(found.repeated)}); "
            f"genes are keyed by {ids!r}"
        )
    return keyed, {"column": column, "name": var.index.name}


def find_ids(var: pd.DataFrame) -> Any:
    """Name the column of var that has an id for each gene, each once; None if there is none."""
    by_convention = [name for name in ID_COLUMNS if name in var.columns]
    by_name = [name for name in var.columns if _plain(name) in _MORE_ID_COLUMNS]
    by_look = [name for name in var.columns if _is_text(var[name]) and _are_ids(var[name])]
    for name in dict.fromkeys([*by_convention, *by_name, *by_look]):
        column = var[name]
        if isinstance(column, pd.Series) and column.dtype.kind != "f" and Names.of(pd.Index(column), "gene").fine:
            return name
    return None


def _plain(name: Any) -> str:
    return "".join(c for c in str(name).lower() if c.isalnum())


def _is_text(column: Any) -> bool:
    return isinstance(column, pd.Series) and not pd.api.types.is_numeric_dtype(column.dtype)


def _are_ids(names: pd.Series | pd.Index) -> bool:
    text = pd.Series(names).dropna().astype(str)
    return bool(len(text)) and bool(text.str.fullmatch(f"{STABLE_ID}|{_OTHER_IDS}").mean() > 0.5)


def _made_unique(names: pd.Index, found: Names, notes: list[str]) -> pd.Index:
    """Names as anndata makes them unique: the second of a name becomes ``name-1``."""
    from anndata.utils import make_index_unique

    named = names.astype(object)
    if len(found.missing):
        values = named.to_numpy(object).copy()
        values[found.missing] = _UNNAMED
        named = pd.Index(values, dtype=object, name=names.name)
        notes.append(f"{len(found.missing):,} {found.kind}s have no name; they are called {_UNNAMED!r}, made unique")
    if len(found.repeated):
        notes.append(f"{found.said()}; made unique by -1, -2, …")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # over names that end in -1 already, which are taken into account
        unique: pd.Index = make_index_unique(named)
    return unique


def check_columns(path: Path, table: pd.DataFrame, place: str) -> None:
    """Refuse columns of Python objects that are not all strings."""
    for position, name in enumerate(table.columns):
        column = table.iloc[:, position]
        values: Any = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
        if values.dtype != object or pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty"):
            continue
        example = next(v for v in values if not isinstance(v, str) and (pd.api.types.is_list_like(v) or pd.notna(v)))
        way_out = f" Or build with --no-obs {str(name)!r}." if place == "obs" else ""
        raise SourceError(
            f"{path}: column {name!r} of {place} holds objects that are not all strings, "
            f"for example {reprlib.repr(example)} ({type(example).__name__})",
            f"Convert it to one type, for example {place}[{str(name)!r}] = {place}[{str(name)!r}].astype(str)."
            f"{way_out}",
        )
