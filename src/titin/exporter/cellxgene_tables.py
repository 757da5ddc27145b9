"""obs, var, uns and embeddings as a file of the CELLxGENE schema holds them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.exporter.cellxgene_schema import EMBEDDING, FIELDS, TAKEN_OBS, TAKEN_UNS, TAKEN_VAR, TRUE
from titin.exporter.cellxgene_terms import FieldTerms, TermsFile, term_of, text_of
from titin.text import say_some

Note = Callable[[str], None]
_OWN = "original_"  # begins the name of a column of the source whose name the schema has for itself
_COLOURS = "_colors"
_ORGANISM = "organism_ontology_term_id"
_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_SHOWN = 8


def schema_obs(obs: pd.DataFrame, terms: TermsFile, note: Note) -> tuple[pd.DataFrame, dict[str, str]]:
    """Columns of terms, and after them those of the source, under another name where the schema has it for itself.

    Returns
    -------
    obs
        In the order of the source.
    renamed
        New names by old ones, of columns that have one.
    """
    made = {FIELDS[name].column: _mapped(obs, name, terms.fields[name]) for name in FIELDS}
    same = [own.column for name, own in FIELDS.items() if own.column in obs.columns
            and _says_no_more(obs[own.column], made[own.column], terms.fields[name])]  # fmt: skip
    if _ORGANISM in obs.columns and set(map(str, obs[_ORGANISM])) == {terms.organism.term}:
        same.append(_ORGANISM)
    others, renamed = _renamed(obs.drop(columns=same), {*TAKEN_OBS, *made}, set(made))
    _say(note, "columns of obs have another name, as the schema keeps theirs: ",
         [f"{old} is {new}" for old, new in renamed.items()])  # fmt: skip
    found = pd.DataFrame(made | {name: readable(others[name]) for name in others.columns}, index=obs.index)
    return found.rename_axis(index=None), renamed


def schema_var(
    var: pd.DataFrame, positions: NDArray[np.int64], ids: list[str], column: str, note: Note
) -> pd.DataFrame:
    """The genes that are exported, by their ids; without the columns that the schema fills in itself."""
    taken = [name for name in var.columns if name in TAKEN_VAR]
    _say(note, "columns of var are left out, which the schema fills in itself: ", taken)
    if column:
        own = str(var.index.name or "gene_name")
        while own in var.columns or own in TAKEN_VAR:
            own = f"{own}_"
        var = var.assign(**{own: var.index.to_numpy(object)})
    kept, _ = _renamed(var.drop(columns=taken).iloc[positions], TAKEN_VAR, set())
    return pd.DataFrame({name: readable(kept[name]) for name in kept.columns}, index=pd.Index(ids))


def schema_obsm(obsm: Mapping[str, Any], note: Note) -> dict[str, NDArray[Any]]:
    """The projections that the schema takes.

    Raises
    ------
    TitinError
        If none of them is one that the portal can show.
    """
    found, left = {}, []
    for key, value in obsm.items():
        values = np.asarray(value)
        fits = (EMBEDDING.fullmatch(key) and key.lower() not in ("spatial", "x_spatial") and values.ndim == 2
                and values.shape[1] >= 2 and values.dtype.kind in "iuf" and not np.isinf(values).any()
                and not np.isnan(values).all())  # fmt: skip
        if fits:
            found[key] = values
        else:
            left.append(key)
    _say(note, "entries of obsm are left out, which the schema does not take: ", left)
    if not any(key.startswith("X_") for key in found):
        raise TitinError("the schema wants a projection of two dimensions or more, and the dataset has none",
                         "`titin embed` adds one")  # fmt: skip
    return found


def schema_uns(
    uns: Mapping[str, Any], terms: TermsFile, obs: pd.DataFrame, renamed: Mapping[str, str], note: Note
) -> dict[str, Any]:
    """Title and organism, and what else the source has that the schema takes: colours of columns that are there."""
    made: dict[str, Any] = {
        "title": " ".join(terms.title.term.split()), _ORGANISM: terms.organism.term,
    }  # fmt: skip
    left = []
    for key, value in uns.items():
        if key.endswith(_COLOURS):
            column = key.removesuffix(_COLOURS)
            column = renamed.get(column, column)
            if _are_colours(value, obs.get(column)):
                made[f"{column}{_COLOURS}"] = np.asarray(value, object)
                continue
        elif key not in TAKEN_UNS and not key.startswith("__") and (plain := _plain(value)) is not None:
            made[key] = plain
            continue
        if key not in made:
            left.append(key)
    _say(note, "entries of uns are left out, which the schema does not take: ", left)
    return made


def readable(column: pd.Series) -> Any:
    """A column of one type, as every release of anndata reads it: text and what has gaps become categories."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        kinds = {type(value) for value in dtype.categories}
        if kinds <= {str} and pd.api.types.is_object_dtype(dtype.categories.dtype):
            return column.array
        return column.cat.rename_categories(_unique(map(text_of, dtype.categories))).array
    if pd.api.types.is_bool_dtype(dtype) and not column.isna().any():
        return column.to_numpy(bool)
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        if isinstance(dtype, np.dtype):
            return column.to_numpy()
        return column.to_numpy(np.float64, na_value=np.nan) if column.isna().any() else column.to_numpy()
    return pd.Categorical([None if pd.isna(value) else text_of(value) for value in column.astype(object)])


