"""Arrays of genes, and what lies between cells or between genes: varm, obsp and varp, found without being read."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from titin.source.budget import Budget
from titin.source.elements import leaves
from titin.source.gaps import Gaps
from titin.source.obsm import CellArrays, read_array, unusable
from titin.source.reading import is_group, members, reading


def open_arrays(
    path: Path, nodes: Mapping[str, tuple[Any, int]], left_out: dict[str, str], budget: Budget, gaps: Gaps
) -> CellArrays:
    """Find what a group of each name holds, by its place such as ``obsp/distances``.

    Parameters
    ----------
    path
        Of the file, for messages.
    nodes
        The groups that are there, of ``varm``, ``obsp``, ``varp`` and ``raw/varm``; each with its number of rows.
    left_out
        What cannot be kept is noted there, and why.
    budget
        Asked before anything is read.
    gaps
        What of the file is not stored.
    """
    readers: dict[str, Callable[[], Any]] = {}
    for name, (node, n_rows) in nodes.items():
        if not is_group(node):
            left_out |= {
                f"{name}/{key}": "in the form of releases before anndata 0.7; not kept" for key in members(node)
            }
            continue
        with reading(path, name):
            found = dict(leaves(node))
        unit = "cells" if name.startswith("obs") else "genes"
        for key, element in found.items():
            place = f"{name}/{key}"
            with reading(path, place):
                problem = unusable(element, n_rows, unit)
                if not problem:
                    gaps.check_array(place)
            if problem:
                left_out[place] = problem
            else:
                readers[place] = partial(read_array, path, element, place, budget)
    return CellArrays(readers)
