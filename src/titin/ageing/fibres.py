"""Which labels of an atlas stand for muscle fibres and muscle stem cells, by what they are called."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.comparison import protocols
from titin.ageing.donor_means import DonorMeans, compare_donor_means, donor_means
from titin.ageing.moderated import Floats
from titin.atlas import Atlas
from titin.errors import TitinError
from titin.study.groups import AGE, choose_level, level_name

_FIBRE = re.compile(
    r"^MF\b|^Hyb\b|^Specialised MF|myofib|myonucle|muscle (?:fib|cell)|fast|slow|type[ _-]?I+|^I+[ABX]?$", re.I
)
_NO_FIBRE = re.compile(r"smooth|stem|satellite|progenitor|fibroblast|^Immune", re.I)
_FAST = re.compile(r"(?:^|[-_ ])II(?![IV])|fast", re.I)
_SLOW = re.compile(r"(?:^|[-_ ])I(?![IVX])(?=$|[-_ (]|sc|sn)|slow", re.I)
_STEM = re.compile(r"musc|satellite|muscle stem|muscle precursor|muscle progenitor", re.I)


def fibre_labels(labels: Iterable[object]) -> list[str]:
    """Labels that stand for muscle fibres or their nuclei or fragments.

    Examples
    --------
    >>> fibre_labels(["MF-I", "MF-IIsc(fg)", "Hyb", "FB", "smooth muscle cell", "type I myofiber", "MuSC"])
    ['MF-I', 'MF-IIsc(fg)', 'Hyb', 'type I myofiber']
    """
    return [str(x) for x in labels if _FIBRE.search(str(x)) and not _NO_FIBRE.search(str(x))]


def fibre_type(label: object) -> str | None:
    """``I`` or ``II`` where a fibre's label says so, else None.

    Examples
    --------
    >>> [fibre_type(x) for x in ("MF-I", "MF-Isn(fg)", "MF-II", "MF-IIsc(fg)", "Hyb", "fast muscle cell", "type IIA")]
    ['I', 'I', 'II', 'II', None, 'II', 'II']
    """
    if _FAST.search(str(label)):
        return "II"
    return "I" if _SLOW.search(str(label)) else None


def stem_labels(labels: Iterable[object]) -> list[str]:
    """Labels that stand for muscle stem cells.

    Examples
    --------
    >>> stem_labels(["MuSC", "FB", "muscle satellite cell"])
    ['MuSC', 'muscle satellite cell']
    """
    return [str(x) for x in labels if _STEM.search(str(x))]


def missing_genes(atlas: Atlas, genes: Iterable[str]) -> list[str]:
    """Those of some genes that a dataset does not have."""
    return [gene for gene in genes if gene not in atlas]


def need_counts(atlas: Atlas, purpose: str) -> None:
    """Refuse a dataset without counts.

    Raises
    ------
    TitinError
        In one sentence.
    """
    if atlas.kind == "real":
        raise TitinError(
            f"this dataset has no counts: {purpose}",
            "build it from a source with counts, or with --layer or --raw if the source has them there",
        )


MYOSINS = ("MYH7", "MYH2", "MYH1")  # types I, IIA, IIX
PURE = 0.8  # share of one myosin from which a fibre is of that type
MIN_COUNTS = 3  # myosin counts of a cell, for it to be typed
MIN_FIBRES = 20  # of a donor
_TYPED = "myofibres"
MEASURES = {
    "type_1_share": "mean share of MYH7 in the counts of MYH7, MYH2 and MYH1, over a donor's fibres",
    "type_1": f"fibres with {PURE:.0%} MYH7 or more, of all typed",
    "type_2": f"fibres with {PURE:.0%} MYH2 and MYH1 or more, of all typed",
    "hybrid": "fibres of neither, of all typed", "type_2x": "fibres of type 2 with more MYH1 than MYH2, of all typed",
    "label_type_1": "cells labelled type I of those labelled type I or II",
}  # fmt: skip


_WORDS = {
    "type_1_share": "The share of MYH7", "type_1": "The share of type I fibres",
    "type_2": "The share of type II fibres",
    "hybrid": "The share of hybrid fibres", "type_2x": "The share of type IIX fibres",
    "label_type_1": "The share of type I by labels",
}  # fmt: skip


@dataclass(frozen=True)
class Fibres:
    """Fibre types of donors, and their trend.

    Attributes
    ----------
    donors
        One row a donor and protocol: ``age``, ``sex``, ``n_fibres`` (labelled so), ``n_typed`` (with enough myosin
        counts), the measures of `MEASURES`, ``ratio_1_to_2`` (fibres of type 1 for
        one of type 2, missing where there is none), ``n_label_type_1`` and ``n_label_type_2``.
    trends
        One row a measure and protocol: ``effect`` a decade with its 95 % interval, ``p_value``, ``detectable``,
        as of `compare_donor_means`; and without other terms ``slope`` a decade with its interval by resampling donors
        (``bootstrap_low``, ``bootstrap_high``), and the ``statement`` in words.
    """

    donors: pd.DataFrame
    trends: pd.DataFrame


def fibres(
    atlas: Atlas,
    *,
    labels: Sequence[str] | None = None,
    cell_type_level: int | str | None = None,
    formula: str | None = None,
    min_counts: int = MIN_COUNTS,
    min_fibres: int = MIN_FIBRES,
    n_bootstraps: int = 2000,
    seed: int = 0,
) -> Fibres:
    """Type muscle fibres by their myosins and follow the types with age.

    Parameters
    ----------
    atlas
        The dataset.
    labels
        Cell types that are fibres; those whose names say so where not given.
    cell_type_level
        Name of the level, or its place; the coarsest where not given.
    formula
        For the trend; ``~ sex + chemistry + age`` as far as the dataset has them, where not given.
    min_counts
        Counts of the three myosins together that a cell needs to be typed.
    min_fibres
        Typed fibres of a donor, for it to take part in the trend.
    n_bootstraps, seed
        Resamplings of the donors.

    Raises
    ------
    TitinError
        In one sentence, if the dataset lacks counts, donors, cell types, fibres, or one of the myosins. Without ages
        there are donors, and no trends.

    Notes
    -----
    Cells of other fibres bring their myosins along as ambient RNA, more of it in cells than in nuclei: hybrids are
    overcounted where it is much.
    """
    need_counts(atlas, "the shares of the myosins in a fibre are shares of counts")
    absent = missing_genes(atlas, MYOSINS)
    if absent:
        raise TitinError(
            f"this dataset has no gene {' or '.join(absent)}: fibres are typed by {', '.join(MYOSINS)}",
            "an atlas of human muscle with gene symbols is needed",
        )
    named, level = _labelled(atlas, cell_type_level)
    chosen = fibre_labels(named.cat.categories) if labels is None else list(labels)
    inside = named.isin(chosen).to_numpy()
    if not inside.any():
        raise TitinError(
            f"this dataset has no muscle fibres: none of the labels of {level} is called as such",
            "name the labels that are fibres, if there are any",
        )
    typed = _type_fibres(atlas, inside, min_counts)
    by_label = named[inside].astype(str).map(fibre_type)
    means = _one_type(donor_means(atlas, typed, cell_type_level=level))
    kinds = by_label.dropna().eq("I").astype(float).rename("label_type_1").to_frame()
    label_means = _one_type(donor_means(atlas, kinds, cell_type_level=level)) if len(kinds) else None
    donors = _donor_table(means, label_means, named[inside], atlas)
    trends = _trends(means, label_means, formula, min_fibres, n_bootstraps, seed)
    trends.attrs |= {"labels": chosen, "cell_type_level": level, "min_counts": min_counts, "min_fibres": min_fibres,
                     "pure": PURE, "n_bootstraps": n_bootstraps, "seed": seed, "measures": MEASURES}  # fmt: skip
    return Fibres(donors, trends)


def _labelled(atlas: Atlas, level: int | str | None) -> tuple[pd.Series, str]:
    columns = {level_name(column): column for column in atlas.roles.get("cell_type") or []}
    name = choose_level(list(columns), level)
    return atlas.cell_columns(columns[name])[columns[name]].astype("category"), name


def _type_fibres(atlas: Atlas, inside: NDArray[np.bool_], min_counts: int) -> pd.DataFrame:
    """Share of MYH7 and class of every fibre with myosin counts enough; index cell_id."""
    counts = np.column_stack([atlas.counts_of(gene).to_numpy()[inside] for gene in MYOSINS]).astype(np.float64)
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
    means: DonorMeans, labels: DonorMeans | None, named: pd.Series, atlas: Atlas
) -> pd.DataFrame:  # fmt: skip
    if "donor" not in means.groups:
        raise TitinError("this dataset has no donors: fibre types are compared between donors",
                         "build it again with --donor COLUMN")  # fmt: skip
    keys = [k for k in ("donor", "protocol") if k in means.groups]
    table = _wide(means, keys).rename(columns={"n_cells": "n_typed"})
    everyone = donor_means(atlas, pd.DataFrame({"one": 1.0}, index=named.index))
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
    means: DonorMeans, labels: DonorMeans | None, formula: str | None, least: int, n: int, seed: int
) -> pd.DataFrame:
    parts: list[pd.DataFrame] = []
    attrs: dict[Any, Any] = {}
    for own in (means, labels):
        if own is None:
            continue
        try:
            table = compare_donor_means(own, formula=formula, min_cells=least)
        except TitinError as reason:
            attrs = {"skipped": [{"cell_type": None, "protocol": None, "reason": str(reason.args[0])}]}
            break
        attrs = attrs or dict(table.attrs)
        parts.append(table)
    if not parts:
        empty = pd.DataFrame(columns=["measure", "protocol", "n_donors", "effect", "slope", "statement"])
        empty.attrs = attrs
        return empty
    table = pd.concat(parts, ignore_index=True).rename(columns={"feature": "measure"}).drop(columns="cell_type")
    extra = [_bootstrap(labels if m == "label_type_1" and labels is not None else means, m, p, least, n, seed)
             for m, p in zip(table["measure"], table["protocol"], strict=True)]  # fmt: skip
    table = pd.concat([table, pd.DataFrame(extra)], axis=1)
    table["statement"] = [_say(row) for row in table.to_dict("records")]
    table.attrs = attrs
    return table


def _bootstrap(means: DonorMeans, measure: str, protocol: str, least: int, n: int, seed: int) -> dict[str, float]:
    """Slope a decade over donors alone, and the middle 95 % of it when donors are drawn with replacement."""
    rows = next(rows for name, rows in protocols(means.groups) if name == protocol)
    chosen = DonorMeans(means.groups.iloc[rows].reset_index(drop=True), means.means.iloc[rows].reset_index(drop=True))
    long = chosen.by_donor()
    long = long[(long["feature"] == measure) & (long["n_cells"] >= least)].dropna(subset=[AGE, "mean"])
    x, y = long[AGE].to_numpy(float) / 10, long["mean"].to_numpy(float)
    drawn = np.random.default_rng(seed).integers(0, len(x), (n, len(x)))
    slopes = _slope(x[drawn], y[drawn])
    slopes = slopes[np.isfinite(slopes)]
    low, high = np.quantile(slopes, [0.025, 0.975]) if len(slopes) else (np.nan, np.nan)
    return {"slope": float(_slope(x[None], y[None])[0]), "bootstrap_low": float(low), "bootstrap_high": float(high)}


def _slope(x: Floats, y: Floats) -> Floats:
    x = x - x.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope: Floats = (x * y).sum(axis=1) / (x**2).sum(axis=1)
    return np.where((x**2).sum(axis=1) > 1e-9, slope, np.nan)


def _say(row: Mapping[Any, Any]) -> str:
    effect, low, high, p = (float(row[k]) for k in ("effect", "ci_low", "ci_high", "p_value"))
    n, detectable = int(row["n_donors"]), float(row["detectable"])
    clear = "changes" if p < 0.05 else "does not change beyond chance"
    return (
        f"{_WORDS[row['measure']]} {clear} with age in {row['protocol']}: {effect:+.3f} a decade "
        f"({low:+.3f} to {high:+.3f}; p = {p:.3g}; {n} donors); a change of ±{detectable:.3f} would be found in four "
        "of five such studies"
    )
