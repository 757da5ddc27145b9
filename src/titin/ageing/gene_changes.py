"""Genes that change with age, as an analysis: protocols apart and in one model, section and options."""

import inspect
from typing import Any

import click
import pandas as pd

from titin.ageing.analysis import (
    ALPHA,
    Analysis,
    Findings,
    Inputs,
    hits,
    main_result,
    refuse_untested,
    unstack,
)
from titin.ageing.comparison import ACROSS, extra_columns
from titin.ageing.differential_expression import DifferentialExpression, ExpressionMethod, compare_apart
from titin.ageing.expression_comparisons import ExpressionComparisons, expression_comparisons
from titin.ageing.joint_model import JOINT, JointModel, joint_model
from titin.ageing.verdict import say_genes, say_unit
from titin.analysis_options import (
    CONTRAST,
    DROP_CONFOUNDED,
    FORMULA,
    LEVEL,
    MALES_ONLY,
    MIN_CELLS,
    MIN_DONORS,
    method_option,
)
from titin.errors import TitinError, reason_of
from titin.plot import heat_map, ma_plot, volcano
from titin.presets import ExpectedAgeing
from titin.results import Result
from titin.section import Section
from titin.study.design import AGE
from titin.text import count

_VOLCANOES = 6
_SHARED = 30  # genes of the heat map
_ROWS = 2000  # of the tables of the clearest genes
_COLUMNS = ["gene", "cell_type", "protocol", "n_donors", "log2_fold_change", "ci_low", "ci_high", "adj_p_value",
            ACROSS]  # fmt: skip
_JOINT_COLUMNS = [*(name for name in _COLUMNS if name != "protocol"), "correlation", "interaction_p_value"]


def comparisons_of(inputs: Inputs, **options: Any) -> ExpressionComparisons:
    """The comparisons of a dataset with the options of `expression_comparisons`, made once for each."""
    known = inspect.signature(expression_comparisons).parameters
    chosen = {name: value for name, value in options.items() if value != known[name].default}
    extra = extra_columns(chosen.get("contrast", AGE), chosen.get("formula"), chosen.get("where"))
    return inputs.once(f"comparisons {chosen}", lambda: expression_comparisons(inputs.pseudobulk(extra), **chosen))


def expression_of(inputs: Inputs, *, method: ExpressionMethod = "voom", **options: Any) -> DifferentialExpression:
    """Differential expression of a dataset with the options of `differential_expression`, computed once for each."""
    compared = comparisons_of(inputs, **options)
    return inputs.once(("expression", method, id(compared)), lambda: compare_apart(compared, method))


def _run(
    inputs: Inputs, *, save_pseudobulk: bool = False, method: ExpressionMethod = "voom", **options: Any
) -> Findings:  # fmt: skip
    if save_pseudobulk:
        inputs.save_pseudobulk()
    found = expression_of(inputs, method=method, **options)
    try:
        return Findings({"": found, JOINT: joint_model(comparisons_of(inputs, **options))})
    except TitinError as reason:
        return Findings({"": found}, {JOINT: reason_of(reason)})


def _show(section: Section, findings: Findings, inputs: Inputs) -> None:
    """Add volcano plots, the clearest genes, and those shared by types."""
    found = main_result(findings, DifferentialExpression)
    refuse_untested(found)
    table = found.table
    tests = pd.DataFrame(found.tests)
    per_test = table[table["adj_p_value"] < ALPHA].groupby(["cell_type", "protocol"], observed=True).size()
    section.facts |= {"comparisons": len(tests), "genes": _n_genes(table), "hits": hits(table)}
    if "log2_fold_change" not in table:  # of a term of several columns
        section.table("top", table.sort_values("p_value").head(_ROWS), "The clearest genes")
        return
    section.say(
        f"{count(len(tests), 'comparison')} of a type in a protocol, with donors as the replicates; adjusted within "
        f"each comparison, {count(hits(table), 'test')} at p < {ALPHA}, of {count(_n_genes(table), 'gene')}. Effects "
        f"are log2 fold changes{say_unit(found.settings)} ({found.settings['formula']})."
    )
    tests["hits"] = [int(per_test.get(key, 0)) for key in zip(tests["cell_type"], tests["protocol"], strict=True)]
    tests["n_donors"] = tests["donors"].map(len)
    tests = tests.sort_values(["hits", "n_cells"], ascending=False, kind="stable")
    for i, row in enumerate(tests.head(_VOLCANOES).itertuples()):
        own = table[(table["cell_type"] == row.cell_type) & (table["protocol"] == row.protocol)]
        vif = found.vif(cell_type=row.cell_type, protocol=row.protocol)
        name = f"{row.cell_type} in {row.protocol}, n = {row.n_donors} donors, {vif}"
        place = f"{row.cell_type}_{row.protocol}"
        section.figure(f"volcano_{place}", volcano(own, xlabel=_effect(found)), name, own)
        if i == 0:
            axes = ma_plot(own, ylabel=_effect(found))
            section.figure(f"ma_{place}", axes, f"The same against the mean: {name}", own)
    _show_shared(section, found)
    section.table("top", table.sort_values("p_value").head(_ROWS), "The clearest genes", columns=_COLUMNS)
    columns = ["cell_type", "protocol", "n_donors", "n_cells", "n_genes", "vif", "hits"]
    section.table("comparisons", tests[columns], "Comparisons", rows=60)
    _show_joint(section, findings)
    _show_expected(section, table, inputs.atlas.preset.ageing)


