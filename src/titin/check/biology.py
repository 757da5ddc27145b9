"""Biology that can be told from the cells themselves: sex, nuclei, ageing genes, library size, doublets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom, mannwhitneyu

from titin.check.dataset import CheckedDataset, bundled, counts_of, present
from titin.check.findings import Finding, Outcome
from titin.check.registry import check
from titin.check.units import units
from titin.dataset.store import slices
from titin.study.combinations import Combinations
from titin.study.groups import CellGroups
from titin.study.vocabulary import protocol_of, sex_of
from titin.text import json_safe

FEWEST_CELLS = 20  # of a unit that is compared with others


_SETS = ("SenMayo", "GenAge_human", "CellAge_induces", "CellAge_inhibits")
_GENES = ("CDKN1A", "CDKN2A")
_FEWEST_DONORS = 4
_HINT = "all cell types together and not adjusted for sex or chemistry: a description, no test"


@check("biology.ageing", "What ageing genes do with age, reported without judgement.", severity="note", level="full",
       needs=("donor", "age", "counts"))  # fmt: skip
def ageing(dataset: CheckedDataset) -> Outcome:
    """Fit log2 counts in a million of each set (mean over its genes) to age, over donors, in each protocol.

    Counts of a donor's cells are summed first, all types together; the model is a straight line, its interval that of
    Student's t.
    """
    ages = dataset.study.donor_ages
    if ages is None:
        return Outcome(skipped="no donor's age can be read")
    by = units(dataset, ["donor", "protocol"])
    years = by.table["donor"].map(ages).to_numpy(float)
    library = np.maximum(by.sum(dataset.totals.n_counts), 1)
    sets = {name: bundled(dataset, name) for name in _SETS} | {g: present(dataset.atlas, [g]) for g in _GENES}
    sets = {name: genes for name, genes in sets.items() if genes}
    every = list(dict.fromkeys(g for genes in sets.values() for g in genes))
    counts = by.gene_counts(dataset.atlas, every)
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


def _arms(by: CellGroups) -> list[tuple[str, NDArray[np.bool_]]]:
    """Units of each protocol that have enough cells."""
    enough = by.table["n_cells"].to_numpy() >= FEWEST_CELLS
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
    from scipy.stats import linregress, t

    known = np.isfinite(years) & np.isfinite(values)
    decades = years[known] / 10
    if len(decades) < _FEWEST_DONORS or np.ptp(decades) == 0:
        return None
    line = linregress(decades, values[known])
    half = float(t.ppf(0.975, len(decades) - 2) * line.stderr)
    b = float(line.slope)
    return {"slope": b, "low": b - half, "high": b + half, "donors": len(decades)}


_EVIDENCE = 5  # cells with genes of one sex alone, from which a donor can be called
_EVIDENCE_OF_BOTH = 10  # from which a donor can be called a mixture
_CLEAR = 0.8  # share of them that calls it
_FEWEST_REFERENCES = 2  # units of the other sex with evidence, to call others beside them
_STRAY = 0.02  # cells of the other sex that seem to have such genes alone: stray RNA, reads placed wrongly
_CHANCE = 0.001  # that so many of them do; an error takes more than that, or
_LIKE_OTHERS = 0.25  # of the share of cells that have them in others of that sex
_FEWEST_DONORS_BIOLOGY = 2  # of cells and of nuclei, to compare the two
_CHANCE_PROTOCOL = 0.05  # of either measure; an error takes both to be less likely, over donors
_FOLD = 2.0  # from which a donor's library size stands out
_DOUBLETS = "doublet|scrublet"


@check("biology.sex", "XIST and the genes of the Y chromosome agree with each donor's recorded sex.",
       needs=("donor", "sex", "counts"))  # fmt: skip
def sex(dataset: CheckedDataset) -> Outcome:
    """Count the cells that express XIST alone and those that express genes of the Y chromosome alone.

    Cells with both (doublets, stray RNA) and with neither tell nothing. Done by donor, and then by sample.
    """
    female, male = bundled(dataset, "sex_female"), bundled(dataset, "sex_male")
    if not female or not male:
        return Outcome(skipped=f"the dataset has no {'XIST' if not female else 'gene of the Y chromosome'}")
    x, y = _expressed(dataset, female), _expressed(dataset, male)
    alone = x & ~y, y & ~x
    donors = _sexes(dataset, ["donor"], *alone)
    where = dataset.layout.sample_metadata
    wrong = donors[donors["contradicts"]]
    findings = [_contradiction(row, where, _exchanged(wrong)) for row in wrong.itertuples()]
    mixed = donors[donors["called"] == "mixed"]
    findings += [_mixture(row, where) for row in mixed.itertuples()]
    if dataset.missing("sample") is None:
        samples = _sexes(dataset, ["donor", "sample"], *alone)
        odd = samples[samples["contradicts"] & ~samples["donor"].isin(wrong["donor"])]
        findings += [_contradiction(row, where) for row in odd.itertuples()]
    evaluable = int(donors["called"].notna().sum())
    if not evaluable:
        return Outcome(skipped=f"no donor has {_EVIDENCE} cells with genes of one sex alone")
    read = f"{len(female) + len(male)} genes of {len(x):,} cells; {evaluable} of {len(donors)} donors evaluable"
    return Outcome(findings, read, {"donors": _records(donors)})


def _expressed(dataset: CheckedDataset, genes: Sequence[str]) -> NDArray[np.bool_]:
    """Which cells have any of some genes."""
    found = np.zeros(dataset.manifest.n_cells, bool)
    for gene in genes:
        found |= counts_of(dataset, gene) > 0
    return found


def _sexes(dataset: CheckedDataset, roles: Sequence[str], female: Any, male: Any) -> pd.DataFrame:
    """Recorded and expressed sex of each unit."""
    by, sexes = units(dataset, roles), dataset.study.values("sex")
    table = by.table.assign(female_cells=by.sum(female).astype(int), male_cells=by.sum(male).astype(int))
    alike = Combinations.of([by.codes, sexes], len(by.codes))
    recorded = pd.Series(sexes.iloc[alike.rows].astype("string").to_numpy())
    distinct = recorded.groupby(by.codes[alike.rows]).agg(lambda s: "|".join(sorted(s.dropna().unique())))
    table["recorded"] = [str(distinct.get(i, "")) for i in range(len(table))]
    total = table["female_cells"] + table["male_cells"]
    share = table["male_cells"] / total.where(total > 0, 1)
    called = np.select([total < _EVIDENCE, share >= _CLEAR, share <= 1 - _CLEAR], ["", "M", "F"], "mixed")
    called = np.where((called == "mixed") & (total < _EVIDENCE_OF_BOTH), "", called)
    table["called"] = pd.Series(called, dtype=object).replace("", None)
    table["certain"] = _certain(table)
    table["called"] = table["called"].where(table["called"].notna(), _called_beside_others(table))
    known = table["recorded"].map(sex_of)
    table["contradicts"] = table["called"].isin(["M", "F"]) & known.notna() & (table["called"] != known)
    return table


_OF = {"M": "male_cells", "F": "female_cells"}


def _certain(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether the genes by which a unit is called are no stray ones.

    They are not where about as many of its cells have them as in others that are called so, or, where there are no
    others, where more of its cells have them than reads placed wrongly would give.
    """
    evidence = np.where(table["called"] == "M", table["male_cells"], table["female_cells"])
    share = evidence / table["n_cells"].to_numpy()
    enough = binom.sf(evidence - 1, table["n_cells"], _STRAY) < _CHANCE
    for i, called in enumerate(table["called"]):
        others = share[(table["called"] == called).to_numpy() & (np.arange(len(table)) != i)]
        if len(others):
            enough[i] |= share[i] >= _LIKE_OTHERS * np.median(others)
    return np.asarray(enough & table["called"].isin(["M", "F"]).to_numpy())


