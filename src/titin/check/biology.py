"""Whether the cells are what their labels say: sex, protocol, cell type, and how much there is of each."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from titin.check import _ageing, _markers  # noqa: F401 - their checks belong here, in files of their own
from titin.check._units import FEWEST_CELLS, Units, bundled, present, protocol_kind, sex_of, units
from titin.check.registry import Finding, Outcome, check

if TYPE_CHECKING:
    from titin.check.context import Context

_EVIDENCE = 10  # cells with genes of one sex alone, from which a donor can be called
_CLEAR = 0.8  # share of them that calls it
_FEWEST_DONORS = 2  # of cells and of nuclei, to compare the two
_FOLD = 2.0  # from which a donor's library size stands out
_DOUBLETS = "doublet|scrublet"


@check("biology.sex", "XIST and the genes of the Y chromosome agree with each donor's recorded sex.",
       needs=("donor", "sex", "counts"))  # fmt: skip
def sex(context: "Context") -> Outcome:
    """Count the cells that express XIST alone and those that express genes of the Y chromosome alone.

    Cells with both (doublets, stray RNA) and with neither tell nothing. Done by donor, and then by sample.
    """
    female, male = bundled(context, "sex_female"), bundled(context, "sex_male")
    if not female or not male:
        return Outcome(skipped=f"the dataset has no {'XIST' if not female else 'gene of the Y chromosome'}")
    x, y = (np.any([context.atlas.counts_of(g).to_numpy() > 0 for g in genes], axis=0) for genes in (female, male))
    donors = _sexes(context, units(context, ["donor"]), x & ~y, y & ~x)
    where = context.layout.sample_metadata
    wrong = donors[donors["contradicts"]]
    findings = [_contradiction(row, where) for row in wrong.itertuples()]
    mixed = donors[donors["called"] == "mixed"]
    findings += [_mixture(row, where) for row in mixed.itertuples()]
    if context.missing("sample") is None:
        samples = _sexes(context, units(context, ["donor", "sample"]), x & ~y, y & ~x)
        odd = samples[samples["contradicts"] & ~samples["donor"].isin(wrong["donor"])]
        findings += [_contradiction(row, where) for row in odd.itertuples()]
    evaluable = int(donors["called"].notna().sum())
    if not evaluable:
        return Outcome(skipped=f"no donor has {_EVIDENCE} cells with genes of one sex alone")
    read = f"{len(female) + len(male)} genes of {len(x):,} cells; {evaluable} of {len(donors)} donors evaluable"
    return Outcome(findings, read, {"donors": _records(donors)})


def _sexes(context: "Context", by: Units, female: Any, male: Any) -> pd.DataFrame:
    """Recorded and expressed sex of each unit."""
    table = by.table.assign(female_cells=by.sum(female).astype(int), male_cells=by.sum(male).astype(int))
    recorded = pd.Series(context.column("sex").astype("string").to_numpy())
    distinct = recorded.groupby(by.codes).agg(lambda s: "|".join(sorted(s.dropna().unique())))
    table["recorded"] = [str(distinct.get(i, "")) for i in range(len(table))]
    total = table["female_cells"] + table["male_cells"]
    share = table["male_cells"] / total.where(total > 0, 1)
    called = np.select([total < _EVIDENCE, share >= _CLEAR, share <= 1 - _CLEAR], ["", "M", "F"], "mixed")
    table["called"] = pd.Series(called, dtype=object).replace("", None)
    known = table["recorded"].map(sex_of)
    table["contradicts"] = table["called"].isin(["M", "F"]) & known.notna() & (table["called"] != known)
    return table


def _contradiction(row: Any, where: str) -> Finding:
    name = f"donor {row.donor}" + (f", sample {row.sample}" if hasattr(row, "sample") else "")
    like = "male" if row.called == "M" else "female"
    return Finding(
        f"{name} is recorded as {row.recorded} but expresses the genes of a {like} (of {row.cells:,} cells, "
        f"{row.female_cells:,} have XIST alone, {row.male_cells:,} genes of the Y chromosome alone)",
        where, "the sex may be recorded wrongly, or the sample swapped with another",
    )  # fmt: skip


def _mixture(row: Any, where: str) -> Finding:
    return Finding(
        f"donor {row.donor} has cells of both sexes: of {row.cells:,}, {row.female_cells:,} have XIST alone, "
        f"{row.male_cells:,} genes of the Y chromosome alone",
        where, "its samples may be of two people, or of multiplexed ones not told apart", "warning",
    )  # fmt: skip


@check("biology.nuclei", "Nuclei have more MALAT1 and less mitochondrial RNA than cells.", level="full",
       needs=("protocol", "counts"))  # fmt: skip
def nuclei(context: "Context") -> Outcome:
    """Compare the protocols over donors, then each donor with its protocol."""
    by = units(context, ["donor", "protocol"])
    malat = present(context.atlas, ["MALAT1"])
    totals = context.totals
    table = by.table.assign(kind=by.table["protocol"].map(protocol_kind))
    library = np.maximum(by.sum(totals.n_counts), 1)
    measures = {}
    if malat:
        measures["MALAT1"] = 1e4 * by.sum(context.atlas.counts_of(malat[0]).to_numpy()) / library
    if totals.mitochondrial.any():
        measures["mitochondrial"] = 1e4 * by.sum(totals.mitochondrial) / library
    table = table.assign(**measures)
    arms = {k: table[(table["kind"] == k) & (table["cells"] >= FEWEST_CELLS)] for k in ("cells", "nuclei")}
    if not measures:
        return Outcome(skipped="neither MALAT1 nor mitochondrial genes are in the dataset")
    if min(map(len, arms.values())) < _FEWEST_DONORS:
        said = " and ".join(f"{len(arm)} have {FEWEST_CELLS} {kind} or more" for kind, arm in arms.items())
        return Outcome(skipped=f"{_FEWEST_DONORS} donors are needed on either side; {said}")
    medians = {k: {m: float(arm[m].median()) for m in measures} for k, arm in arms.items()}
    up = {"MALAT1": 1, "mitochondrial": -1}
    wrong = [m for m in measures if up[m] * (medians["nuclei"][m] - medians["cells"][m]) <= 0]
    findings = []
    if wrong:
        said = "; ".join(
            f"{m} {medians['nuclei'][m]:,.1f} in nuclei, {medians['cells'][m]:,.1f} in cells" for m in wrong
        )
        findings = [Finding(f"nuclei look like cells ({said}; counts in 10,000, median over donors)",
                            context.layout.sample_metadata, "the protocols may be named the wrong way round",
                            "error" if len(wrong) == 2 else "warning")]  # fmt: skip
    else:
        findings = [
            _misplaced(context, by, i, row) for i, row in table.iterrows() if _other_arm(row, medians, measures)
        ]
    facts = {"units": _records(table), "medians": medians}
    return Outcome(findings, f"MALAT1 and mitochondrial genes of {len(by.codes):,} cells", facts)


def _other_arm(row: pd.Series, medians: dict[str, dict[str, float]], measures: Any) -> bool:
    """Whether each measure of a unit is nearer to the other protocol's median than to its own, in logarithms."""
    if row["kind"] is None or row["cells"] < FEWEST_CELLS:
        return False
    own, other = row["kind"], "cells" if row["kind"] == "nuclei" else "nuclei"
    far = [abs(np.log1p(row[m]) - np.log1p(medians[k][m])) for k in (own, other) for m in measures]
    return all(mine > theirs for mine, theirs in zip(far[: len(measures)], far[len(measures) :], strict=True))


