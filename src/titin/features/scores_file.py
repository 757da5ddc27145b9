"""Gene-set scores as a file of the dataset."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from titin.atlas import Atlas
from titin.dataset import layout
from titin.dataset.revision import Draft, revise
from titin.dataset.tables import with_pandas_index
from titin.errors import TitinError


def write_gene_set_scores(
    folder: Path | str, scores: pd.DataFrame, *, last: Callable[[Draft], object] | None = None
) -> Path:
    """Put scores into a dataset, in place of those it has; in one step, or not at all.

    Parameters
    ----------
    folder
        The dataset.
    scores
        From `score_gene_sets`, of all cells in the dataset's order.
    last
        Done to the draft last of all; `titin.publish.refresh_card` names the new file on the card.

    Returns
    -------
    Path
        The file: ``cell_id`` and a float32 column a set.

    Raises
    ------
    DatasetError, OutputError
        As for `titin.dataset.revision.revise`.
    TitinError
        If the scores are not of as many cells as the dataset has.
    """
    with revise(Path(folder)) as draft:
        if len(scores) != draft.manifest.n_cells:
            raise TitinError(
                f"scores of {len(scores):,} cells do not fit a dataset of {draft.manifest.n_cells:,}",
                "score all cells of the dataset that is changed",
            )
        name = draft.manifest.layout.gene_set_scores
        columns: dict[str, Any] = {layout.CELL_ID: pa.array(scores.index.astype(str), pa.string())}
        columns |= {str(c): pa.array(scores[c].to_numpy(np.float32)) for c in scores}
        fields = [layout.required(column, values.type) for column, values in columns.items()]
        method = {b"titin.scores": str(scores.attrs.get("method", "")).encode()}
        schema = pa.schema(fields, metadata={**layout.file_metadata(), **method})
        table = pa.table(columns, schema=with_pandas_index(schema, layout.CELL_ID))
        pq.write_table(
            table, draft.replace(name), row_group_size=layout.TABLE_ROW_GROUP_ROWS,
            **layout.parquet_options(table.schema),
        )  # fmt: skip
        if last is not None:
            last(draft)
    return Path(folder) / name


def read_gene_set_scores(atlas: Atlas) -> pd.DataFrame | None:
    """Read the scores that a dataset has, cells (index cell_id) × sets, float32; None if it has none."""
    if atlas.layout.gene_set_scores not in atlas.manifest.files:
        return None
    scores: pd.DataFrame = atlas.store.table(atlas.layout.gene_set_scores).to_pandas()
    return scores.set_axis(atlas.obs_names)
