"""What is asked of a dataset, checked against its metadata before anything is computed of its matrix."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from titin.ageing.comparison import ask, extra_columns, take_part
from titin.ageing.design import NotTestableError, add_variables, make_design
from titin.ageing.pseudobulk import check_counts
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.study.design import AGE, Study, choose_level, labels_of
from titin.study.groups import group_cells

_LEVEL = "cell_type_level"
Options = Mapping[str, Any]


def by_roles(roles: Mapping[str, Any], contrast: str) -> str:
    """A contrast by the name of its role where it is given by that of the column: ``Sex`` is the sex that is adjusted.

    Examples
    --------
    >>> by_roles({"sex": "Sex", "age": "stage", "cell_type": ["label"]}, "Sex"), by_roles({}, "bmi")
    ('sex', 'bmi')
    """
    named = {column: role for role, column in roles.items() if isinstance(column, str)}
    return named.get(contrast, contrast)


def check_question(atlas: Atlas, needs: Collection[str], options: Options) -> None:
    """Refuse what the dataset has not the donors, ages, counts, columns or levels for.

    Parameters
    ----------
    atlas
        The dataset; only the metadata of its cells are read.
    needs
        Of the analysis: roles, and ``counts``.
    options
        As they are given to its run: ``contrast``, ``formula`` and ``cell_type_level`` are looked at.

    Raises
    ------
    TitinError
        In one sentence, as the analysis itself would say it later.
    """
    if "counts" in needs:
        check_counts(atlas)
    if _LEVEL in options:
        choose_level(Study.of(atlas).levels, options[_LEVEL], whole=True)
    if AGE not in needs:  # it can be told of without, and says itself what it lacks
        return
    contrast, formula = options.get("contrast", AGE), options.get("formula")
    groups = group_cells(atlas, extra=extra_columns(contrast, formula, None)).table
    complete = take_part(groups, contrast, formula)
    question = ask(groups, contrast, formula, complete=complete)
    rows = add_variables(groups[complete.rows], question.cut)
    if rows[question.variables].notna().all(axis=None):
        _check_terms(rows, question.variables, question.formula, question.contrast)


def _check_terms(rows: pd.DataFrame, variables: Sequence[str], formula: str, contrast: Any) -> None:
    """Refuse a contrast that names no term or column of the design of all donors."""
    donors = pd.factorize(rows["donor"])[0].astype("int64")
    table = rows[[*variables, layout.N_CELLS]].reset_index(drop=True)
    try:
        make_design(table, donors, formula, contrast)
    except NotTestableError:
        return  # some type may have other donors; if none has, the largest says why


def check_genes(atlas: Atlas, genes: Sequence[str]) -> list[str]:
    """Ids of genes by their names in var, symbols or ids.

    Raises
    ------
    UnknownNameError
        With the nearest names, if there is no such gene.
    """
    found = atlas.reader.genes
    return [found.ids[place] for place in found.finder.find_all(genes)]


def check_types(atlas: Atlas, types: Sequence[str], level: int | str | None) -> None:
    """Refuse names that are no cell types of a level.

    Raises
    ------
    TitinError
        With the nearest names.
    """
    cells = group_cells(atlas)
    chosen = choose_level(cells.levels, level, whole=True)
    known = sorted(map(str, labels_of(cells.table, chosen).dropna().unique()))
    for name in types:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.5)
            hint = f"did you mean {', '.join(near)}?" if near else f"cell types of {chosen}: {', '.join(known)}"
            raise TitinError(f"there is no cell type {name!r} in {chosen}", hint)
