"""Regulators in words and as JSON: what changes with age, and what is particular to each type."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from titin.ageing.analysis import by_reason, hits
from titin.ageing.terminal import say_files
from titin.ageing.verdict import clearest_first, join_some, say_changes
from titin.network.networks import Networks
from titin.network.regulator_activities import Activities
from titin.results import Result
from titin.study.gaps import say_left_out
from titin.text import count, json_safe, records_table
from titin.visible import visible

_KINDS = {"activity": "activities", "network": "networks", "figures": "figures"}
_SHOWN, _OF_TYPE, _TYPES = 12, 5, 40
_PLACES = 4
_TESTED = ["regulator", "cell_type", "protocol", "n_donors_tested", "n_targets", "effect", "ci_low", "ci_high",
           "p_value", "adj_p_value"]  # fmt: skip
_CHANGED = ["regulator", "cell_type", "protocol", "n_donors", "n_targets", "targets", "strength", "difference",
            "ci_low", "ci_high", "p_value", "adj_p_value"]  # fmt: skip
_STABLE = ["regulator", "target", "cell_type", "protocol", "n_donors", "weight", "stability", "correlation", "prior"]
_EVALUATED = ["cell_type", "protocol", "weights", "n_reference", "aupr", "aupr_ratio", "early_precision_ratio",
              "shuffled_aupr", "p_shuffled"]  # fmt: skip


def document(
    found: Mapping[str, Result], missing: Mapping[str, str], files: Sequence[Path], cell_types: Sequence[str] = (),
    synthetic: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """All that is told of activities and networks, JSON-safe.

    Parameters
    ----------
    found
        ``activity`` and ``network``, of what was asked for and could be computed.
    missing
        Why the other could not.
    files
        That were written.
    cell_types
        Those to show; all where empty.
    synthetic
        What the source says of data that are made up.
    """
    activity, network = found.get("activity"), found.get("network")
    return dict(json_safe({
        "schema_version": 1, "command": "network", "synthetic": synthetic, "missing": dict(missing),
        "activities": _of_activities(activity, cell_types) if isinstance(activity, Activities) else None,
        "networks": _of_networks(network, cell_types) if isinstance(network, Networks) else None,
        "files": [str(file) for file in files],
    }))  # fmt: skip


def _only(table: pd.DataFrame, cell_types: Sequence[str]) -> pd.DataFrame:
    return table[table["cell_type"].isin(list(cell_types))] if cell_types else table


def _of_activities(found: Activities, cell_types: Sequence[str]) -> dict[str, Any]:
    shown = _only(found.table, cell_types)
    return {**found.document(), "verdict": verdict(found), "hits": hits(found.table),
            "n_regulators": found.table["regulator"].nunique(), "not_tested": by_reason(found.skipped),
            "top": clearest_first(shown)[_TESTED].head(_SHOWN).to_dict("records"),
            "types": of_types(shown)}  # fmt: skip


def _of_networks(found: Networks, cell_types: Sequence[str]) -> dict[str, Any]:
    shown = _only(found.regulators, cell_types)
    edges = _only(found.table, cell_types)
    stable = edges.sort_values(["stability", "weight"], ascending=False, key=abs, kind="stable")
    notes = [{**test, "reason": note} for test in found.tests for note in test["notes"]]
    return {**found.document(), "verdict": network_verdict(found), "hits": hits(found.regulators),
            "n_edges": len(found.table), "not_tested": by_reason([*found.skipped, *found.without_comparison]),
            "notes_by_reason": by_reason(notes),
            "top": clearest_first(shown)[_CHANGED].head(_SHOWN).to_dict("records"),
            "most_stable": stable[_STABLE].head(_SHOWN).to_dict("records"),
            "evaluation": _only(found.evaluation, cell_types).to_dict("records")}  # fmt: skip


def verdict(found: Activities) -> str:
    """What changes, in a sentence without its full stop."""
    if found.not_compared:
        return f"Not evaluable: {found.not_compared}"
    return say_changes(found.table, found.settings, noun="regulator", label="regulator", how="in activity")


def of_types(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The most active regulators of each type and protocol, beside the other types: one entry a type."""
    found = []
    for (name, protocol), own in table.dropna(subset=["activity"]).groupby(["cell_type", "protocol"], sort=True):
        best = own.sort_values("rank", kind="stable").head(_OF_TYPE)
        found.append({"cell_type": name, "protocol": protocol, "n_donors": int(own["n_donors"].iloc[0]),
                      "n_cells": int(own["n_cells"].iloc[0]),
                      "most_active": dict(zip(best["regulator"], best["activity"], strict=True))})  # fmt: skip
    return found


