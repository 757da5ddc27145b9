"""Regulators, kept in the dataset for pages that compute nothing: what changes, donors, and the genes that go along."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.comparison import ALL
from titin.atlas import Atlas, open_atlas
from titin.dataset import layout
from titin.dataset.replace import revise
from titin.dataset.summaries import write_summary
from titin.errors import TitinError
from titin.network.networks import Networks
from titin.network.regulator_activities import Activities
from titin.network.results_beside import MADE_OF, SUFFIX, identify, read_beside
from titin.network.terminal import network_verdict, verdict
from titin.publish import refresh_card
from titin.results import Result
from titin.study.design import level_columns
from titin.text import json_safe

TOLD = b"titin.regulators"  # among the metadata of the table of regulators: how all of them were made, as JSON
_ROW_GROUP_ROWS = 32_768  # of donors and edges; whoever shows one regulator reads the row groups that it lies in
_KEYS = ["regulator", "cell_type", "protocol"]
_COUNTS = ["n_donors", "n_cells", "n_targets", "n_donors_tested", "rank"]
_CHANGE = ["ci_low", "ci_high", "p_value", "adj_p_value", "adj_p_value_across_types"]
_OF_ACTIVITIES = [*_KEYS, *_COUNTS, "activity", "effect", *_CHANGE]
_TOLD = ("tests", "skipped", "caveat", "not_compared", "donors_left_out")


def read_results(dataset: Path) -> tuple[Activities | None, Networks | None]:
    """Read what `titin network` has left beside a dataset, of the coarsest level of cell types that it was asked for.

    Parameters
    ----------
    dataset
        Its folder.

    Raises
    ------
    TitinError
        If what is there is not as the command writes it.
    """
    levels: list[str | None] = [*level_columns(open_atlas(dataset).roles)] or [None]
    found: dict[str, Result] = {}
    for level in levels:
        found = {kind: own for kind in ("activity", "network") if (own := read_beside(dataset, kind, [level]))}
        if found:
            break
    activities, networks = found.get("activity"), found.get("network")
    return (activities if isinstance(activities, Activities) else None,
            networks if isinstance(networks, Networks) else None)  # fmt: skip


def write_regulator_tables(
    atlas: Atlas | Path, activities: Activities | None = None, networks: Networks | None = None
) -> Atlas:  # fmt: skip
    """Put into a dataset what its explorer shows of regulators, recorded in its manifest, in one step.

    Parameters
    ----------
    atlas
        A local dataset, opened, or its folder.
    activities, networks
        Of that dataset; where neither is given, what `titin network` has left beside it.

    Returns
    -------
    Atlas
        The dataset as it is now.

    Raises
    ------
    TitinError
        If there is neither, or they are of another dataset or of different levels of cell types.
    OutputError
        If the dataset cannot be written.

    Examples
    --------
    >>> atlas = write_regulator_tables(Path("dataset"))  # doctest: +SKIP
    """
    atlas = open_atlas(atlas) if isinstance(atlas, Path) else atlas
    folder, names, resources = atlas.folder, atlas.layout, atlas.reader.resources
    if activities is None and networks is None:
        activities, networks = read_results(folder)
        if activities is None and networks is None:
            raise TitinError(f"there is nothing of regulators in {folder.absolute().name}{SUFFIX}, beside the dataset",
                             "`titin network DATASET --network FILE` finds it")  # fmt: skip
    for result in (activities, networks):
        if result is not None and result.settings.get(MADE_OF, identify(atlas)) != identify(atlas):
            raise TitinError("the regulators are of the dataset as it was before it was changed",
                             "run `titin network` again, with --force")  # fmt: skip
    levels = {one.settings.get("cell_type_level") for one in (activities, networks) if one is not None}
    if len(levels) > 1:
        raise TitinError(f"activities and networks are of different levels of cell types: {sorted(map(str, levels))}",
                         "compute both of one level")  # fmt: skip
    tokens = {str(symbol): token for token, symbol in reversed(list(enumerate(_symbols(atlas))))}
    table, donors, edges = _regulators(activities, networks), _donors(activities, networks), _edges(networks, tokens)
    told = json_safe({
        "cell_type_level": levels.pop(),
        "activities": None if activities is None else _tell(activities, verdict(activities)),
        "networks": None if networks is None else _tell(networks, network_verdict(networks)),
    })  # fmt: skip
    with revise(folder) as draft:
        for name in names.regulation:
            draft.remove(name)
        write_summary(draft.folder, names.regulators, table, layout.REGULATORS, told=(TOLD, told))
        for name, own, columns in ((names.regulator_donors, donors, layout.REGULATOR_DONORS),
                                   (names.regulator_edges, edges, layout.REGULATOR_EDGES)):  # fmt: skip
            ends = [*range(0, len(own), _ROW_GROUP_ROWS), len(own)]
            write_summary(draft.folder, name, own, columns, ends=ends if len(own) else None)
        draft.changed.update(names.regulation)
        refresh_card(draft)
    return open_atlas(folder, memory=resources.memory, threads=resources.threads)


def _symbols(atlas: Atlas) -> list[Any]:
    """Symbol of every gene of the dataset, by token."""
    table = atlas.store.table(atlas.layout.feature_metadata)
    return list(table.column(layout.GENE).to_pylist())


def _tell(found: Activities | Networks, said: str) -> dict[str, Any]:
    document = found.document()
    settings = {name: value for name, value in found.settings.items() if name != "warnings"}
    return {"settings": settings, "verdict": said, **{name: document[name] for name in _TOLD if name in document}}


def _by_regulator(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    named = table.assign(**{name: table[name].astype(str) for name in keys})
    return named.sort_values(keys, kind="stable").reset_index(drop=True)


def _merge(one: pd.DataFrame, other: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """All rows of both, by keys that are text."""
    texts = [own.assign(**{key: own[key].astype(str) for key in keys}) for own in (one, other)]
    return texts[0].merge(texts[1], on=keys, how="outer")


def _regulators(activities: Activities | None, networks: Networks | None) -> pd.DataFrame:
    """One row a regulator, type and protocol of which something is known."""
    active = pd.DataFrame(columns=_OF_ACTIVITIES) if activities is None else activities.table[_OF_ACTIVITIES]
    active = active[active["n_donors"].astype(float) > 0]
    strengths = _strengths(networks)
    found = _merge(active, strengths, _KEYS)
    for name in ("n_cells", "n_targets"):
        found[name] = found[name].where(found[name].notna(), found.pop(f"strength_{name}"))
    for name in [*_COUNTS, "strength_n_donors"]:
        found[name] = found[name].astype(float).fillna(0).astype(np.int64)
    return _by_regulator(_as(found, layout.REGULATORS), _KEYS)


def _strengths(networks: Networks | None) -> pd.DataFrame:
    names = ["n_donors", "n_cells", "n_targets", "strength", "difference", *_CHANGE]
    own = pd.DataFrame(columns=[*_KEYS, *names]) if networks is None else networks.regulators
    renamed = {name: f"strength_{name}" for name in names if name != "strength"}
    return own.reindex(columns=[*_KEYS, *names]).rename(columns=renamed)


def _donors(activities: Activities | None, networks: Networks | None) -> pd.DataFrame:
    """One row a regulator, donor, type and protocol with a number."""
    keys = ["regulator", "donor", "cell_type", "protocol"]
    active = pd.DataFrame(columns=["feature", "mean", *keys[1:], "age", "n_cells"])
    active = active if activities is None else activities.donors
    active = active.rename(columns={"feature": "regulator", "mean": "activity"})
    strong = pd.DataFrame(columns=[*keys, "age", "strength"]) if networks is None else networks.donors
    parts = []
    for own, value in ((active, "activity"), (strong, "strength")):
        place = own["protocol"] if "protocol" in own else pd.Series(ALL, own.index)
        known = own.assign(protocol=place).reindex(columns=[*keys, "age", "n_cells", value])
        parts.append(known[known[value].notna()])
    found = _merge(parts[0], parts[1].drop(columns="n_cells").rename(columns={"age": "age_of_strength"}), keys)
    found["age"] = found["age"].astype(float).fillna(found.pop("age_of_strength").astype(float))
    found["n_cells"] = found["n_cells"].astype(float).fillna(0).astype(np.int64)
    return _by_regulator(_as(found, layout.REGULATOR_DONORS), keys)


def _edges(networks: Networks | None, tokens: Mapping[str, int]) -> pd.DataFrame:
    """One row an edge, of each regulator, type and protocol the heaviest first."""
    if networks is None or not len(networks.table):
        return pd.DataFrame({name: [] for name in layout.REGULATOR_EDGES})
    table = networks.table
    token = table["target"].astype(str).map(tokens)
    if token.isna().any():
        raise TitinError(f"{table['target'][token.isna()].iloc[0]!r}, a target, is no gene of this dataset",
                         "give the networks of this dataset")  # fmt: skip
    heavy = table.assign(token=token, size=-table["weight"].abs()).sort_values("size", kind="stable")
    return _by_regulator(_as(heavy, layout.REGULATOR_EDGES), _KEYS)


def _as(table: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """The columns of the format; float32 numbers keep the digits that they are written with."""
    own = {name: table[name] if name in table else np.full(len(table), np.nan) for name in columns}
    return pd.DataFrame({name: _wide(column) for name, column in own.items()}, index=table.index)


def _wide(column: pd.Series | NDArray[np.float64]) -> Any:
    return column.astype(np.float64) if column.dtype == np.float32 else column
