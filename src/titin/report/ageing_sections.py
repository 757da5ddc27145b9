"""What sections say of comparisons alike: what was left out, and what they were made with."""

import numpy as np
import pandas as pd

from titin.ageing import composition as compare_composition
from titin.ageing import meta_analysis
from titin.ageing.composition import CAVEAT as COMPOSITION_CAVEAT
from titin.ageing.enrichment import ranked_enrichment
from titin.ageing.fibres import MEASURES
from titin.ageing.fibres import fibres as find_fibres
from titin.ageing.programmes import CAVEAT
from titin.ageing.programmes import programmes as compare_programmes
from titin.ageing.programmes import senescence as compare_senescence
from titin.ageing.stem_cells import MARKERS, stem_cells
from titin.ageing.variance_partition import summarise, variance_partition
from titin.errors import TitinError
from titin.plot import (
    composition_by_age,
    fibre_types,
    forest,
    heat_map,
    ma_plot,
    pseudotime,
    trend,
    variance_parts,
    volcano,
)
from titin.report.context import MAX_STEM_CELLS, Context
from titin.report.sections import Section

ALPHA = 0.05


def unstack(column: pd.Series, level: str) -> pd.DataFrame:
    """A column with two levels of index as a table, that level across."""
    table: pd.DataFrame = column.unstack(level)  # noqa: PD010
    return table


def say_skipped(section: Section, table: pd.DataFrame) -> None:
    """Add what was not compared, by reason."""
    skipped = table.attrs.get("skipped", [])
    by_reason: dict[str, list[str]] = {}
    for entry in skipped:
        where = " in ".join(str(entry[k]) for k in ("cell_type", "protocol") if entry.get(k))
        by_reason.setdefault(entry["reason"], []).append(where or "all")
    lines = [f"{reason}: {', '.join(names)}" for reason, names in by_reason.items()]
    section.list(lines, title=f"Not compared ({len(skipped)})", folded=True)


def settings_of(table: pd.DataFrame) -> dict[str, object]:
    """What a comparison was made with."""
    names = ("method", "formula", "contrast", "unit", "age_cut", "min_cells", "min_donors", "filter", "normalisation",
             "adjustment", "cell_type_level", "min_counts", "min_fibres", "pure", "n_bootstraps", "seed")  # fmt: skip
    return {name: table.attrs[name] for name in names if table.attrs.get(name) is not None}


_VOLCANOES = 6
_SHARED = 30
_FEWEST = 6  # donors of a trend
_EXPECTED = {
    "CCL2": "up",
    "CDKN1A": "up",
    "MYH8": "up",
    "NOP56": "down",
    "NOP58": "down",
    "POLR1A": "down",
    "GAR1": "down",
}


def composition(section: Section, context: Context) -> None:
    """Add fractions of types along age, and their tests."""
    cells = context.counts
    keys = [c for c in ("donor", "protocol") if c in cells.samples]
    if "donor" not in keys:
        raise TitinError("this dataset has no donors: fractions are compared between donors")
    section.say(f"One dot a donor. Note: {COMPOSITION_CAVEAT}.")
    about = [c for c in ("age", "sex") if c in cells.samples]
    counts = cells.counts.groupby([cells.samples[k] for k in keys]).sum()
    first = cells.samples.groupby(keys)[about].first() if about else pd.DataFrame(index=counts.index)
    shares = counts.div(counts.sum(axis=1), axis=0)
    long = shares.join(first).reset_index().melt([*keys, *about], var_name="cell_type", value_name="fraction")
    tests = compare_composition(cells)
    for protocol in sorted(long["protocol"].unique()) if "protocol" in long else ["all"]:
        own = long[long["protocol"] == protocol] if "protocol" in long else long
        common = own.groupby("cell_type")["fraction"].mean()
        kept = common[common > 0].sort_values(ascending=False).index[:12].tolist()
        axes = composition_by_age(own, color="sex" if "sex" in own else None, types=kept)
        n = own["donor"].nunique()
        section.figure(
            f"by_age_{protocol}", axes, f"Fractions of the most frequent types in {protocol}, n = {n} donors", own
        )
    clear = tests[tests["adj_p_value"] < ALPHA]
    section.facts |= {"tested": len(tests), "hits": len(clear)}
    said = ", ".join(f"{r.cell_type} in {r.protocol}" for r in clear.itertuples()) or "none"
    section.say(f"{len(clear)} of {len(tests)} types change beyond chance (adjusted p < {ALPHA}): {said}.")
    columns = ["cell_type", "protocol", "n_donors", "mean_fraction", "fold_change", "p_value", "adj_p_value"]
    section.table("tests", tests.sort_values("p_value"), "Tests of the fractions", rows=15, columns=columns)
    say_skipped(section, tests)
    context.parameters["composition"] = settings_of(tests)