def network_verdict(found: Networks) -> str:
    """Which regulators' weights change, in a sentence without its full stop."""
    if not len(found.table):
        largest = max(found.skipped, key=lambda entry: entry["n_cells"], default={"reason": "there is no cell type"})
        return f"Not evaluable: {largest['reason']}"
    return say_changes(found.regulators.rename(columns={"difference": "effect"}), found.settings, noun="regulator",
                       label="regulator", how="in strength")  # fmt: skip


def describe(told: Mapping[str, Any]) -> str:
    """Say of activities, then of networks, what changes, what each type has, and what was not tested."""
    lines = [visible(f"synthetic data: {told['synthetic']}"), ""] if told["synthetic"] else []
    if told["activities"] is not None:
        lines += [*_say_activities(told["activities"]), ""]
    if told["networks"] is not None:
        lines += [*_say_networks(told["networks"]), ""]
    lines += [visible(f"no {_KINDS[kind]}: {reason}") for kind, reason in told["missing"].items()]
    return "\n".join([*lines, *map(visible, say_files(told["files"]))])


def _say_activities(own: Mapping[str, Any]) -> list[str]:
    settings, lines = own["settings"], [visible(f"{own['verdict']}."), ""]
    unit = f" a {settings['unit']}" if settings.get("unit") else ""
    if own["top"]:
        lines += [f"clearest changes (effect in units of activity{unit}, with 95 % interval)",
                  records_table(own["top"]), ""]  # fmt: skip
    rows = [{"cell_type": one["cell_type"], "protocol": one["protocol"], "donors": one["n_donors"],
             "most active beside other types": ", ".join(f"{name} {value:.1f}"
                                                         for name, value in one["most_active"].items())}
            for one in own["types"][:_TYPES]]  # fmt: skip
    if rows:
        lines += [records_table(rows), ""]
    return [*lines, *_say_rest(own), f"{count(own['n_regulators'], 'regulator')} of {visible(settings['network'])}, "
            f"{settings['activity']}", f"note: {own['caveat']}"]  # fmt: skip


def _say_networks(own: Mapping[str, Any]) -> list[str]:
    settings, lines = own["settings"], [visible(f"{own['verdict']}."), ""]
    unit = f" a {settings['unit']}" if settings.get("unit") else ""
    if own["top"]:
        lines += [f"clearest changes of regulators (mean weight on their targets, difference{unit}, 95 % interval)",
                  records_table(own["top"]), ""]  # fmt: skip
    if own["most_stable"]:
        lines += ["most stable edges over draws of donors", records_table(own["most_stable"]), ""]
    if own["evaluation"]:
        rows = [{name: row[name] for name in _EVALUATED} for row in own["evaluation"][:_TYPES]]
        lines += ["edges of the reference found early (ratios: 1 is chance)", records_table(rows), ""]
    for reason, places in own["notes_by_reason"].items():
        lines.append(visible(f"note: {reason} ({join_some(places, _PLACES)})"))
    regulators = count(settings["n_regulators"], "regulator")
    return [*lines, *_say_rest(own), visible(f"{own['n_edges']:,} edges of {regulators} by {settings['backend']}"),
            f"note: {own['caveat']}"]  # fmt: skip


def _say_rest(own: Mapping[str, Any]) -> list[str]:
    """What was not tested, who took no part, and warnings."""
    lines = [visible(f"not tested: {reason} ({join_some(places, _PLACES)})")
             for reason, places in own["not_tested"].items()]  # fmt: skip
    lines += [visible(said) for said in say_left_out(own["cells_left_out"], own["donors_left_out"])]
    return lines + [visible(f"warning: {said}") for said in own["settings"].get("warnings", [])]
