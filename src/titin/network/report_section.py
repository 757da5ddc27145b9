"""What was found of regulators, as a section of the report: sentences, figures and tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from titin.ageing.analysis import ALPHA, by_reason, hits, unstack
from titin.ageing.verdict import clearest_first, say_unit
from titin.network.networks import Networks
from titin.network.regulator_activities import Activities
from titin.network.terminal import network_verdict, verdict
from titin.plot import activity_by_age, forest, heat_map, regulator_network
from titin.section import Section
from titin.text import count

_CLEAREST = 16  # changes in one figure
_BY_AGE, _ROWS_BY_AGE = 3, 16  # regulators with a figure by age, and types in each
_OF_TYPE, _ACROSS, _TYPES = 3, 40, 40  # most active regulators of a type, columns and rows of their figure
_DRAWN, _REGULATORS, _EDGES = 2, 5, 6  # networks, regulators of each, and edges of a regulator
_STABLE = 0.5  # share of draws from which an edge is drawn
_ROWS = 20
_PLACE = ["cell_type", "protocol"]
_TESTED = ["regulator", *_PLACE, "n_donors_tested", "n_targets", "effect", "ci_low", "ci_high", "p_value", "over_all"]
_STRENGTHS = ["regulator", *_PLACE, "n_donors", "n_targets", "targets", "strength", "difference", "ci_low", "ci_high",
              "p_value", "over_all"]  # fmt: skip
_SHOWN_EDGES = ["regulator", "target", *_PLACE, "n_donors", "weight", "stability", "correlation", "prior",
                "difference"]  # fmt: skip
_EVALUATED = [*_PLACE, "weights", "n_reference", "aupr", "aupr_ratio", "early_precision_ratio", "shuffled_aupr",
              "p_shuffled"]  # fmt: skip


def show_activities(section: Section, found: Activities) -> None:
    """Add how active regulators are: what changes with age, by donor, and what is particular to each type."""
    section.say(f"{verdict(found)}.")
    settings, table = found.settings, found.table
    section.say(f"{count(table['regulator'].nunique(), 'regulator')} of {settings['network']}, {settings['activity']}. "
                f"Note: {found.caveat}.", kind="soft")  # fmt: skip
    section.facts |= {"regulators": table["regulator"].nunique(), "activity_hits": hits(table)}
    tested = clearest_first(table)
    if len(tested):
        best = _named(tested.head(_CLEAREST))
        axes = forest(best, label="name", n="n_donors_tested", adj_p_value="over_all",
                      xlabel=f"change of activity{say_unit(settings)}")  # fmt: skip
        title = f"The clearest changes of activity; filled where p, adjusted over all tests, is below {ALPHA}"
        section.figure("clearest", axes, title, best)
    _show_by_age(section, found, list(dict.fromkeys(tested["regulator"]))[:_BY_AGE])
    _show_types(section, table)
    section.table("activities", tested if len(tested) else table, "The clearest changes of activity", rows=_ROWS,
                  columns=_TESTED if len(tested) else None)  # fmt: skip
    _say_skipped(section, found.skipped)


def show_networks(section: Section, found: Networks) -> None:
    """Add the strength of regulators, small networks of those that change most, and how well edges are found."""
    section.heading("Networks")
    section.say(f"{network_verdict(found)}.")
    settings, edges = found.settings, found.table
    if edges.empty:
        _say_skipped(section, found.skipped)
        return
    regulators = count(int(settings["n_regulators"]), "regulator")
    section.say(f"{len(edges):,} edges of {regulators} by {settings['backend']}. Note: {found.caveat}.", kind="soft")
    section.facts |= {"edges": len(edges), "strength_hits": hits(found.regulators)}
    tested = clearest_first(found.regulators)
    if len(tested):
        best = _named(tested.head(_CLEAREST))
        axes = forest(best, label="name", effect="difference", adj_p_value="over_all",
                      xlabel=f"change of strength{say_unit(settings)}")  # fmt: skip
        section.figure("strengths", axes, "The clearest changes of strength, the mean weight on a regulator's targets",
                       best)  # fmt: skip
    for own in small_networks(found):
        place = str(_places(own).iloc[0])
        axes = regulator_network(own)
        section.figure(f"network_{place}", axes, f"Regulators and their strongest edges: {place}, "
                       f"n = {own['n_donors'].iloc[0]} donors", own)  # fmt: skip
    section.table("strengths", tested if len(tested) else found.regulators, "The clearest changes of strength",
                  rows=_ROWS, columns=_STRENGTHS if len(tested) else None)  # fmt: skip
    stable = edges.sort_values(["stability", "weight"], ascending=False, key=abs, kind="stable")
    section.table("edges", stable, "The most stable edges over draws of donors", rows=_ROWS, columns=_SHOWN_EDGES)
    if len(found.evaluation):
        section.table("evaluation", found.evaluation, "Edges of the reference found early (ratios: 1 is chance)",
                      rows=_ROWS, columns=_EVALUATED)  # fmt: skip
    _say_skipped(section, [*found.skipped, *found.without_comparison])


def small_networks(found: Networks) -> list[pd.DataFrame]:
    """Edges of those types and protocols in which regulators change most: few enough to be drawn.

    Returns
    -------
    list of DataFrame
        Two at most, each rows of ``found.table``: of up to five regulators, those whose strength changes most clearly
        first, up to six strongest edges each, which half of the draws of donors have, where these have any.
    """
    edges = found.table
    steady = edges["stability"].isna() | (edges["stability"] >= _STABLE)
    edges = edges[steady] if steady.any() else edges
    order = clearest_first(found.regulators)[[*_PLACE, "regulator"]]
    strongest = edges.assign(size=edges["weight"].abs()).sort_values("size", ascending=False, kind="stable")
    order = pd.concat([order, strongest[[*_PLACE, "regulator"]]]).drop_duplicates()
    order = order.merge(edges[[*_PLACE, "regulator"]].drop_duplicates())
    drawn = []
    for place in order[_PLACE].drop_duplicates().head(_DRAWN).itertuples(index=False):
        wanted = order[(order[_PLACE] == list(place)).all(axis=1)]["regulator"].head(_REGULATORS)
        own = strongest[(strongest[_PLACE] == list(place)).all(axis=1) & strongest["regulator"].isin(wanted)]
        drawn.append(own.groupby("regulator", sort=False).head(_EDGES).drop(columns="size").reset_index(drop=True))
    return drawn


def _show_by_age(section: Section, found: Activities, regulators: Sequence[str]) -> None:
    """Add the activity of some regulators by type and age, types with the most donors first."""
    donors = found.donors
    if "age" not in donors:
        return
    enough = donors[(donors["n_cells"] >= found.settings["min_cells"]) & donors["age"].notna()]
    enough = enough[enough["feature"].isin(list(regulators))]
    enough = enough.assign(place=_places(enough))
    for regulator in regulators:
        own = enough[(enough["feature"] == regulator) & np.isfinite(enough["mean"])]
        sizes = own["place"].value_counts()
        rows = sorted(sizes[sizes > 1].head(_ROWS_BY_AGE).index)
        if rows:
            axes = activity_by_age(own, row="place", order=rows, label=f"activity of {regulator}")
            title = f"{regulator} in each type by age, relative to the type's donors"
            section.figure(f"by_age_{regulator}", axes, title, own.drop(columns="place"))


def _show_types(section: Section, table: pd.DataFrame) -> None:
    """Add the activity of each type beside the others, of the regulators that are most active in one."""
    known = table.dropna(subset=["activity"])
    known = known.assign(place=_places(known)).drop_duplicates(["place", "regulator"])
    sizes = known.groupby("place", sort=True)["n_cells"].max().sort_values(ascending=False, kind="stable")
    places = sizes.index[:_TYPES].tolist()
    best = known[(known["rank"] <= _OF_TYPE) & known["place"].isin(places)].sort_values("rank", kind="stable")
    best = best.sort_values("place", key=lambda own: own.map(places.index), kind="stable")  # along the diagonal
    regulators = list(dict.fromkeys(best["regulator"]))[:_ACROSS]
    if len(regulators) < 2:
        return
    own = known[known["regulator"].isin(regulators)]
    wide = unstack(own.set_index(["place", "regulator"])["activity"], "regulator").reindex(places)
    axes = heat_map(wide[regulators], centre=0, label="activity", missing="too few targets", x_label="regulator",
                    y_label="cell type")  # fmt: skip
    title = "Activity of each type beside the others of its protocol; the most active of each"
    section.figure("types", axes, title, own.drop(columns="place"))


def _named(tests: pd.DataFrame) -> pd.DataFrame:
    return tests.assign(name=tests["regulator"].astype(str) + " · " + _places(tests))


def _places(table: pd.DataFrame) -> pd.Series:
    """Type and protocol of each row, in words; a study of one protocol may not have a column of it."""
    where = table["protocol"] if "protocol" in table else ["all"] * len(table)
    pairs = zip(table["cell_type"], where, strict=True)
    return pd.Series([_say_place(name, protocol) for name, protocol in pairs], table.index, dtype=object)


def _say_place(cell_type: object, protocol: object) -> str:
    return str(cell_type) if protocol == "all" else f"{cell_type} in {protocol}"


def _say_skipped(section: Section, skipped: Sequence[dict[str, object]]) -> None:
    lines = [f"{reason}: {', '.join(names)}" for reason, names in by_reason(skipped).items()]
    section.list(lines, title=f"Not evaluable ({len(skipped)})", folded=True)