def _misplaced(context: "Context", by: Units, row: Any, values: pd.Series) -> Finding:
    other = "cells" if values["kind"] == "nuclei" else "nuclei"
    return Finding(
        f"{by.name(row)}: its {values['cells']:,} {values['kind']} look like {other} by MALAT1 and mitochondrial RNA",
        context.layout.sample_metadata, "its protocol may be recorded wrongly", "warning",
    )  # fmt: skip


@check("biology.library_size", "No donor's cells have far more or fewer counts than those of the others.",
       severity="note", level="full", needs=("donor", "counts"))  # fmt: skip
def library_size(context: "Context") -> Outcome:
    """Compare the median counts a cell of each donor with the median over donors, within protocol and chemistry."""
    by = units(context, ["donor", "protocol", "chemistry"])
    table = by.table.assign(median_counts=by.median(context.totals.n_counts))
    compared = table[table["cells"] >= FEWEST_CELLS].copy()
    arms = [role for role in ("protocol", "chemistry") if role in compared]
    medians = compared["median_counts"]
    typical = medians.groupby([compared[a] for a in arms]).transform("median") if arms else medians.median()
    compared["fold"] = medians / typical
    odd = compared[(compared["fold"] >= _FOLD) | (compared["fold"] <= 1 / _FOLD)]
    findings = [
        Finding(f"{by.name(i)}: the median cell has {row['median_counts']:,.0f} counts, "
                f"{row['fold']:.2g} times what is usual there",
                context.layout.sample_metadata, "use library size as a covariate; look at its quality")
        for i, row in zip(odd.index.tolist(), odd.to_dict("records"), strict=True)
    ]  # fmt: skip
    return Outcome(findings, f"counts of {len(by.codes):,} cells, {len(compared)} donors by protocol and chemistry",
                   {"units": _records(table)})  # fmt: skip


