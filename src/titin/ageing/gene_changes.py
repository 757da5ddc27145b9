"""Genes that change with age, as an analysis: differential expression, its protocols combined, section and options."""

import inspect
from typing import Any

import click
import pandas as pd

from titin.ageing.analysis import (
    ALPHA,
    CONTRAST,
    DROP_CONFOUNDED,
    FORMULA,
    LEVEL,
    MALES_ONLY,
    MIN_CELLS,
    MIN_DONORS,
    Analysis,
    Findings,
    Inputs,
    hits,
    main_result,
    method_option,
    refuse_untested,
    unstack,
)
from titin.ageing.comparison import extra_columns
from titin.ageing.differential_expression import DifferentialExpression, differential_expression
from titin.ageing.meta_analysis import MetaAnalysis, meta_analysis
from titin.ageing.pseudobulk import write_pseudobulk
from titin.errors import TitinError
from titin.plot import heat_map, ma_plot, volcano
from titin.presets import ExpectedAgeing
from titin.section import Section
from titin.study.design import AGE

_VOLCANOES = 6
_SHARED = 30  # genes of the heat map
_ROWS = 2000  # of the tables of the clearest genes
_EFFECT = "log2 fold change a decade"
_COLUMNS = ["gene", "cell_type", "protocol", "n_donors", "log2_fold_change", "ci_low", "ci_high", "p_value",
            "adj_p_value"]  # fmt: skip


def expression_of(inputs: Inputs, **options: Any) -> DifferentialExpression:
    """Differential expression of a dataset with the options of `differential_expression`, computed once for each."""
    known = inspect.signature(differential_expression).parameters
    chosen = {name: value for name, value in options.items() if value != known[name].default}
    extra = extra_columns(chosen.get("contrast", AGE), chosen.get("formula"), chosen.get("where"))
    return inputs.once(f"expression {chosen}", lambda: differential_expression(inputs.pseudobulk(extra), **chosen))


def _run(
    inputs: Inputs, *, males_only: bool = False, save_pseudobulk: bool = False, **options: Any
) -> Findings:  # fmt: skip
    if save_pseudobulk:
        inputs.atlas = write_pseudobulk(inputs.atlas, progress=inputs.progress)
    where = inputs.males() if males_only else None
    found = expression_of(inputs, where=where, **options)
    try:
        return Findings({"": found, "meta": meta_analysis(found)})
    except TitinError as reason:
        return Findings({"": found}, {"meta": str(reason.args[0])})


def _show(section: Section, findings: Findings, inputs: Inputs) -> None:
    """Add volcano plots, the clearest genes, and those shared by types."""
    found = main_result(findings, DifferentialExpression)
    refuse_untested(found)
    table = found.table
    tests = pd.DataFrame(found.tests)
    per_test = table[table["adj_p_value"] < ALPHA].groupby(["cell_type", "protocol"], observed=True).size()
    section.facts |= {"comparisons": len(tests), "hits": hits(table)}
    section.say(
        f"{len(tests)} comparisons of a type in a protocol, with donors as the replicates; {hits(table):,} genes at "
        f"adjusted p < {ALPHA}. Effects are log2 fold changes a decade ({found.settings['formula']})."
    )
    tests["hits"] = [int(per_test.get(key, 0)) for key in zip(tests["cell_type"], tests["protocol"], strict=True)]
    tests["n_donors"] = tests["donors"].map(len)
    tests = tests.sort_values(["hits", "n_cells"], ascending=False, kind="stable")
    for i, row in enumerate(tests.head(_VOLCANOES).itertuples()):
        own = table[(table["cell_type"] == row.cell_type) & (table["protocol"] == row.protocol)]
        name, place = f"{row.cell_type} in {row.protocol}, n = {row.n_donors} donors", f"{row.cell_type}_{row.protocol}"
        section.figure(f"volcano_{place}", volcano(own, xlabel=_EFFECT), name, own)
        if i == 0:
            axes = ma_plot(own, ylabel=_EFFECT)
            section.figure(f"ma_{place}", axes, f"The same against the mean: {name}", own)
    _show_shared(section, table)
    section.table("top", table.sort_values("p_value").head(_ROWS), "The clearest genes", columns=_COLUMNS)
    columns = ["cell_type", "protocol", "n_donors", "n_cells", "n_genes", "hits"]
    section.table("comparisons", tests[columns], "Comparisons", rows=60)
    _show_combined(section, findings)
    _show_expected(section, table, inputs.atlas.preset.ageing)


