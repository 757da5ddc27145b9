"""What known ageing genes do with age: direction and interval over donors, reported and never judged."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titin.check._units import FEWEST_CELLS, Units, bundled, present, units
from titin.check.design import donor_ages
from titin.check.registry import Finding, Outcome, check

if TYPE_CHECKING:
    from titin.check.context import Context

_SETS = ("SenMayo", "GenAge_human", "CellAge_induces", "CellAge_inhibits")
_GENES = ("CDKN1A", "CDKN2A")
_FEWEST_DONORS = 4
_HINT = "all cell types together and not adjusted for sex or chemistry: a description, no test"


@check("biology.ageing", "What ageing genes do with age, reported without judgement.", severity="note", level="full",
       needs=("donor", "age", "counts"))  # fmt: skip
def ageing(context: "Context") -> Outcome:
    """Fit log2 counts in a million of each set (mean over its genes) to age, over donors, in each protocol.

    Counts of a donor's cells are summed first, all types together; the model is a straight line, its interval that of
    Student's t.
    """
    ages = donor_ages(context.obs, context.roles["age"], context.column("donor"))
    if ages is None:
        return Outcome(skipped="no donor's age can be read")
    by = units(context, ["donor", "protocol"])
    years = by.table["donor"].map(ages).to_numpy(float)
    library = np.maximum(by.sum(context.totals.n_counts), 1)
    sets = {name: bundled(context, name) for name in _SETS} | {g: present(context.atlas, [g]) for g in _GENES}
    sets = {name: genes for name, genes in sets.items() if genes}
    every = list(dict.fromkeys(g for genes in sets.values() for g in genes))
    counts = by.gene_counts(context.atlas, every)
    log_cpm = dict(zip(every, np.log2(1e6 * counts / library[:, None] + 1).T, strict=True))
    facts: dict[str, Any] = {}
    findings = []
    for name, genes in sets.items():
        score = np.mean([log_cpm[g] for g in genes], axis=0)
        fits = {arm: fit for arm, mine in _arms(by) if (fit := slope(years[mine], score[mine])) is not None}
        if not fits:
            continue
        facts[name] = {"genes": len(genes), "fits": fits}
        said = "; ".join(_say(arm, fit) for arm, fit in fits.items())
        what = name if name in _GENES else f"{name} ({len(genes)} genes)"
        findings.append(Finding(f"{what}, log2 expression a decade: {said}", hint=_HINT))
    if not facts:
        return Outcome(
            skipped=f"no ageing gene, or fewer than {_FEWEST_DONORS} donors of different age with {FEWEST_CELLS} cells"
        )
    return Outcome(
        findings, f"{len(log_cpm)} genes of {len(by.codes):,} cells, {by.table['donor'].nunique()} donors", facts
    )


def _arms(by: Units) -> list[tuple[str, NDArray[np.bool_]]]:
    """Units of each protocol that have enough cells."""
    enough = by.table["cells"].to_numpy() >= FEWEST_CELLS
    if "protocol" not in by.table:
        return [("all", enough)]
    return [(str(p), enough & (by.table["protocol"] == p).to_numpy(bool)) for p in by.table["protocol"].unique()]


def _say(arm: str, fit: dict[str, float]) -> str:
    where = "" if arm == "all" else f"{arm} "
    return f"{where}{fit['slope']:+.3f} [{fit['low']:+.3f}, {fit['high']:+.3f}] ({fit['donors']} donors)"


def slope(years: NDArray[np.float64], values: NDArray[np.float64]) -> dict[str, float] | None:
    """Least-squares change of a value in ten years, with its 95 % interval (Student's t) over donors.

    Returns
    -------
    dict
        ``slope``, ``low``, ``high`` and ``donors``; None for fewer than 4 donors, or all of one age.
    """
    from scipy.stats import t

    known = np.isfinite(years) & np.isfinite(values)
    x, y = years[known] / 10, values[known]
    if len(x) < _FEWEST_DONORS or np.ptp(x) == 0:
        return None
    x, y = x - x.mean(), y - y.mean()
    b = float(x @ y / (x @ x))
    error = float(np.sqrt(((y - b * x) ** 2).sum() / (len(x) - 2) / (x @ x)))
    half = float(t.ppf(0.975, len(x) - 2)) * error
    return {"slope": b, "low": b - half, "high": b + half, "donors": len(x)}
