"""Ages that a clock tells: of each donor, and by cell type, with intervals and with the acceleration of ageing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from titin.learn.metrics import regression_scores
from titin.results import Result
from titin.text import records_table

COLUMNS = ("age", "predicted", "low", "high", "difference", "acceleration")
LEAST_HELD_OUT = 5  # donors, for an interval
LEAST_REGRESSED = 5  # donors, for the line of predicted on true ages


@dataclass(frozen=True, eq=False, repr=False)
class ClockAges(Result):
    """Ages that a clock tells.

    Attributes
    ----------
    table
        One row a donor: ``donor``; ``age`` (years, NaN if unknown); ``predicted`` (years, median over the donor's
        units of all types); ``low``, ``high`` (prediction interval); ``difference`` (predicted less true);
        ``acceleration`` (residual of the regression of predicted on true age over these donors, see `accelerate`);
        ``n_units``, ``n_cells``; ``trained_on`` (whether a donor of this name, and of this age where it is known,
        trained the clock).
    by_type
        Likewise one row a donor and ``cell_type``, with the interval of the type.
    types
        One row a cell type: ``n_donors``, and the error where ages are known (``mae``, ``r2``), beside the one with
        training donors held out (``held_out_mae``) and whether the type has a clock of its own (``fitted``).
    clock
        What clock it was: model, dataset, held-out scores.
    genes
        How many it asks for, how many there are, and the share of the weight that the others carry.
    scores
        Over donors of known age that did not train it: ``mae``, ``rmse``, ``r2``, ``n_donors``, and ``baseline_mae``
        of telling everyone the mean age of the training donors.
    told
        Sentences on what cannot be said.
    """

    _: KW_ONLY
    by_type: pd.DataFrame = field(default_factory=pd.DataFrame)
    types: pd.DataFrame = field(default_factory=pd.DataFrame)
    clock: dict[str, Any] = field(default_factory=dict)
    genes: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)


def half_width(rmse: float | None, n_donors: int, coverage: float) -> float:
    """Half of a prediction interval, in years, from the errors of donors that were held out.

    Student's t with as many degrees of freedom as there are donors, times the root mean square of their errors: of one
    error a donor, in which both its own noise and that of the fit are. A conformal interval would need 19 donors for
    95 %. NaN for fewer than five donors.
    """
    from scipy.stats import t

    if rmse is None or n_donors < LEAST_HELD_OUT:
        return math.nan
    return float(t.ppf((1 + coverage) / 2, n_donors) * rmse)


def accelerate(age: ArrayLike, predicted: ArrayLike) -> NDArray[np.float64]:
    """Age acceleration: residuals of the least squares line of predicted on true age, in years.

    Unlike the difference, it does not fall with age, as predictions lean towards the mean, nor carry what two studies
    differ by. NaN for fewer than five donors of known age, or where all are of one age.

    References
    ----------
    Horvath, Genome Biology 14, R115 (2013); Horvath and Raj, Nat. Rev. Genet. 19, 371-384 (2018).
    """
    x, y = np.asarray(age, float), np.asarray(predicted, float)
    known = np.isfinite(x) & np.isfinite(y)
    found = np.full(len(x), np.nan)
    if known.sum() < LEAST_REGRESSED or np.ptp(x[known]) == 0:
        return found
    slope, intercept = np.polyfit(x[known], y[known], 1)
    found[known] = y[known] - (intercept + slope * x[known])
    return found


def tell_ages(units: pd.DataFrame, keys: Sequence[str], half: Mapping[str, float]) -> pd.DataFrame:
    """Bring units to donors, or donors and types.

    Parameters
    ----------
    units
        One row a unit: ``donor``, ``cell_type``, ``age``, ``predicted``, ``n_cells``.
    keys
        ``donor``, and perhaps ``cell_type``.
    half
        Half of the interval, by cell type; under ``""`` of all together.
    """
    grouped = units.groupby(list(keys), observed=True, sort=True)
    table = grouped.agg(age=("age", "median"), predicted=("predicted", "median"), n_units=("predicted", "size"),
                        n_cells=("n_cells", "sum")).reset_index()  # fmt: skip
    kinds = table["cell_type"] if "cell_type" in keys else pd.Series("", table.index)
    width = kinds.map(half).astype(float)
    table["low"], table["high"] = (table["predicted"] - width).clip(lower=0), table["predicted"] + width
    table["difference"] = table["predicted"] - table["age"]
    table["acceleration"] = np.nan
    for rows in table.groupby(kinds).indices.values():
        table.loc[rows, "acceleration"] = accelerate(table["age"].iloc[rows], table["predicted"].iloc[rows])
    return table[[*keys, *COLUMNS, "n_units", "n_cells"]]


def score_ages(table: pd.DataFrame, baseline: float) -> dict[str, float | int]:
    """Score donors of known age, one row each, beside telling everyone one age; nothing for fewer than two."""
    known = table[np.isfinite(table["age"]) & np.isfinite(table["predicted"])]
    if len(known) < 2:
        return {}
    scores = regression_scores(known["age"], known["predicted"])
    return {**{name: scores[name] for name in ("mae", "rmse", "r2")}, "n_donors": len(known),
            "baseline_mae": float((known["age"] - baseline).abs().mean())}  # fmt: skip


def document(ages: ClockAges, files: Sequence[str] = ()) -> dict[str, Any]:
    """What a clock tells, as JSON."""
    return {"schema_version": 1, **ages.document(), "donors": ages.table.to_dict("records"),
            "by_type": ages.by_type.to_dict("records"), "types": ages.types.to_dict("records"),
            "files": list(files)}  # fmt: skip


def describe(found: Mapping[str, Any]) -> str:
    """Lines for a terminal of a `document`."""
    clock, genes, scores = found["clock"], found["genes"], found["scores"]
    held = clock["scores"]
    lines = [f"clock {clock['model']['name']}, trained on {held['n_donors']} donors of {clock['dataset']['name']}: "
             f"MAE {held['mae']:.1f} years with each held out ({held['baseline_mae']:.1f} for the mean)",
             f"{genes['found']:,} of its {genes['asked']:,} genes are here"]  # fmt: skip
    lines += [f"· {sentence}" for sentence in found["told"]]
    if scores:
        lines.append(f"MAE {scores['mae']:.1f} years over {scores['n_donors']} donors of known age "
                     f"({scores['baseline_mae']:.1f} for the mean age of the training donors)")  # fmt: skip
    shown = [{key: row[key] for key in ("donor", *COLUMNS)} for row in _rounded(found["donors"])]
    lines += ["", "donors, years", records_table(shown)]
    if found["types"]:
        lines += ["", "cell types, years", records_table(_rounded(found["types"]))]
    return "\n".join([*lines, *(["", *(f"wrote {file}" for file in found["files"])] if found["files"] else [])])


def _rounded(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Numbers to a tenth of a year, as no clock is better; what is not known is empty."""
    return [{key: (None if not math.isfinite(value) else f"{value:.1f}") if isinstance(value, float) else value
             for key, value in row.items()} for row in rows]  # fmt: skip
