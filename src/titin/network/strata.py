"""Cells of each type and protocol, whose networks are inferred apart, with their donors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.study.ages import age_cut, donor_ages
from titin.study.design import AGE, Study, choose_level, labels_of
from titin.study.gaps import find_complete
from titin.study.groups import cell_keys


@dataclass(frozen=True, eq=False)
class Stratum:
    """Cells of one type and protocol: positions, and what donor, batch each has; ages of donors, sex where known."""

    cell_type: str
    protocol: str
    cells: NDArray[np.int64]
    donor: NDArray[np.int64]
    batch: NDArray[np.int64]
    donors: list[str]
    ages: list[float]
    strata: list[str]


def find_strata(atlas: Atlas, chosen: int | str | None) -> tuple[list[Stratum], float | None, str, Any]:
    """Cells of each type and protocol, with their donors."""
    keys = cell_keys(atlas)
    level = choose_level(Study.of(atlas).levels, chosen, whole=True)
    complete = find_complete(keys, [n for n in ("donor", "protocol", level) if n in keys and keys[n].notna().any()])
    kept = np.flatnonzero(complete.rows)
    keys = keys.iloc[kept].reset_index(drop=True)
    ages = donor_ages(keys[AGE], keys["donor"]) if AGE in keys else pd.Series(dtype=float)
    labels = labels_of(keys, level).astype(str)
    protocol = keys["protocol"].astype(str) if "protocol" in keys and keys["protocol"].notna().any() else None
    batch = pd.factorize(keys["chemistry"].fillna("") if "chemistry" in keys else pd.Series("", keys.index))[0]
    sex = keys.groupby("donor")["sex"].first().fillna("").astype(str) if "sex" in keys else None
    found = []
    for (where, name), rows in _groups(protocol, labels):
        code, donors = pd.factorize(keys["donor"].iloc[rows], sort=True)
        found.append(Stratum(
            name, where, kept[rows], code.astype(np.int64), batch[rows].astype(np.int64), [str(d) for d in donors],
            [float(ages.get(str(d), np.nan)) for d in donors], ["" if sex is None else str(sex[d]) for d in donors],
        ))  # fmt: skip
    return found, age_cut(ages) if len(ages) else None, level, complete


def _groups(protocol: pd.Series | None, labels: pd.Series) -> Iterator[tuple[tuple[str, str], NDArray[np.int64]]]:
    where = pd.Series("all", labels.index) if protocol is None else protocol
    pairs = pd.DataFrame({"protocol": where, "cell_type": labels})
    for own, rows in pairs.groupby(["protocol", "cell_type"], sort=True):
        yield (str(own[0]), str(own[1])), rows.index.to_numpy(np.int64)