def fibres(section: Section, context: Context) -> None:
    """Add fibre types by donor, and their trends."""
    found = find_fibres(context.atlas, seed=context.seed)
    for protocol in sorted(found.donors["protocol"].unique()) if "protocol" in found.donors else ["all"]:
        own = found.donors[found.donors["protocol"] == protocol] if "protocol" in found.donors else found.donors
        if own["type_1"].notna().any():
            axes = fibre_types(own)
            section.figure(
                f"types_{protocol}", axes, f"Fibre types of each donor in {protocol}, typed fibres on top", own
            )
        own = own[own["n_typed"] >= found.trends.attrs["min_fibres"]]
        if "age" in own and own["age"].notna().sum() >= _FEWEST:
            shown = own.rename(columns={"type_1_share": "share of MYH7", "label_type_1": "type I by label"})
            for column in ("share of MYH7", "type I by label"):
                if column in shown and shown[column].notna().any():
                    axes = trend(shown, x="age", y=column, color="sex" if "sex" in shown else None)
                    title = f"{column[0].upper()}{column[1:]} along age in {protocol}, one dot a donor"
                    section.figure(f"{column}_{protocol}", axes, title, shown)
    section.list(found.trends["statement"].tolist(), title="Adjusted for sex and chemistry as far as known:")
    section.table("trends", found.trends.drop(columns=["statement"]), "Trends with age")
    section.table("donors", found.donors, "Fibre types of each donor", rows=40)
    section.list([f"{name}: {text}" for name, text in MEASURES.items()], title="What is measured", folded=True)
    say_skipped(section, found.trends)
    context.parameters["fibres"] = settings_of(found.trends)


def expression(section: Section, context: Context) -> None:
    """Add volcano plots, the clearest genes, and those shared by types."""
    table = context.expression
    tests = pd.DataFrame(table.attrs["tests"])
    if tests.empty:
        raise TitinError(f"no type could be tested: {table.attrs['skipped'][0]['reason']}" if table.attrs["skipped"]
                         else "no type could be tested")  # fmt: skip
    hits = table[table["adj_p_value"] < ALPHA]
    per_test = hits.groupby(["cell_type", "protocol"], observed=True).size()
    section.facts |= {"comparisons": len(tests), "hits": len(hits)}
    section.say(
        f"{len(tests)} comparisons of a type in a protocol, with donors as the replicates; {len(hits):,} genes at "
        f"adjusted p < {ALPHA}. Effects are log2 fold changes a decade ({table.attrs['formula']})."
    )
    order = tests.assign(
        hits=[int(per_test.get((t, p), 0)) for t, p in zip(tests["cell_type"], tests["protocol"], strict=True)]
    )
    order["n_donors"] = order["donors"].map(len)
    order = order.sort_values(["hits", "n_cells"], ascending=False, kind="stable")
    for i, row in enumerate(order.head(_VOLCANOES).itertuples()):
        own = table[(table["cell_type"] == row.cell_type) & (table["protocol"] == row.protocol)]
        name = f"{row.cell_type} in {row.protocol}, n = {row.n_donors} donors"
        section.figure(
            f"volcano_{row.cell_type}_{row.protocol}", volcano(own, xlabel="log2 fold change a decade"), name, own
        )
        if i == 0:
            axes = ma_plot(own, ylabel="log2 fold change a decade")
            section.figure(f"ma_{row.cell_type}_{row.protocol}", axes, f"The same against the mean: {name}", own)
    _shared(section, table)
    columns = [
        "gene",
        "cell_type",
        "protocol",
        "n_donors",
        "log2_fold_change",
        "ci_low",
        "ci_high",
        "p_value",
        "adj_p_value",
    ]
    section.table("top", table.sort_values("p_value").head(2000), "The clearest genes", columns=columns)
    section.table(
        "comparisons",
        order[["cell_type", "protocol", "n_donors", "n_cells", "n_genes", "hits"]],
        "Comparisons",
        rows=60,
    )
    _combined(section, table, columns)
    known = table[
        table["gene"].isin(list(_EXPECTED)) & table["cell_type"].astype(str).str.contains("MuSC|FB|MF-I", regex=True)
    ]
    if len(known):
        known = known.assign(expected=known["gene"].map(_EXPECTED)).sort_values(["gene", "p_value"])
        section.table("expected", known, "Genes that the study of human muscle found, with its direction", rows=30,
                      columns=["gene", "expected", *columns[1:]])  # fmt: skip
    say_skipped(section, table)
    context.parameters["differential expression"] = settings_of(table)