def _unique(names: Any) -> list[str]:
    found: list[str] = []
    for name in names:
        while name in found:
            name = f"{name}_"
        found.append(name)
    return found


def _mapped(obs: pd.DataFrame, name: str, own: FieldTerms) -> Any:
    """A field of every cell."""
    if own.every_cell is not None or own.column is None:
        term = own.every_cell.term if own.every_cell else ""
        codes, terms = np.zeros(len(obs), np.int64), [term]
    else:
        found, distinct = pd.factorize(obs[own.column.term])
        terms = [term_of(name, own, value) for value in distinct]
        codes = np.where(found < 0, len(terms), found)
        terms = [*terms, own.missing.term if own.missing else ""]
    if FIELDS[name].column == "is_primary_data":
        return np.array([term == TRUE for term in terms])[codes]
    used = sorted({terms[code] for code in np.unique(codes)})
    place = {term: at for at, term in enumerate(used)}
    used_codes = np.array([place.get(term, -1) for term in terms], np.int64)[codes]
    return pd.Categorical.from_codes(used_codes, categories=pd.Index(used))


def _says_no_more(column: pd.Series, made: Any, own: FieldTerms) -> bool:
    """Whether the field of a column's name says all that the column says: the same, or one term for each value."""
    if own.column is not None and own.column.term == column.name:
        terms = [entry.term for entry in own.terms.values()]
        return len(set(terms)) == len(terms) and not column.isna().any()
    theirs, ours = (pd.Series(values).astype(object).map(str).to_numpy() for values in (column, made))
    return bool((theirs == ours).all())


def _renamed(table: pd.DataFrame, taken: Any, present: set[str]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Columns under names that the schema does not have for itself, nor takes for its own."""
    names: dict[str, str] = {}
    used = {*present, *(str(name) for name in table.columns)}
    for name in map(str, table.columns):
        if name in taken or name.startswith("__"):
            new = f"{_OWN}{name.lstrip('_')}" if name in taken else name.lstrip("_") or "column"
            while new in used or new in taken:
                new = f"{new}_"
            used.add(new)
            names[name] = new
    return table.rename(columns=names), names


def _are_colours(value: Any, column: Any) -> bool:
    """Whether they are colours of the categories of a column."""
    if column is None or not isinstance(column.dtype, pd.CategoricalDtype) or not isinstance(value, list | np.ndarray):
        return False
    colours = list(value)
    return len(colours) >= len(column.cat.categories) and all(
        isinstance(own, str) and _HEX.fullmatch(own) for own in colours
    )


def _plain(value: Any) -> Any:
    """What every release of anndata reads of a value; None for what none of it is, or for what is empty."""
    if isinstance(value, Mapping):
        inner = {key: own for key, entry in value.items()
                 if isinstance(key, str) and key and "/" not in key and (own := _plain(entry)) is not None}  # fmt: skip
        return inner or None
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        return value
    if isinstance(value, list):
        value = np.array(value, object) if all(isinstance(own, str) for own in value) else np.asarray(value)
    if not isinstance(value, np.ndarray) or not value.ndim or not value.size or value.dtype.kind not in "biufOU":
        return None
    return value if value.dtype.kind in "biuf" or all(isinstance(own, str) for own in value.flat) else None


def _say(note: Note, what: str, names: list[str]) -> None:
    if names:
        note(f"{what}{say_some(names, _SHOWN)}")