def _called_beside_others(table: pd.DataFrame) -> pd.Series:
    """Sex of units with little evidence of their own, beside the shares of cells with evidence in those that have more.

    Called is the sex of which a unit has more such cells than stray reads give those of the other, or of whose
    opposite it has far fewer than they; never one against whom there is other evidence.
    """
    found = pd.Series(None, table.index, dtype=object)
    for sex, other in (("M", "F"), ("F", "M")):
        mine, theirs, n = table[_OF[sex]], table[_OF[other]], table["n_cells"]
        reference = table[table["called"] == other]
        if len(reference) < _FEWEST_REFERENCES:
            continue
        stray = (reference[_OF[sex]].sum() + 1) / (reference["n_cells"].sum() + 1)
        usual = float((reference[_OF[other]] / reference["n_cells"]).median())
        present = (mine >= 2) & (binom.sf(mine - 1, n, stray) < _CHANCE)
        lacking = binom.cdf(theirs, n, usual / 2) < _CHANCE
        found[(present | lacking) & (mine >= _CLEAR * (mine + theirs))] = sex
    return found


def _exchanged(wrong: pd.DataFrame) -> str:
    """Name two donors of whom each has the sex recorded of the other, if there are just these."""
    if len(wrong) == 2 and set(wrong["called"]) == {"M", "F"}:
        return f"donors {' and '.join(map(str, wrong['donor']))} exchanged for each other"
    return ""