def _shared(section: Section, table: pd.DataFrame) -> None:
    where = table["cell_type"].astype(str) + " · " + table["protocol"].astype(str)
    data = table.assign(where=where)
    often = (
        data[data["adj_p_value"] < ALPHA].groupby("gene")["where"].nunique().sort_values(ascending=False, kind="stable")
    )
    genes = often[often > 1].index[:_SHARED].tolist()
    if len(genes) < 2:
        return
    own = data[data["gene"].isin(genes)].drop_duplicates(["gene", "where"])
    wide = unstack(own.set_index(["where", "gene"])["log2_fold_change"], "gene")[genes]
    clear = unstack(own.set_index(["where", "gene"])["adj_p_value"], "gene")[genes] < ALPHA
    axes = heat_map(wide, centre=0, label="log2 fold change a decade", marks=clear, x_label="gene", y_label="")
    section.figure("shared", axes, "Genes found in several comparisons; a dot where adjusted p < 0.05", own)


def _combined(section: Section, table: pd.DataFrame, columns: list[str]) -> None:
    try:
        both = meta_analysis(table)
    except TitinError as reason:
        section.say(f"Protocols are not combined: {reason.args[0]}.", kind="soft")
        return
    n = int((both["adj_p_value"] < ALPHA).sum())
    section.say(f"Protocols combined: {n:,} genes at adjusted p < {ALPHA}."
                + (f" Note: {both.attrs['caveat']}." if both.attrs.get("caveat") else ""))  # fmt: skip
    section.table("combined", both.sort_values("p_value").head(2000), "Both protocols combined", columns=columns)


def variance(section: Section, context: Context) -> None:
    """Add the parts of the genes' variance."""
    table = variance_partition(context.pseudobulk)
    terms = summarise(table)["term"].tolist()
    axes = variance_parts(table, terms=[*(t for t in terms if t != "residual"), "residual"])
    section.figure("shares", axes, f"Variance of {len(table):,} genes over {table.attrs['n_units']} types of donors",
                   table.drop(columns=["gene_id"]))  # fmt: skip
    section.say(f"{table.attrs['summary']}. {table.attrs['method'].capitalize()}.")
    section.list(
        [f"{term}: {reason}" for term, reason in table.attrs["left_out"].items()], title="Left out", folded=True
    )
    section.facts |= {"order": table.attrs["order"], "mean": {t: float(np.mean(table[t])) for t in terms}}
    context.parameters["variance partition"] = {k: table.attrs[k] for k in ("min_cells", "min_log_cpm", "terms")}


AGEING_SECTIONS = (
    ("composition", "Composition with age", composition), ("fibres", "Fibre types", fibres),
    ("expression", "Differential expression with age", expression),
)  # fmt: skip
VARIANCE_SECTION = ("variance", "Where the variance lies", variance)  # fmt: skip


