"""Corruptions of labels, which leave every file well formed: biology alone can tell."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mutations import Mutation, edit_table

from titin.dataset.manifest import Manifest


def _relabel(role: str, names: Mapping[str, str], donor: str | None = None) -> Callable[[Path], None]:
    """Rename entries of a role's column (the coarsest of cell types), of all cells or of those of one donor."""

    def corrupt(folder: Path) -> None:
        roles = Manifest.read(folder).roles
        column = roles[role][0] if role == "cell_type" else roles[role]

        def change(table: pa.Table) -> pa.Table:
            at = table.schema.get_field_index(column)
            entries = table.column(column).cast(pa.string())
            renamed = pa.array([names.get(v, v) for v in entries.to_pylist()], pa.string())
            if donor is not None:
                mine = pc.equal(table.column(roles["donor"]).cast(pa.string()), donor)
                renamed = pc.if_else(mine.combine_chunks(), renamed, entries.combine_chunks())
            field = table.schema.field(column)
            return table.set_column(at, field, renamed.dictionary_encode().cast(field.type))

        edit_table(folder, "sample_metadata", change)

    return corrupt


def _both(one: Callable[[Path], None], other: Callable[[Path], None]) -> Callable[[Path], None]:
    """Do one after the other."""

    def corrupt(folder: Path) -> None:
        one(folder)
        other(folder)

    return corrupt


def _double(donor: str, times: int) -> Callable[[Path], None]:
    """Put other people's cells under one donor's name: those of the other sex."""

    def corrupt(folder: Path) -> None:
        roles = Manifest.read(folder).roles

        def change(table: pa.Table) -> pa.Table:
            column = roles["donor"]
            donors = np.array(table.column(column).cast(pa.string()).to_pylist(), object)
            sexes = np.array(table.column(roles["sex"]).cast(pa.string()).to_pylist(), object)
            own = sexes[donors == donor][0]
            others = np.flatnonzero(sexes != own)[: times * int((donors == donor).sum())]
            donors[others] = donor
            field = table.schema.field(column)
            renamed = pa.array(donors.tolist(), pa.string()).dictionary_encode().cast(field.type)
            return table.set_column(table.schema.get_field_index(column), field, renamed)

        edit_table(folder, "sample_metadata", change)

    return corrupt


_FLIP = {"M": "F", "F": "M"}

MUTATIONS = [
    Mutation("the sex of one man is recorded as female", "biology.sex",
             r"donor 464C is recorded as F but expresses the genes of a male", _relabel("sex", _FLIP, "464C"), "demo"),
    Mutation("the sex of one woman is recorded as male", "biology.sex",
             r"donor 339C is recorded as M but expresses the genes of a female",
             _relabel("sex", _FLIP, "339C"), "demo"),
    Mutation("what is recorded of a man and of a woman is exchanged", "biology.sex",
             r"donor 464C is recorded as F but expresses the genes of a male",
             _both(_relabel("sex", _FLIP, "464C"), _relabel("sex", _FLIP, "339C")), "demo"),
    Mutation("the sexes of all donors are swapped", "biology.sex",
             r"donor 470BR is recorded as F", _relabel("sex", _FLIP), "demo"),
    Mutation("cells of women are put under a man's name", "biology.sex",
             r"donor 464C has cells of both sexes", _double("464C", 1), "demo"),
    Mutation("nuclei are called cells and cells nuclei", "biology.nuclei",
             r"nuclei look like cells .*MALAT1.*mitochondrial",
             _relabel("protocol", {"cells": "nuclei", "nuclei": "cells"}), "demo"),
    Mutation("the nuclei of one donor are called cells", "biology.nuclei",
             r"529C \(cells\): its \d+ cells look like nuclei",
             _relabel("protocol", {"nuclei": "cells"}, "529C"), "demo"),
    Mutation("the labels of two cell types are swapped", "biology.markers",
             r"called FB have the markers of MuSC and those called MuSC the markers of FB in \d+ of \d+ donors",
             _relabel("cell_type", {"MuSC": "FB", "FB": "MuSC"}), "demo"),
    Mutation("the labels of two cell types are swapped in one donor", "biology.markers",
             r"in donor 470BR, the cells called FB have the markers of MuSC",
             _relabel("cell_type", {"MuSC": "FB", "FB": "MuSC"}, "470BR"), "demo"),
    Mutation("the labels of two subtypes are swapped", "biology.markers",
             r"the cells called CapEC have the markers of VenEC and those called VenEC the markers of CapEC",
             _relabel("cell_type", {"CapEC": "VenEC", "VenEC": "CapEC"}), "demo"),
]  # fmt: skip