def _contradiction(row: Any, where: str, exchanged: str = "") -> Finding:
    name = f"donor {row.donor}" + (f", sample {row.sample}" if hasattr(row, "sample") else "")
    like, unlike = ("male", "female") if row.called == "M" else ("female", "male")
    evidence = row.male_cells if row.called == "M" else row.female_cells
    said = f"expresses the genes of a {like}" if evidence else f"lacks the genes of a {unlike}"
    return Finding(
        f"{name} is recorded as {row.recorded} but {said} (of {row.n_cells:,} cells, "
        f"{row.female_cells:,} have XIST alone, {row.male_cells:,} genes of the Y chromosome alone)",
        where, "the sex may be recorded wrongly, or " + (exchanged or "the sample swapped with another"),
        "error" if row.certain else "warning",
    )  # fmt: skip


def _mixture(row: Any, where: str) -> Finding:
    return Finding(
        f"donor {row.donor} has cells of both sexes: of {row.n_cells:,}, {row.female_cells:,} have XIST alone, "
        f"{row.male_cells:,} genes of the Y chromosome alone",
        where, "its samples may be of two people, or of multiplexed ones not told apart", "warning",
    )  # fmt: skip


@check("biology.nuclei", "Nuclei have more MALAT1 and less mitochondrial RNA than cells.", level="full",
       needs=("protocol", "counts"))  # fmt: skip
def nuclei(dataset: CheckedDataset) -> Outcome:
    """Compare the protocols over donors, then each donor with its protocol."""
    by = units(dataset, ["donor", "protocol"])
    malat = present(dataset.atlas, ["MALAT1"])
    totals = dataset.totals
    table = by.table.assign(kind=by.table["protocol"].map(protocol_of))
    library = np.maximum(by.sum(totals.n_counts), 1)
    measures = {}
    if malat:
        measures["MALAT1"] = 1e4 * by.sum(counts_of(dataset, malat[0])) / library
    if totals.mitochondrial.any():
        measures["mitochondrial"] = 1e4 * by.sum(totals.mitochondrial) / library
    table = table.assign(**measures)
    arms = {k: table[(table["kind"] == k) & (table["n_cells"] >= FEWEST_CELLS)] for k in ("cells", "nuclei")}
    if not measures:
        return Outcome(skipped="neither MALAT1 nor mitochondrial genes are in the dataset")
    if min(map(len, arms.values())) < _FEWEST_DONORS_BIOLOGY:
        said = " and ".join(f"{len(arm)} have {FEWEST_CELLS} {kind} or more" for kind, arm in arms.items())
        return Outcome(skipped=f"{_FEWEST_DONORS} donors are needed on either side; {said}")
    medians = {k: {m: float(arm[m].median()) for m in measures} for k, arm in arms.items()}
    up = {"MALAT1": 1, "mitochondrial": -1}
    wrong = [m for m in measures if up[m] * (medians["nuclei"][m] - medians["cells"][m]) < 0]
    chance = {
        m: mannwhitneyu(up[m] * arms["nuclei"][m], up[m] * arms["cells"][m], alternative="less").pvalue for m in wrong
    }
    certain = [m for m in wrong if chance[m] <= _CHANCE_PROTOCOL]
    wrong = wrong if len(wrong) == len(up) else certain
    findings = []
    if wrong:
        said = "; ".join(
            f"{m} {medians['nuclei'][m]:,.1f} in nuclei, {medians['cells'][m]:,.1f} in cells" for m in wrong
        )
        findings = [Finding(f"nuclei look like cells ({said}; counts in 10,000, median over donors)",
                            dataset.layout.sample_metadata, "the protocols may be named the wrong way round",
                            "error" if len(certain) == len(up) else "warning")]  # fmt: skip
    else:
        findings = [
            _misplaced(dataset, by, i, row) for i, row in table.iterrows() if _other_arm(row, medians, measures)
        ]
    facts = {"units": _records(table), "medians": medians}
    return Outcome(findings, f"MALAT1 and mitochondrial genes of {len(by.codes):,} cells", facts)


def _other_arm(row: pd.Series, medians: dict[str, dict[str, float]], measures: Any) -> bool:
    """Whether each measure of a unit is nearer to the other protocol's median than to its own, in logarithms."""
    if row["kind"] is None or row["n_cells"] < FEWEST_CELLS:
        return False
    own, other = row["kind"], "cells" if row["kind"] == "nuclei" else "nuclei"
    far = [abs(np.log1p(row[m]) - np.log1p(medians[k][m])) for k in (own, other) for m in measures]
    return all(mine > theirs for mine, theirs in zip(far[: len(measures)], far[len(measures) :], strict=True))


def _misplaced(dataset: CheckedDataset, by: CellGroups, row: Any, values: pd.Series) -> Finding:
    other = "cells" if values["kind"] == "nuclei" else "nuclei"
    return Finding(
        f"{by.name(row)}: its {values['n_cells']:,} {values['kind']} look like {other} by MALAT1 and mitochondrial RNA",
        dataset.layout.sample_metadata, "its protocol may be recorded wrongly", "warning",
    )  # fmt: skip