def _n_genes(table: pd.DataFrame) -> int:
    """Genes that change in any type, each counted once."""
    return int(table.loc[table["adj_p_value"] < ALPHA, "gene"].nunique())


def _effect(found: Result) -> str:
    """The axis of effects, with what they are per."""
    return f"log2 fold change{say_unit(found.settings)}"


def _show_shared(section: Section, found: DifferentialExpression) -> None:
    table = found.table
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
    axes = heat_map(wide, centre=0, label=_effect(found), marks=clear, missing="not evaluable", x_label="gene",
                    y_label="")  # fmt: skip
    section.figure("shared", axes, "Genes found in several comparisons; a dot where adjusted p < 0.05", own)


def _show_joint(section: Section, findings: Findings) -> None:
    both = findings.results.get(JOINT)
    if not isinstance(both, JointModel):
        section.say(f"Protocols are not modelled together: {findings.missing[JOINT]}.", kind="soft")
        return
    differ = int((both.table["interaction_adj_p_value"] < ALPHA).sum())
    section.facts |= {"joint_hits": hits(both.table), "interaction_hits": differ}
    section.say(
        f"Protocols in one model, donors random: {count(_n_genes(both.table), 'gene')} at adjusted p < {ALPHA} within "
        f"a type; in {count(differ, 'test')} the effect differs between protocols."
        + (f" Note: {both.caveat}." if both.caveat else "")
    )
    table = both.table.sort_values("p_value")
    clear = table[table["adj_p_value"] < ALPHA]["cell_type"].value_counts()
    if len(clear) and clear.iloc[0]:
        name = str(clear.index[0])
        own = table[table["cell_type"] == name]
        said = f"{name}, protocols together, n = {own['n_donors'].max()} donors, {both.vif(cell_type=name)}"
        section.figure(f"volcano_{name}_{JOINT}", volcano(own, xlabel=_effect(both)), said, own)
    section.table(JOINT, table.head(_ROWS), "Protocols together", columns=_JOINT_COLUMNS)


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
    titin age de dataset --figures
    titin age de dataset --gene CDKN1A,GDF15 --cell-type FB
    titin age de dataset --cell-type-level 2 --contrast young_old
    titin age de dataset --males-only -o sensitivity

    All genes and types are tested, whatever is shown alone. Protocols are tested apart, and in one model with donors
    as random. Counts of a donor's cells are summed first: cells are no replicates.
    limma is voom with one prior for all genes; deseq2 needs pydeseq2.
    """,
    needs=("donor", "age", "counts"),
    result=DifferentialExpression,
    run=_run,
    show=_show,
    headline=True,
    narrowed_by=("gene", "cell_type"),
    verdict=lambda found: say_genes(main_result(found, Result).table, main_result(found, Result).settings),
    parts=("", JOINT),
    refuses_empty=True,
    options=(
        LEVEL, CONTRAST, FORMULA, MIN_DONORS, MIN_CELLS, DROP_CONFOUNDED, MALES_ONLY,
        method_option("voom", "limma", "trend", "deseq2", default="voom"),
        click.Option(["--save-pseudobulk"], is_flag=True, help="Put the pseudobulk into the dataset, for later runs."),
    ),
    reads_all=True,
)  # fmt: skip
