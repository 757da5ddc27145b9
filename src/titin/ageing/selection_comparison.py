"""Two selections of cells compared on donors: who has cells of either, and every gene tested between them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.comparison import ALL, MIN_DONORS, adjust_across
from titin.ageing.design import default_formula
from titin.ageing.differential_expression import (
    COLUMNS,
    METHODS,
    DifferentialExpression,
    ExpressionMethod,
    compare_apart,
)
from titin.ageing.expression_comparisons import MIN_CELLS, expression_comparisons
from titin.ageing.normalization import MIN_COUNT
from titin.ageing.pseudobulk import Pseudobulk, check_counts, sum_groups
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.progress import Progress
from titin.study.design import ALL_CELLS
from titin.study.groups import CellGroups, cell_keys, group_by
from titin.text import say_first

SIDE = "A"  # column of the design: 1 for cells of A, 0 for those of B
_KEYS = ("donor", "protocol", "chemistry", "sex", "study")
_NAMED = 6  # most donors in a sentence


@dataclass(frozen=True)
class SidesPlan:
    """What of two selections is compared in one protocol.

    Attributes
    ----------
    protocol
        ``all`` where the dataset has none.
    kind
        ``paired``: donors that have both selections, with themselves. ``between``: donors that have one alone, with
        those that have the other. None: nothing can be compared.
    a, b
        Donors (text) whose cells of A, or of B, take part, sorted.
    notes
        Who takes no part; first, where nothing is compared, why.
    """

    protocol: str
    kind: Literal["paired", "between"] | None
    a: list[str]
    b: list[str]
    notes: list[str] = field(default_factory=list)


def plan_sides(
    cells: pd.DataFrame, *, min_cells: int = MIN_CELLS, min_donors: int = MIN_DONORS
) -> list[SidesPlan]:  # fmt: skip
    """Decide in each protocol which donors are compared.

    Donors that have both are compared with themselves if there are enough; else those that have one selection alone
    with those that have the other, and donors with both stay out, who would stand on both sides.

    Parameters
    ----------
    cells
        One row a protocol and donor: ``protocol``, ``donor``, and ``a`` and ``b``, how many cells of either selection.
    min_cells
        Of a donor on a side, for it to take part there.
    min_donors
        With both, or on either side.

    Examples
    --------
    >>> rows = [("all", f"D{i}", 20, 30) for i in range(4)]
    >>> plan_sides(pd.DataFrame(rows, columns=["protocol", "donor", "a", "b"]))[0].kind
    'paired'
    """
    return [_plan(str(name), own, min_cells, min_donors) for name, own in cells.groupby("protocol", sort=True)]


def _plan(protocol: str, cells: pd.DataFrame, min_cells: int, min_donors: int) -> SidesPlan:
    of_a, of_b = (set(cells["donor"][cells[side] >= min_cells]) for side in "ab")
    both, only_a, only_b = sorted(of_a & of_b), sorted(of_a - of_b), sorted(of_b - of_a)
    few = int((cells[["a", "b"]].gt(0) & cells[["a", "b"]].lt(min_cells)).any(axis=1).sum())
    notes = [f"{_donors(few)} with fewer than {min_cells} cells on a side left out there"] if few else []
    if len(both) >= min_donors:
        if only_a or only_b:
            notes.append(f"{_donors(len(only_a) + len(only_b))} with one side alone left out")
        return SidesPlan(protocol, "paired", both, both, notes)
    if min(len(only_a), len(only_b)) >= min_donors:
        if both:
            notes.append(f"{_donors(len(both))} with both sides left out: too few for pairs")
        return SidesPlan(protocol, "between", only_a, only_b, notes)
    why = (f"too few donors with at least {min_cells} cells: {_told(both)} with both A and B, {_told(only_a)} with A "
           f"alone, {_told(only_b)} with B alone; a comparison needs {min_donors} with both, or {min_donors} on either "
           "side")  # fmt: skip
    return SidesPlan(protocol, None, [], [], [why, *notes])


def compare_selections(
    atlas: Atlas,
    a: Any,
    b: Any,
    *,
    method: ExpressionMethod = "voom",
    min_cells: int = MIN_CELLS,
    min_donors: int = MIN_DONORS,
    min_count: float = MIN_COUNT,
    threads: int | None = None,
    progress: Progress | None = None,
) -> DifferentialExpression:
    """Test every gene between two selections of cells, over donors, in each protocol by itself.

    Counts are summed by donor and selection, and tested as `titin.ageing.differential_expression` tests them. Donors
    that have both selections are compared with themselves (``~ donor + A``) if there are enough of them; else donors
    that have A alone with those that have B alone (``~ sex + study + chemistry + A``, as far as the dataset has these).
    A term that cannot be told from A is left out, and the notes of the test say so.

    Parameters
    ----------
    atlas
        The dataset.
    a, b
        Cells, as in ``atlas[cells]``: positions, a mask or names. No cell may be in both.
    method, min_cells, min_donors, min_count, threads, progress
        As for `titin.ageing.differential_expression`.

    Returns
    -------
    DifferentialExpression
        ``log2_fold_change`` is A against B: above zero, the gene is higher in A. Its ``tests`` say of each protocol the
        ``kind`` (``paired`` or ``between``), the ``formula``, ``donors_a`` and ``donors_b``.

    Raises
    ------
    TitinError
        If a selection is empty, they share cells, all cells are of one donor, they lie in different protocols, or the
        dataset has no counts or donors.

    Examples
    --------
    >>> found = compare_selections(atlas, atlas.query("sex=F").rows, atlas.query("sex=M").rows)  # doctest: +SKIP
    """
    check_counts(atlas)
    atlas = atlas.comparable()
    side = _sides(atlas, a, b)
    keys = cell_keys(atlas)
    keys = keys[[name for name in _KEYS if name in keys and keys[name].notna().any()]]
    counted = _count(keys, side)
    _refuse(counted)
    plans = plan_sides(counted, min_cells=min_cells, min_donors=min_donors)
    if not any(plan.kind for plan in plans):
        return _joined([], [(plan, "") for plan in plans], counted, {"method": METHODS.get(method, method)})
    sums = sum_groups(atlas, _groups(keys, side, plans), threads=threads, progress=progress)
    found, done = [], []
    for plan in plans:
        if plan.kind is None:
            done.append((plan, ""))
            continue
        own = _of_plan(sums, plan)
        formula = f"~ donor + {SIDE}" if plan.kind == "paired" else default_formula(SIDE, list(map(str, own.groups)))
        done.append((plan, formula))
        compared = expression_comparisons(own, contrast=SIDE, formula=formula, min_cells=min_cells,
                                          min_donors=min_donors, min_count=min_count, drop_confounded=True)  # fmt: skip
        found.append(compare_apart(compared, method))
    return _joined(found, done, counted, found[0].settings)


def _sides(atlas: Atlas, a: Any, b: Any) -> NDArray[np.int8]:
    """1 for cells of A, 0 for cells of B, -1 for all others."""
    of_a, of_b = (np.unique(atlas.cell_positions(cells)) for cells in (a, b))
    for name, cells in (("A", of_a), ("B", of_b)):
        if not len(cells):
            raise TitinError(f"{name} has no cells", "select some")
    both = len(np.intersect1d(of_a, of_b, assume_unique=True))
    if both:
        raise TitinError(f"A and B overlap: {both:,} cell{' is' if both == 1 else 's are'} in both",
                         "no cell can stand on both sides of a comparison: take from B what is in A")  # fmt: skip
    side = np.full(atlas.n_obs, -1, np.int8)
    side[of_a], side[of_b] = 1, 0
    return side


def _count(keys: pd.DataFrame, side: NDArray[np.int8]) -> pd.DataFrame:
    """One row a protocol and donor: how many cells of A (``a``) and of B (``b``)."""
    table = pd.DataFrame({
        "protocol": keys.get("protocol", ALL), "donor": keys["donor"],
        "a": side == 1, "b": side == 0,
    })  # fmt: skip
    return table[side >= 0].groupby(["protocol", "donor"], sort=True)[["a", "b"]].sum().reset_index()


def _refuse(cells: pd.DataFrame) -> None:
    donors = sorted(cells["donor"].unique())
    if not donors:
        raise TitinError("no cell of A and B has a donor", "donors are what is compared")
    if len(donors) == 1:
        raise TitinError(
            f"all these cells are of one donor, {donors[0]}",
            "its cells are no replicates of each other: nothing can be said beyond one person",
        )
    of_a, of_b = (sorted(cells["protocol"][cells[side] > 0].unique()) for side in "ab")
    if not set(of_a) & set(of_b):
        raise TitinError(
            f"A lies in the protocol {', '.join(of_a)}, B in {', '.join(of_b)}",
            "what differs between protocols cannot be told from what differs between A and B: take both of one",
        )


def _groups(keys: pd.DataFrame, side: NDArray[np.int8], plans: Sequence[SidesPlan]) -> CellGroups:
    """Cells that take part in some plan, by all that tells their donors apart."""
    protocol = keys["protocol"].to_numpy() if "protocol" in keys else np.full(len(keys), ALL, object)
    takes_part = np.zeros(len(keys), bool)
    for plan in plans:
        for mark, donors in ((1, plan.a), (0, plan.b)):
            takes_part |= (side == mark) & (protocol == plan.protocol) & keys["donor"].isin(donors).to_numpy()
    rows = np.flatnonzero(takes_part)
    own = keys.iloc[rows].reset_index(drop=True).assign(**{SIDE: side[rows].astype(np.float64)})
    found = group_by(own)
    codes = np.full(len(keys), -1, np.int32)
    codes[rows] = found.codes
    return CellGroups(found.table, codes)


def _of_plan(sums: Pseudobulk, plan: SidesPlan) -> Pseudobulk:
    if "protocol" not in sums.groups:
        return sums
    return sums.select((sums.groups["protocol"] == plan.protocol).to_numpy())


def _joined(
    found: Sequence[DifferentialExpression], plans: Sequence[tuple[SidesPlan, str]], cells: pd.DataFrame,
    settings: dict[str, Any],
) -> DifferentialExpression:  # fmt: skip
    """The results of all protocols as one."""
    n_cells = cells.groupby("protocol")[["a", "b"]].sum().sum(axis=1)
    about = {plan.protocol: (plan, formula) for plan, formula in plans}
    tests: list[dict[str, Any]] = []
    for test in (test for one in found for test in one.tests):
        plan, formula = about[str(test["protocol"])]
        tests.append({**test, "kind": plan.kind, "formula": formula, "donors_a": plan.a, "donors_b": plan.b,
                      "notes": [*plan.notes, *test["notes"]]})  # fmt: skip
    skipped = [entry for one in found for entry in one.skipped]
    skipped += [{"cell_type": ALL_CELLS, "protocol": plan.protocol, "reason": "; ".join(plan.notes),
                 layout.N_CELLS: int(n_cells[plan.protocol])}
                for plan, _ in plans if plan.kind is None]  # fmt: skip
    tables = [one.table for one in found if len(one.table)]
    table = adjust_across(pd.concat(tables, ignore_index=True)) if tables else pd.DataFrame(columns=COLUMNS)
    for column in ("cell_type", "protocol"):
        table[column] = table[column].astype("category")
    settings = {**settings, "contrast": SIDE, "unit": "",
                "formula": "; ".join(dict.fromkeys(formula for _, formula in plans if formula)),
                "effect": "A against B: above zero, the gene is higher in A"}  # fmt: skip
    return DifferentialExpression(table, settings=settings, tests=tests, skipped=skipped)


def _donors(n: int) -> str:
    return f"{n} donor{'' if n == 1 else 's'}"


def _told(names: Sequence[str]) -> str:
    if not names:
        return "none"
    return f"{len(names)} ({say_first(names, _NAMED)})"