@check("biology.library_size", "No donor's cells have far more or fewer counts than those of the others.",
       severity="note", level="full", needs=("donor", "counts"))  # fmt: skip
def library_size(dataset: CheckedDataset) -> Outcome:
    """Compare the median counts a cell of each donor with the median over donors, within protocol and chemistry."""
    by = units(dataset, ["donor", "protocol", "chemistry"])
    table = by.table.assign(median_counts=by.median(dataset.totals.n_counts))
    compared = table[table["n_cells"] >= FEWEST_CELLS].copy()
    arms = [role for role in ("protocol", "chemistry") if role in compared]
    medians = compared["median_counts"]
    typical = medians.groupby([compared[a] for a in arms]).transform("median") if arms else medians.median()
    compared["fold"] = medians / typical
    odd = compared[(compared["fold"] >= _FOLD) | (compared["fold"] <= 1 / _FOLD)]
    findings = [
        Finding(f"{by.name(i)}: the median cell has {row['median_counts']:,.0f} counts, "
                f"{row['fold']:.2g} times what is usual there",
                dataset.layout.sample_metadata, "use library size as a covariate; look at its quality")
        for i, row in zip(odd.index.tolist(), odd.to_dict("records"), strict=True)
    ]  # fmt: skip
    return Outcome(findings, f"counts of {len(by.codes):,} cells, {len(compared)} donors by protocol and chemistry",
                   {"units": _records(table)})  # fmt: skip


@check("biology.doublets", "Doublet scores are given, and no predicted doublet is left.", severity="note")
def doublets(dataset: CheckedDataset) -> Outcome:
    """Describe the columns of doublet scores and calls."""
    obs = dataset.obs
    columns = [c for c in obs.columns if pd.Series([str(c).lower()]).str.contains(_DOUBLETS).item()]
    if not columns:
        return Outcome(skipped="no column of doublet scores or calls")
    findings, facts, where = [], {}, dataset.layout.sample_metadata
    for column in columns:
        values = obs[column]
        if pd.api.types.is_numeric_dtype(values.dtype) and _are_several(values):
            low, middle, high, top = (float(v) for v in values.quantile([0.05, 0.5, 0.95, 1.0]))
            facts[str(column)] = {"q05": low, "median": middle, "q95": high, "max": top}
            continue
        called = values.astype("string").str.lower().isin(["true", "1", "1.0", "doublet", "yes"])
        facts[str(column)] = {"doublets": int(called.sum()), "share": float(called.mean())}
        if called.any():
            message = f"{column}: {int(called.sum()):,} cells ({called.mean():.1%}) are called doublets"
            findings.append(Finding(message, where, "leave them out where types are compared"))
    return Outcome(findings, f"{len(columns)} columns of {len(obs):,} cells", facts)


def _are_several(values: pd.Series) -> bool:
    """Whether there are more than two different numbers; no more are looked at than that takes."""
    found = set[Any]()
    for rows in slices(len(values)):
        found.update(values.iloc[rows].dropna().unique().tolist())
        if len(found) > 2:
            return True
    return False


@check("biology.cells_per_type", "Each cell type has cells of three donors or more.", severity="note",
       needs=("donor", "cell_type"))  # fmt: skip
def cells_per_type(dataset: CheckedDataset) -> Outcome:
    """Count donors by type, at the coarsest level."""
    level = dataset.roles["cell_type"][0]
    labels, donor = dataset.study.labels(level), dataset.study.values("donor")
    alike = Combinations.of([labels, donor], len(labels))
    pairs = alike.table({"label": labels, "donor": donor}).astype("string")
    table = pd.crosstab(pairs["label"], pairs["donor"], alike.n_cells, aggfunc="sum").fillna(0).astype(np.int64)
    donors, cells = (table > 0).sum(axis=1), table.sum(axis=1).to_dict()
    findings = [
        Finding(f"{name}: {int(cells[name]):,} cells of {int(n)} donor{'s' if n > 1 else ''}",
                f"{dataset.layout.sample_metadata}, {level}", "too few donors to compare them in this type")
        for name, n in donors.to_dict().items() if n < 3 and table.shape[1] >= 3
    ]  # fmt: skip
    facts = {"level": level, "cells": {str(t): {str(d): int(n) for d, n in row.items()} for t, row in table.iterrows()}}
    return Outcome(findings, f"{table.shape[0]} types of {table.shape[1]} donors", facts)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table of groups, JSON-safe, with the names that reports have for them."""
    rows: list[dict[str, Any]] = json_safe(table.rename(columns={"n_cells": "cells"}).to_dict("records"))
    return rows