def _show_shared(section: Section, table: pd.DataFrame) -> None:
    where = table["cell_type"].astype(str) + " · " + table["protocol"].astype(str)
    data = table.assign(where=where)
    often = data[data["adj_p_value"] < ALPHA].groupby("gene")["where"].nunique()
    often = often.sort_values(ascending=False, kind="stable")
    genes = often[often > 1].index[:_SHARED].tolist()
    if len(genes) < 2:
        return
    own = data[data["gene"].isin(genes)].drop_duplicates(["gene", "where"])
    wide = unstack(own.set_index(["where", "gene"])["log2_fold_change"], "gene")[genes]
    clear = unstack(own.set_index(["where", "gene"])["adj_p_value"], "gene")[genes] < ALPHA
    axes = heat_map(wide, centre=0, label=_EFFECT, marks=clear, x_label="gene", y_label="")
    section.figure("shared", axes, "Genes found in several comparisons; a dot where adjusted p < 0.05", own)


def _show_combined(section: Section, findings: Findings) -> None:
    both = findings.results.get("meta")
    if not isinstance(both, MetaAnalysis):
        section.say(f"Protocols are not combined: {findings.missing['meta']}.", kind="soft")
        return
    section.say(f"Protocols combined: {hits(both.table):,} genes at adjusted p < {ALPHA}."
                + (f" Note: {both.caveat}." if both.caveat else ""))  # fmt: skip
    table = both.table.sort_values("p_value").head(_ROWS)
    section.table("combined", table, "Both protocols combined", columns=_COLUMNS)


def _show_expected(section: Section, table: pd.DataFrame, expected: ExpectedAgeing) -> None:
    kept = table["gene"].isin(list(expected.genes))
    if expected.labels is not None:
        kept &= table["cell_type"].map(expected.labels.fits).astype(bool)
    if kept.any():
        known = table[kept].assign(expected=table["gene"][kept].map(expected.genes)).sort_values(["gene", "p_value"])
        columns = ["gene", "expected", *_COLUMNS[1:]]
        section.table("expected", known, expected.title, rows=30, columns=columns)


GENE_CHANGES = Analysis(
    name="de",
    section="expression",
    title="Differential expression with age",
    summary="Which genes change with age, type by type.",
    help="""Test every gene of DATASET for a change with age, in every cell type and protocol, over donors.

    \b
    titin age de dataset
    titin age de dataset --cell-type-level 2 --contrast young_old --format csv
    titin age de dataset --males-only -o sensitivity

    Protocols are tested apart and then combined. Counts of a donor's cells are summed first: cells are no replicates.
    limma is voom with one prior for all genes; deseq2 needs pydeseq2.
    """,
    needs=("donor", "age", "cell_type", "counts"),
    result=DifferentialExpression,
    run=_run,
    show=_show,
    parts=("", "meta"),
    refuses_empty=True,
    options=(
        LEVEL, CONTRAST, FORMULA, MIN_DONORS, MIN_CELLS, DROP_CONFOUNDED, MALES_ONLY,
        method_option("voom", "limma", "trend", "deseq2", default="voom"),
        click.Option(["--save-pseudobulk"], is_flag=True, help="Put the pseudobulk into the dataset, for later runs."),
    ),
)  # fmt: skip
