"""Muscle fibres with age: typed by their myosins, donor by donor, and by their labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.analysis import Analysis, Findings, Inputs, main_result
from titin.ageing.comparison import Comparisons, adjust_across, left_out
from titin.ageing.donor_means import DonorMeans, cells_that_take_part, compare_donor_means, donor_means
from titin.ageing.linear_models import adjust
from titin.ageing.pseudobulk import HOW_TO_HAVE_COUNTS
from titin.ageing.verdict import say_changes
from titin.analysis_options import FORMULA, LABELS, LEVEL
from titin.atlas import Atlas
from titin.errors import TitinError, reason_of
from titin.plot import fibre_types, trend
from titin.presets import FibreTyping
from titin.section import Section
from titin.study.design import AGE, Study, choose_level, level_columns


def missing_genes(atlas: Atlas, genes: Iterable[str]) -> list[str]:
    """Those of some genes that a dataset does not have."""
    return [gene for gene in genes if gene not in atlas]


PURE = 0.8  # share of one myosin from which a fibre is of that type
MIN_COUNTS = 3  # myosin counts of a cell, for it to be typed
MIN_FIBRES = 20  # of a donor
_TYPED = "myofibres"
_FEWEST_OF_TREND = 6  # donors of a trend


def describe_measures(typing: FibreTyping) -> dict[str, str]:
    """Say what each measure of fibres is."""
    slow, fast_a, fast_x = typing.genes
    return {
        "type_1_share": f"mean share of {slow} in the counts of {slow}, {fast_a} and {fast_x}, over a donor's fibres",
        "type_1": f"fibres with {PURE:.0%} {slow} or more, of all typed",
        "type_2": f"fibres with {PURE:.0%} {fast_a} and {fast_x} or more, of all typed",
        "hybrid": "fibres of neither, of all typed",
        "type_2x": f"fibres of type 2 with more {fast_x} than {fast_a}, of all typed",
        "label_type_1": "cells labelled type I of those labelled type I or II",
    }


def _subjects(slow: str) -> dict[str, str]:
    """Measures as subjects of a sentence, by the slow myosin."""
    return {
        "type_1_share": f"The share of {slow}", "type_1": "The share of type I fibres",
        "type_2": "The share of type II fibres", "hybrid": "The share of hybrid fibres",
        "type_2x": "The share of type IIX fibres", "label_type_1": "The share of type I by labels",
    }  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Fibres(Comparisons):
    """Fibre types of donors, and their trend.

    Attributes
    ----------
    table
        One row a measure and protocol: ``effect`` a decade with its 95 % interval, ``p_value``, ``detectable``,
        as of `compare_donor_means`, and the ``statement`` in words; ``adj_p_value`` over the measures of a protocol.
    donors
        One row a donor and protocol: ``age``, ``sex``, ``n_fibres`` (labelled so), ``n_typed`` (with enough myosin
        counts), those of `measures`, ``ratio_1_to_2`` (fibres of type 1 for
        one of type 2, missing where there is none), ``n_label_type_1`` and ``n_label_type_2``.
    labels
        Cell types that were taken for fibres.
    genes
        Myosins of types I, IIA and IIX.
    measures
        What each measure is.
    """

    donors: pd.DataFrame
    labels: list[str]
    genes: list[str]
    measures: dict[str, str]


def fibres(
    atlas: Atlas,
    *,
    typing: FibreTyping | None = None,
    labels: Sequence[str] | None = None,
    cell_type_level: int | str | None = None,
    formula: str | None = None,
    min_counts: int = MIN_COUNTS,
    min_fibres: int = MIN_FIBRES,
) -> Fibres:
    """Type muscle fibres by their myosins and follow the types with age.

    Parameters
    ----------
    atlas
        The dataset.
    typing
        How fibres are found and typed; as the atlas's preset has it where not given.
    labels
        Cell types that are fibres; those whose names say so where not given.
    cell_type_level
        Name of the level, or its place; the coarsest where not given.
    formula
        For the trend; ``~ sex + study + chemistry + age`` as far as the dataset has them, where not given.
    min_counts
        Counts of the three myosins together that a cell needs to be typed.
    min_fibres
        Typed fibres of a donor, for it to take part in the trend.

    Raises
    ------
    TitinError
        In one sentence, if the preset says nothing of fibres, or the dataset lacks counts, donors, cell types, fibres,
        or one of the myosins. Without ages there are donors, and no trends.

    Notes
    -----
    Cells of other fibres bring their myosins along as ambient RNA, more of it in cells than in nuclei: hybrids are
    overcounted where it is much.
    """
    typing = typing or atlas.preset.fibres
    if typing is None:
        raise TitinError("the preset of this dataset says nothing of muscle fibres",
                         "give --preset muscle, or a preset with a section [fibres]")  # fmt: skip
    atlas.manifest.need_counts(HOW_TO_HAVE_COUNTS, "the shares of the myosins in a fibre are shares of counts")
    atlas = atlas.comparable()
    absent = missing_genes(atlas, typing.genes)
    if absent:
        raise TitinError(
            f"this dataset has no gene {' or '.join(absent)}: fibres are typed by {', '.join(typing.genes)}",
            "genes are needed by the symbols that the preset gives",
        )
    named, level = _labelled(atlas, cell_type_level)
    chosen = typing.labels.find(named.cat.categories) if labels is None else list(labels)
    labelled = named.isin(chosen).to_numpy()
    if not labelled.any():
        raise TitinError(
            f"this dataset has no muscle fibres: none of the labels of {level} is called as such",
            "name the labels that are fibres, if there are any",
        )
    asked = labelled | named.isna().to_numpy()  # what has no label may be one
    complete = cells_that_take_part(atlas, formula=formula, cell_type_levels=[level], among=asked)
    inside = complete.rows
    typed = _type_fibres(atlas, typing.genes, inside, min_counts)
    if typed.empty:
        raise TitinError(
            f"no fibre has {min_counts:,} count{'s' if min_counts != 1 else ''} or more of {', '.join(typing.genes)}: "
            "none can be typed", "give a smaller --min-counts, if the cells have any of these genes"
        )  # fmt: skip
    by_label = named[inside].astype(str).map(typing.type_of)
    means = _one_type(donor_means(atlas, typed, cell_type_level=level))
    kinds = by_label.dropna().eq("I").astype(float).rename("label_type_1").to_frame()
    label_means = _one_type(donor_means(atlas, kinds, cell_type_level=level)) if len(kinds) else None
    donors = _donor_table(means, label_means, named[inside], atlas, level)
    trends = _trends(typing, means, label_means, formula, min_fibres)
    done_with = {"cell_type_level": level, "min_counts": min_counts, "min_fibres": min_fibres, "pure": PURE}
    return Fibres(
        trends.table, tests=trends.tests, skipped=trends.skipped, donors=donors, labels=chosen,
        genes=list(typing.genes), measures=describe_measures(typing),
        settings={**trends.settings, **done_with}, **left_out(complete),
    )  # fmt: skip


def _labelled(atlas: Atlas, level: int | str | None) -> tuple[pd.Series, str]:
    columns = level_columns(atlas.roles)
    name = choose_level(list(columns), level)
    return Study.of(atlas).labels(columns[name]).astype("category"), name


def _type_fibres(atlas: Atlas, genes: Sequence[str], inside: NDArray[np.bool_], min_counts: int) -> pd.DataFrame:
    """Share of the slow myosin and class of every fibre with myosin counts enough; index cell_id."""
    names = atlas.main_names(genes).values()
    counts = np.column_stack([atlas.counts_of(name).to_numpy()[inside] for name in names]).astype(np.float64)
    total = counts.sum(axis=1)
    enough = total >= max(1, min_counts)
    shares = counts[enough] / total[enough, None]
    slow, fast = shares[:, 0] >= PURE, shares[:, 1:].sum(axis=1) >= PURE - 1e-12
    classes = {"type_1": slow, "type_2": fast, "hybrid": ~slow & ~fast, "type_2x": fast & (shares[:, 2] > shares[:, 1])}
    measures = {name: where.astype(np.float64) for name, where in classes.items()}
    return pd.DataFrame({"type_1_share": shares[:, 0], **measures}, index=atlas.obs_names[inside][enough])


def _one_type(means: DonorMeans) -> DonorMeans:
    return DonorMeans(means.groups.assign(cell_type=_TYPED), means.means)


def _donor_table(
    means: DonorMeans, labels: DonorMeans | None, named: pd.Series, atlas: Atlas, level: str
) -> pd.DataFrame:
    if "donor" not in means.groups:
        raise TitinError("this dataset has no donors: fibre types are compared between donors",
                         "build it again with --donor COLUMN")  # fmt: skip
    keys = [k for k in ("donor", "protocol") if k in means.groups]
    table = _wide(means, keys).rename(columns={"n_cells": "n_typed"})
    everyone = donor_means(atlas, pd.DataFrame({"one": 1.0}, index=named.index), cell_type_level=level)
    n = _wide(_one_type(everyone), keys)[[*keys, "n_cells"]].rename(columns={"n_cells": "n_fibres"})
    table = n.merge(table, on=keys, how="left")
    if labels is not None:
        own = _wide(labels, keys)
        own["n_label_type_1"] = (own["n_cells"] * own["label_type_1"]).round().astype(int)
        own["n_label_type_2"] = own["n_cells"] - own["n_label_type_1"]
        table = table.merge(own[[*keys, "label_type_1", "n_label_type_1", "n_label_type_2"]], on=keys, how="left")
    ratio = (table["type_1"] / table["type_2"]).where(table["type_2"] > 0)
    return table.assign(n_typed=table["n_typed"].fillna(0).astype(int), ratio_1_to_2=ratio)


def _wide(means: DonorMeans, keys: list[str]) -> pd.DataFrame:
    long = means.by_donor()
    about = [c for c in (AGE, "sex") if c in long]
    wide = long.set_index([*keys, "feature"])["mean"].unstack("feature")  # noqa: PD010
    first = long.drop_duplicates(keys).set_index(keys)[[*about, "n_cells"]]
    table: pd.DataFrame = first.join(wide).reset_index()
    return table


def _trends(
    typing: FibreTyping,
    means: DonorMeans,
    labels: DonorMeans | None,
    formula: str | None,
    least: int,
) -> Comparisons:
    """Trends of the measures by myosins and by labels; no rows, and the reason, where donors cannot be compared."""
    found: list[Comparisons] = []
    refused: list[dict[str, Any]] = []
    for own in (means, labels):
        if own is None:
            continue
        try:
            found.append(compare_donor_means(own, formula=formula, min_cells=least))
        except TitinError as reason:
            refused = [{"cell_type": None, "protocol": None, "reason": reason_of(reason)}]
            break
    if not found:
        empty = pd.DataFrame(columns=["measure", "protocol", "n_donors", "effect", "statement"])
        return Comparisons(empty, skipped=refused)
    tested = [own.table for own in found if len(own.table)] or [found[0].table]
    table = pd.concat(tested, ignore_index=True)
    table = table.rename(columns={"feature": "measure"}).drop(columns="cell_type")
    subjects = _subjects(typing.type_1_gene)
    table["adj_p_value"] = table.groupby("protocol")["p_value"].transform(lambda p: adjust(p.to_numpy(float)))
    table = adjust_across(table)
    table["statement"] = [_say(subjects[row["measure"]], row) for row in table.to_dict("records")]
    return replace(found[0], table=table, skipped=found[0].skipped + refused)


def _say(subject: str, row: Mapping[Any, Any]) -> str:
    effect, low, high, p = (float(row[k]) for k in ("effect", "ci_low", "ci_high", "adj_p_value"))
    n, detectable = int(row["n_donors"]), float(row["detectable"])
    clear = "changes" if p < 0.05 else "does not change beyond chance"
    return (
        f"{subject} {clear} with age in {row['protocol']}: {effect:+.3f} a decade "
        f"({low:+.3f} to {high:+.3f}; adjusted p = {p:.3g}; {n} donors); a change of ±{detectable:.3f} would be found "
        "in four of five such studies"
    )


def _run(inputs: Inputs, *, labels: Sequence[str] = (), **options: Any) -> Findings:
    return Findings({"": fibres(inputs.atlas, labels=labels or None, **options)})


def _verdict(findings: Findings) -> str:
    found = main_result(findings, Fibres)
    subjects = _subjects(found.genes[0])
    return say_changes(found.table, found.settings, noun="measure of fibres", label="measure",
                       name=lambda row: subjects[row["measure"]].replace("The", "the", 1))  # fmt: skip


def _statements(findings: Findings) -> list[str]:
    return [str(said) for said in main_result(findings, Fibres).table["statement"]]


def _show(section: Section, findings: Findings, inputs: Inputs) -> None:  # noqa: ARG001
    """Add fibre types by donor, and their trends."""
    found = main_result(findings, Fibres)
    donors, share = found.donors, f"share of {found.genes[0]}"
    for protocol in sorted(donors["protocol"].unique()) if "protocol" in donors else ["all"]:
        own = donors[donors["protocol"] == protocol] if "protocol" in donors else donors
        if own["type_1"].notna().any():
            title = f"Fibre types of each donor in {protocol}, typed fibres on top"
            section.figure(f"types_{protocol}", fibre_types(own, least=found.settings["min_fibres"]), title, own)
        own = own[own["n_typed"] >= found.settings["min_fibres"]]
        if "age" in own and own["age"].notna().sum() >= _FEWEST_OF_TREND:
            shown = own.rename(columns={"type_1_share": share, "label_type_1": "type I by label"})
            for column in (share, "type I by label"):
                if column in shown and shown[column].notna().any():
                    axes = trend(shown, x="age", y=column, color="sex" if "sex" in shown else None)
                    title = f"{column[0].upper()}{column[1:]} along age in {protocol}, one dot a donor"
                    section.figure(f"{column}_{protocol}", axes, title, shown)
    section.list(_statements(findings), title="Adjusted for sex and chemistry as far as known:")
    section.table("trends", found.table.drop(columns=["statement"]), "Trends with age")
    section.table("donors", donors, "Fibre types of each donor", rows=40)
    section.list([f"{name}: {text}" for name, text in found.measures.items()], title="What is measured", folded=True)


FIBRES = Analysis(
    name="fibres",
    title="Fibre types",
    summary="Fibre types by their myosins, with age.",
    help="""Type the muscle fibres of DATASET by their myosins, donor by donor, and follow the types with age.""",
    needs=("donor", "cell_type", "counts"),
    preset="fibres",
    result=Fibres,
    run=_run,
    show=_show,
    verdict=_verdict,
    statements=_statements,
    options=(
        LEVEL, FORMULA, LABELS,
        click.Option(["--min-counts"], type=click.IntRange(1), default=MIN_COUNTS, show_default=True,
                     help="Myosin counts of a cell, for it to be typed."),
    ),
)  # fmt: skip
