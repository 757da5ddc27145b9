"""The result of checking labels: a probability a cell, the quality of each type, and a list of what to look at again.

The table of cells belongs to the dataset and is a file of its format; all that is said of types follows from it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from titin.annotate.quality import LabelQuality, label_quality
from titin.annotate.review import REVIEW_COLUMNS
from titin.atlas import Atlas
from titin.dataset import layout
from titin.dataset.parquet_sink import save_parquet
from titin.dataset.replace import Draft, revise
from titin.dataset.shapes import ShapeError, anything, list_of, optional, real, record, text, whole
from titin.dataset.strict_json import parse_json
from titin.dataset.tables import with_pandas_index
from titin.errors import TitinError
from titin.results import Result
from titin.study.flagged import check_table
from titin.text import json_safe

_TOLD = b"titin.label_check"
CIRCULAR = (
    "where the labels were made with the help of such a model, or of clusters of these same values, agreement is "
    "self-consistency and no proof that they are right"
)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LabelCheck(Result):
    """Labels against a model that was trained on other donors.

    Attributes
    ----------
    table
        One row a cell and level, level by level, the cells in the dataset's order: ``cell_id``, ``level``, ``label``,
        ``predicted``, ``p_label`` (missing where the label was not modelled), ``p_predicted``, ``entropy``,
        ``flagged``, ``rank`` in the review list (missing where the cell could not be judged).
    review
        One row a group of flagged cells that argue together, the first to look at first; see `titin.annotate.review`.
    types, groups, confusion, calibration
        See `titin.annotate.quality`.
    not_evaluable
        By level and type, why nothing is said of it.
    levels
        By level, numbers of all its cells.
    """

    review: pd.DataFrame
    types: pd.DataFrame
    groups: pd.DataFrame
    confusion: pd.DataFrame
    calibration: pd.DataFrame
    not_evaluable: dict[str, dict[str, str]]
    levels: dict[str, dict[str, Any]]

    @property
    def caveat(self) -> str:
        """What agreement does not say."""
        return CIRCULAR


def make_label_check(
    atlas: Atlas, table: pd.DataFrame, review: pd.DataFrame, settings: Mapping[str, Any]
) -> LabelCheck:
    """Say of types what follows from the table of cells."""
    found: LabelQuality = label_quality(atlas, table, settings)
    return LabelCheck(
        table, settings=dict(settings), review=review, types=found.types, groups=found.groups,
        confusion=found.confusion, calibration=found.calibration, not_evaluable=found.not_evaluable,
        levels=found.levels,
    )  # fmt: skip


def write_label_check(folder: Path | str, check: LabelCheck, *, last: Callable[[Draft], object] | None = None) -> Path:
    """Put a check into the dataset, in place of the one it has; in one step, or not at all.

    Parameters
    ----------
    folder
        The dataset.
    check
        From `titin.annotate.check_labels`, of that dataset.
    last
        Done to the draft last of all; `titin.publish.refresh_card` names the new file on the card.

    Raises
    ------
    DatasetError, OutputError
        As for `titin.dataset.replace.revise`.
    TitinError
        If the check is of other cells.
    """
    frame = check.table
    with revise(Path(folder)) as draft:
        n_cells = draft.manifest.n_cells
        if len(frame) != n_cells * max(1, len(check.levels)):
            raise TitinError(f"a check of {len(frame):,} labels does not fit a dataset of {n_cells:,} cells",
                             "check the labels of the dataset that is changed")  # fmt: skip
        columns = {name: pa.Array.from_pandas(frame[name], type=kind) for name, kind in layout.LABEL_CHECK.items()}
        told = json_safe({"settings": check.settings, "review": check.review.to_dict("records")})
        metadata = {**layout.file_metadata(), _TOLD: json.dumps(told, ensure_ascii=False, allow_nan=False).encode()}
        schema = pa.schema([pa.field(name, kind) for name, kind in layout.LABEL_CHECK.items()], metadata=metadata)
        name = draft.manifest.layout.label_check
        save_parquet(
            pa.table(columns, schema=with_pandas_index(schema, layout.CELL_ID)), draft.replace(name),
            row_group_size=layout.TABLE_ROW_GROUP_ROWS, **layout.parquet_options(schema),
        )  # fmt: skip
        if last is not None:
            last(draft)
    return Path(folder) / name


_number = optional(real())
_review = record({
    "level": text(), "label": text(), "suggested": text(), "donor": text(), "n_cells": whole(), "share": real(),
    "p_label": real(), "p_suggested": real(), "exchanged": anything, "first_rank": whole(), "markers_for": text(),
    "markers_against": text(),
})  # fmt: skip
_told = record({"settings": record({"min_donors": whole(1), "min_cells": whole(1)}, {"folds": anything}),
                "review": list_of(_review)})  # fmt: skip


def read_label_check(atlas: Atlas) -> LabelCheck | None:
    """Read the check that a dataset has; None if it has none.

    Raises
    ------
    TitinError
        If it is of other labels than those that the dataset has now, or does not say how it was made.
    """
    table = check_table(atlas)
    if table is None:
        return None
    name = atlas.layout.label_check
    try:
        stored = atlas.store.parquet(name).schema_arrow.metadata or {}
        told = parse_json(stored.get(_TOLD, b""))
        _told(told)
    except (ValueError, ShapeError) as error:
        raise TitinError(f"{name} does not say how it was made: {error}",
                         "check the labels again: `titin annotate DATASET --force`") from error  # fmt: skip
    review = pd.DataFrame(told["review"], columns=list(REVIEW_COLUMNS))
    return make_label_check(atlas, table, review, told["settings"])
