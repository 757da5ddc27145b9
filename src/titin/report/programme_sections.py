"""Sections on gene programmes, senescence and muscle stem cells."""

from titin.ageing.enrichment import ranked_enrichment
from titin.ageing.programmes import CAVEAT
from titin.ageing.programmes import programmes as compare_programmes
from titin.ageing.senescence import senescence as compare_senescence
from titin.ageing.stem_cells import MARKERS, stem_cells
from titin.errors import TitinError
from titin.plot import forest, heat_map, pseudotime
from titin.report.comparisons import ALPHA, say_skipped, settings_of, unstack
from titin.report.context import MAX_STEM_CELLS, Context
from titin.report.sections import Section


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