@check("biology.doublets", "Doublet scores are given, and no predicted doublet is left.", severity="note")
def doublets(context: "Context") -> Outcome:
    """Describe the columns of doublet scores and calls."""
    obs = context.obs
    columns = [c for c in obs.columns if pd.Series([str(c).lower()]).str.contains(_DOUBLETS).item()]
    if not columns:
        return Outcome(skipped="no column of doublet scores or calls")
    findings, facts, where = [], {}, context.layout.sample_metadata
    for column in columns:
        values = obs[column]
        if pd.api.types.is_numeric_dtype(values.dtype) and values.nunique() > 2:
            low, middle, high, top = (float(v) for v in values.quantile([0.05, 0.5, 0.95, 1.0]))
            facts[str(column)] = {"q05": low, "median": middle, "q95": high, "max": top}
            continue
        called = values.astype("string").str.lower().isin(["true", "1", "1.0", "doublet", "yes"])
        facts[str(column)] = {"doublets": int(called.sum()), "share": float(called.mean())}
        if called.any():
            message = f"{column}: {int(called.sum()):,} cells ({called.mean():.1%}) are called doublets"
            findings.append(Finding(message, where, "leave them out where types are compared"))
    return Outcome(findings, f"{len(columns)} columns of {len(obs):,} cells", facts)


@check("biology.cells_per_type", "Each cell type has cells of three donors or more.", severity="note",
       needs=("donor", "cell_type"))  # fmt: skip
def cells_per_type(context: "Context") -> Outcome:
    """Count donors by type, at the coarsest level."""
    level = context.roles["cell_type"][0]
    table = pd.crosstab(context.obs[level].astype("string"), context.column("donor").astype("string"))
    donors, cells = (table > 0).sum(axis=1), table.sum(axis=1).to_dict()
    findings = [
        Finding(f"{name}: {int(cells[name]):,} cells of {int(n)} donor{'s' if n > 1 else ''}",
                f"{context.layout.sample_metadata}, {level}", "too few donors to compare them in this type")
        for name, n in donors.to_dict().items() if n < 3 and table.shape[1] >= 3
    ]  # fmt: skip
    facts = {"level": level, "cells": {str(t): {str(d): int(n) for d, n in row.items()} for t, row in table.iterrows()}}
    return Outcome(findings, f"{table.shape[0]} types of {table.shape[1]} donors", facts)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table, JSON-safe."""
    plain = table.astype(object).where(table.notna(), None)
    rows = plain.to_dict("records")
    return [{str(k): v.item() if isinstance(v, np.generic) else v for k, v in row.items()} for row in rows]