def programmes(section: Section, context: Context) -> None:
    """Add gene-set scores over donors, and the enrichment of differential expression."""
    found = compare_programmes(context.atlas, scores=context.scores)
    tests = found.tests
    section.say(
        f"Scores of the cells: {context.scores.attrs.get('method')}; donors' means are compared. Note: {CAVEAT}."
    )
    section.facts |= {"sets": context.scores.shape[1], "hits": int((tests["adj_p_value"] < ALPHA).sum())}
    if len(tests):
        best = tests.sort_values("p_value").head(20)
        best = best.assign(name=best["feature"] + " · " + best["cell_type"] + " · " + best["protocol"])
        section.figure(
            "clearest",
            forest(best, label="name", xlabel="change of the score a decade"),
            "The clearest programmes",
            best,
        )
        wide = tests.assign(where=tests["cell_type"] + " · " + tests["protocol"])
        kept = wide.groupby("feature")["p_value"].min().sort_values().index[:30]
        wide = wide[wide["feature"].isin(kept)].set_index(["feature", "where"])
        marks = unstack(wide["adj_p_value"], "where") < ALPHA
        table = unstack(wide["t"], "where")
        axes = heat_map(table, centre=0, label="t of the change a decade", marks=marks, x_label="", y_label="")
        section.figure("all", axes, "Programmes by type; a dot where adjusted p < 0.05", tests)
    section.table("tests", tests.sort_values("p_value"), "Tests of the programmes")
    try:
        enriched = ranked_enrichment(context.expression)
    except TitinError as reason:
        section.say(f"No enrichment of differential expression: {reason.args[0]}.", kind="soft")
    else:
        section.table(
            "enrichment", enriched.sort_values("p_value"), "Sets that differential expression favours (ranked test)"
        )
    say_skipped(section, tests)
    context.parameters["programmes"] = {**context.scores.attrs.get("parameters", {}), **settings_of(tests)}


def senescence(section: Section, context: Context) -> None:
    """Add scores of senescence and inflammation, and the detection of single genes."""
    found = compare_senescence(context.atlas, scores=context.scores)
    section.say(f"Note: {found.tests.attrs['caveat']}.")
    best = found.tests.dropna(subset=["p_value"]).sort_values("p_value").head(20)
    if len(best):
        best = best.assign(name=best["feature"] + " · " + best["cell_type"] + " · " + best["protocol"])
        section.figure("clearest", forest(best, label="name", xlabel="change a decade"), "The clearest changes", best)
    seen = found.detection
    if len(seen):
        share = (seen["n_detected"] / seen["n_cells"]).to_numpy() * 100
        wide = unstack(seen.assign(share=share).set_index(["cell_type", "gene"])["share"], "gene")
        axes = heat_map(wide, label="% of cells", x_label="", y_label="cell type")
        section.figure("detection", axes, "Cells in which single genes were detected", seen)
    section.table("tests", found.tests.sort_values("p_value"), "Tests")
    if found.tests.attrs["missing_genes"]:
        section.say(f"Not in the dataset: {', '.join(found.tests.attrs['missing_genes'])}.", kind="soft")
    say_skipped(section, found.tests)


def stem(section: Section, context: Context) -> None:
    """Add muscle stem cells: subtypes, programmes, and the way to myocytes."""
    found = stem_cells(context.atlas, scores=context.scores, seed=context.seed, threads=context.threads,
                       max_cells=MAX_STEM_CELLS, n_bootstraps=200)  # fmt: skip
    best = found.tests.dropna(subset=["p_value"]) if len(found.tests) else found.tests
    if len(best):
        best = best.assign(name=best["feature"] + " · " + best["protocol"])
        section.figure(
            "changes", forest(best, label="name", xlabel="change a decade"), "Subtypes and programmes with age", best
        )
    facts = found.cells.attrs
    known = [gene for gene in MARKERS if gene in found.cells and found.cells[gene].gt(0).any()]
    if known and len(found.cells) >= 24:
        named = f" in {facts['protocol']}" if facts["protocol"] else ""
        axes = pseudotime(found.cells, markers=known)
        section.figure(
            "pseudotime", axes, f"Markers along the pseudotime of {facts['n_cells']:,} stem cells{named}", found.cells
        )
    order = found.markers.dropna(subset=["centre"])["marker"].tolist()
    section.say(f"Order along the pseudotime: {' → '.join(order)}; expected: {' → '.join(MARKERS)}.")
    section.table("markers", found.markers, "Markers along the pseudotime")
    section.table("tests", found.tests, "Tests")
    section.facts |= {"cells": facts["n_cells"], "order": order}
    say_skipped(section, found.tests)
    context.parameters["stem cells"] = dict(facts)


PROGRAMME_SECTIONS = (
    ("programmes", "Gene programmes", programmes), ("senescence", "Senescence and inflammation", senescence),
    ("stem", "Muscle stem cells", stem),
)  # fmt: skip
