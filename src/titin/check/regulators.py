"""The tables of regulators that a dataset may hold; see `titin.network.write_regulator_tables`."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.kept_tables import read_told
from titin.check.registry import check
from titin.check.units import all_groups
from titin.dataset import layout
from titin.dataset.shapes import list_of, optional, record, text
from titin.study.groups import level_keys

_AGAIN = "find them anew: titin network --keep"
_TOLD = b"titin.regulators"
_PLACE = ["regulator", "cell_type", "protocol"]
_OF = optional(record({"settings": record({}, {"where": list_of(text())}), "verdict": text(), "caveat": text()}))
_SHAPE = record({"cell_type_level": text(), "activities": _OF, "networks": _OF})
_SHARES = ("p_value", "adj_p_value", "adj_p_value_across_types", "stability")
_EFFECTS = {
    "regulators": (("effect", ""), ("strength_difference", "strength_")),
    "regulator_edges": (("difference", ""),),
}
_SAID = 1e-9  # by which an effect may lie beyond its interval


@check("derived.regulators", "Regulators are told of donors, types and genes that the dataset has.")
def regulators(dataset: CheckedDataset) -> Outcome:
    """Names, donors with their ages and cells, tokens of targets, p and intervals."""
    names, store = dataset.layout, dataset.atlas.store
    told = read_told(dataset, names.regulation, _TOLD, _SHAPE, "regulators are not", _AGAIN)
    if isinstance(told, Outcome):
        return told
    tables = {part: store.table(getattr(names, part)).to_pandas() for part in
              ("regulators", "regulator_donors", "regulator_edges")}  # fmt: skip
    found = [finding for part, table in tables.items() for finding in _impossible(table, part, getattr(names, part))]
    if not found:
        found = [*_strangers(dataset, tables["regulator_donors"], told["cell_type_level"]),
                 *_targets(dataset, tables["regulator_edges"])]  # fmt: skip
    of = " and ".join(f"{len(table):,} {what}" for table, what in zip(
        tables.values(), ("changes", "values of donors", "edges"), strict=True))  # fmt: skip
    return Outcome(found, of)


def _impossible(table: pd.DataFrame, part: str, name: str) -> Iterator[Finding]:
    """Names that are missing or out of order, shares that are none, effects beyond their intervals."""
    keys = [*_PLACE, *(["donor"] if part == "regulator_donors" else ["target"] if part == "regulator_edges" else [])]
    lacking = [key for key in keys if table[key].isna().any()]
    if lacking:
        yield Finding(f"a {lacking[0]} is missing", f"{name}, column {lacking[0]}", _AGAIN)
        return
    texts = table[keys].astype(str)
    twice = np.flatnonzero(texts.duplicated())
    if len(twice):
        yield Finding(f"{', '.join(texts.iloc[twice[0]])} is there twice", f"{name}, row {int(twice[0]):,}", _AGAIN)
    order = texts["regulator"].tolist()
    if order != sorted(order):
        yield Finding("its rows are not in the order of the regulators", f"{name}, column regulator", _AGAIN)
    for column in [column for column in table if str(column).removeprefix("strength_") in _SHARES]:
        wrong = np.flatnonzero(~(table[column].isna() | table[column].between(0, 1)))
        if len(wrong):
            where = f"{name}, column {column}, row {int(wrong[0]):,}"
            yield Finding(f"{len(wrong):,} numbers are not between 0 and 1", where, _AGAIN)
    for effect, stem in _EFFECTS.get(part, ()):
        own, low, high = (table[column] for column in (effect, f"{stem}ci_low", f"{stem}ci_high"))
        wrong = np.flatnonzero((own < low - _SAID) | (own > high + _SAID))
        if len(wrong):
            where = f"{name}, column {effect}, row {int(wrong[0]):,}"
            yield Finding(f"{len(wrong):,} effects lie outside their intervals", where, _AGAIN)


def _strangers(dataset: CheckedDataset, table: pd.DataFrame, level: str) -> Iterator[Finding]:
    """Donors, types and protocols that the dataset does not have, or with more cells or other ages than there."""
    name, cells = dataset.layout.regulator_donors, all_groups(dataset)
    if level not in (*cells.levels, "all"):
        yield Finding(f"it is of {level!r}, which is no level of cell types", name, _AGAIN)
        return
    keys = level_keys(cells, level)
    places = ["donor", "cell_type", "protocol"]
    if "donor" not in keys:
        yield Finding("the dataset has no donor any more", name, _AGAIN)
        return
    known = keys.dropna(subset=places)
    known = known.assign(**{key: known[key].astype(str) for key in places}, age=known.get("age", np.nan))
    own = known.groupby(places).agg(cells=(layout.N_CELLS, "sum"), low=("age", "min"), high=("age", "max"))
    found = table.assign(**{key: table[key].astype(str) for key in places}).join(own, on=places)
    for wrong, said in (
        (found["cells"].isna(), "values are of a donor, type and protocol that have no cells"),
        (found[layout.N_CELLS] > found["cells"], "values are of more cells than the donor has"),
        ((found["age"] < found["low"] - _SAID) | (found["age"] > found["high"] + _SAID)
         | (found["age"].notna() & found["low"].isna() & found["cells"].notna()),
         "values are of another age than the donor's"),
    ):  # fmt: skip
        rows = np.flatnonzero(wrong)
        if len(rows):
            first = ", ".join(found[places].iloc[rows[0]])
            yield Finding(f"{len(rows):,} {said}: {first}", f"{name}, row {int(rows[0]):,}", _AGAIN)


def _targets(dataset: CheckedDataset, edges: pd.DataFrame) -> Iterator[Finding]:
    """Targets that are not the genes of their tokens."""
    name = dataset.layout.regulator_edges
    genes = np.array(dataset.atlas.store.table(dataset.layout.feature_metadata).column(layout.GENE).to_pylist(), object)
    token = edges[layout.TOKEN].to_numpy(np.int64)
    inside = (token >= 0) & (token < len(genes))
    named = genes[np.where(inside, token, 0)] if len(genes) else np.zeros(len(token), object)
    wrong = np.flatnonzero(~inside | (named != edges["target"].to_numpy(object)))
    if len(wrong):
        said = f"{len(wrong):,} targets are not the genes of their tokens: {edges['target'].iloc[wrong[0]]}"
        yield Finding(said, f"{name}, column {layout.TOKEN}, row {int(wrong[0]):,}", _AGAIN)
