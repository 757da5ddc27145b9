"""Formulas of designs: which columns one names, and that it holds nothing but columns and a few known functions."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from titin.errors import TitinError
from titin.extras import check_installed

FUNCTIONS = ("bs", "cr", "cc", "poly", "center", "scale", "C")
_QUOTED = re.compile(r"`([^`]*)`")
_HINT = (
    f'write it like "~ sex + chemistry + age": columns, their interactions (age:sex, age*sex), and '
    f"{', '.join(FUNCTIONS)} of one column, such as bs(age, df=3)"
)


@dataclass(frozen=True)
class Term:
    """A term of a formula.

    Attributes
    ----------
    name
        As the design calls it, such as ``bs(age, df=3)`` or ``age:sex``.
    factors
        What is multiplied in it.
    variables
        Columns that it names.
    """

    name: str
    factors: frozenset[str]
    variables: tuple[str, ...]


@lru_cache(maxsize=256)
def read_formula(formula: str) -> tuple[Term, ...]:
    """Read the terms of a formula, the intercept aside.

    A formula is run by formulaic, which takes any Python for a term; here a term is a column, or one of `FUNCTIONS`
    of a column with constants as its options, and products of these.

    Raises
    ------
    TitinError
        If it is no formula, has two sides or parts, or holds anything else.
    """
    check_installed("formulaic", "a design")
    from formulaic import Formula  # type: ignore[import-untyped]
    from formulaic.errors import FormulaicError  # type: ignore[import-untyped]
    from formulaic.formula import SimpleFormula  # type: ignore[import-untyped]

    try:
        found = Formula(formula)
    except (FormulaicError, SyntaxError, AttributeError, ValueError, TypeError, RecursionError) as error:
        what = str(error).partition("\n")[0]  # it goes on with the formula, in colours
        raise TitinError(f"{formula!r} is no formula: {what}", _HINT) from error
    if not isinstance(found, SimpleFormula):
        raise TitinError(f"{formula!r} is no formula of a design: it has two sides or parts", _HINT)
    terms = []
    for term in found:
        names = [name for factor in term.factors for name in _variables(factor, formula)]
        if names:
            factors = frozenset(str(factor.expr) for factor in term.factors)
            terms.append(Term(str(term), factors, tuple(dict.fromkeys(names))))
    return tuple(terms)


def formula_variables(formula: str) -> list[str]:
    """Columns that a formula needs, sorted.

    Raises
    ------
    TitinError
        As `read_formula`.

    Examples
    --------
    >>> formula_variables("~ sex + bs(age, df=3) + sex:bs(age, df=3)")
    ['age', 'sex']
    """
    return sorted({name for term in read_formula(formula) for name in term.variables})


def find_term(name: str, terms: Sequence[str], formula: str) -> str | None:
    """The term of a formula that a contrast names, however it is spaced and ordered; None if it names none.

    Parameters
    ----------
    name
        Such as ``bs(age,df=3)`` or ``sex:age``.
    terms
        Names of those that the design has.
    formula
        The whole.
    """
    if name in terms:
        return name
    try:
        asked = read_formula(f"~ 0 + {name}")
    except TitinError:
        return None
    known = {term.factors: term.name for term in read_formula(formula) if term.name in terms}
    return known.get(asked[0].factors) if len(asked) == 1 else None


def named_variables(name: str, variables: Sequence[str]) -> list[str]:
    """Those of some columns that the name of a column of the design, or of a term, speaks of.

    Examples
    --------
    >>> named_variables("bs(age, df=3)[1]:sex[T.age]", ["age", "sex", "protocol"])
    ['age', 'sex']
    >>> named_variables("sex[T.age]", ["age", "sex"])
    ['sex']
    """
    bare = re.sub(r"\[[^\]]*(?:\]|$)", "", name)
    return [v for v in variables if re.search(rf"(?<![\w.]){re.escape(v)}(?![\w.])", bare)]


def _variables(factor: Any, formula: str) -> Iterator[str]:
    """Columns that a factor names.

    Raises
    ------
    TitinError
        If it is anything but a column, a number, or a known function of a column.
    """
    expression = str(factor.expr)
    method = factor.eval_method.name
    if method == "LITERAL":
        return
    if method == "LOOKUP":
        yield expression
        return
    quoted = _QUOTED.findall(expression)
    counted = iter(range(len(quoted)))
    stand_in = _QUOTED.sub(lambda _: f"_quoted_{next(counted)}_", expression)
    names = {f"_quoted_{i}_": name for i, name in enumerate(quoted)}
    try:
        tree = ast.parse(stand_in, mode="eval").body
        yield from (names.get(name, name) for name in _column_of(tree))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise TitinError(f"the formula {formula!r} holds {expression!r}, which no design may run", _HINT) from error


def _column_of(tree: ast.expr) -> list[str]:
    """The column that a call of known functions is of.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in FUNCTIONS and tree.args):
        raise ValueError("no known function")
    first, *rest = tree.args
    for option in (*rest, *(keyword.value for keyword in tree.keywords)):
        ast.literal_eval(option)  # refuses all but constants
    if any(keyword.arg is None for keyword in tree.keywords):
        raise ValueError("options by **")
    return [first.id] if isinstance(first, ast.Name) else _column_of(first)
