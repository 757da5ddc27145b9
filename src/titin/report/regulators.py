"""The section on regulators: those of a network that was given, or what `titin network` has left beside the dataset."""

from functools import partial

from titin.errors import TitinError
from titin.network import Activities, Networks, activities
from titin.network.report_section import show_activities, show_networks
from titin.network.results_beside import MADE_OF, SUFFIX, identify, read_beside
from titin.report.data import ReportData
from titin.results import Result
from titin.section import Section
from titin.study.design import level_columns

_AGAIN = "`titin network` computes them anew"


def regulators(section: Section, data: ReportData) -> None:
    """Add activities and networks; networks, which take minutes, are never computed here."""
    levels: list[str | None] = [*level_columns(data.atlas.roles)] or [None]
    kinds = ("activity", "network") if data.network is None else ("network",)
    found: list[Result] = []

    def look(kind: str) -> None:
        left = read_beside(data.folder, kind, levels)
        found.extend([] if left is None else [left])

    whole = [section.attempt(lambda: _show_given(section, data))] if data.network is not None else []
    whole += [section.attempt(partial(look, kind)) for kind in kinds]
    if not found and data.network is None and all(whole):
        raise TitinError("the regulators of this dataset have not been looked for: `titin network` does it")
    for one in found:
        section.attempt(partial(_show_left, section, data, one))


def _show_given(section: Section, data: ReportData) -> None:
    assert data.network is not None  # noqa: S101 - the caller has looked
    found = activities(data.inputs.pseudobulk(), data.network)
    show_activities(section, found)
    data.parameters["Regulators"] = found.settings


def _show_left(section: Section, data: ReportData, found: Result) -> None:
    """Show a result of `titin network`, and say where it is not of the cells that the report is of."""
    if isinstance(found, Activities):
        show_activities(section, found)
    elif isinstance(found, Networks):
        show_networks(section, found)
    what = "Activities" if isinstance(found, Activities) else "Networks"
    where = found.settings.get("where", [])
    here = [str(condition) for condition in data.inputs.where.conditions]
    if where != here:
        section.say(f"{what} are those of {' and of '.join(where) or 'all cells'}, as `titin network` was asked for.")
    if found.settings.get(MADE_OF, identify(data.atlas)) != identify(data.atlas):
        section.say(f"{what} are of the dataset as it was before it was changed: {_AGAIN}.")
    section.say(f"{what} are from {data.folder.absolute().name}{SUFFIX}.", kind="soft")
    kept = {key: value for key, value in found.settings.items() if key not in (MADE_OF, "warnings")}
    data.parameters[f"Regulators: {what.lower()}"] = kept
