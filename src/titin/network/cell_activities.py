"""Activities of regulators in every cell, streamed into a file."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.ageing.pseudobulk import gene_names
from titin.atlas import Atlas
from titin.atlas.passes import BlockReader
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.parquet_sink import ParquetSink
from titin.dataset.swap import whole
from titin.errors import OutputError
from titin.features.scores import sets_by_gene, ulm_t, weighted_sums
from titin.network.prior_network import MIN_TARGETS, PriorNetwork, sizes
from titin.progress import Progress


def write_cell_activities(
    atlas: Atlas,
    network: PriorNetwork,
    path: Path,
    *,
    cells: Any = None,
    min_targets: int = MIN_TARGETS,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the activity (``ulm``) of every regulator in every cell, from log-normalised values.

    Cells of few counts have activities nearer to 0: to compare donors, take `titin.network.activities`.

    Parameters
    ----------
    atlas
        The dataset; of several studies the genes that all of them measured.
    network
        Regulators and targets, by symbol.
    path
        Parquet: ``cell_id``, and a float32 column a regulator.
    cells
        As in ``atlas.X[cells]``; all where not given.
    min_targets
        Targets that the dataset must have, for a regulator to be scored.
    threads, progress
        All that the atlas was opened with, where not given; told of the pass.

    Raises
    ------
    TitinError
        If no regulator has targets enough, or one has every gene.
    OutputError
        If the file cannot be written.
    """
    atlas = atlas.comparable(cells)
    names, weights = network.with_targets(gene_names(atlas)["gene"].tolist(), min_targets)
    told = sizes(weights)
    tables = sets_by_gene(atlas.n_vars, [
        (weights.indices[a:b].astype(np.int64), weights.data[a:b])
        for a, b in zip(weights.indptr, weights.indptr[1:], strict=False)
    ])  # fmt: skip
    reader = BlockReader(atlas, cells=cells)
    ids = atlas.obs_names[reader.cells].astype(str).to_numpy(object)
    schema = pa.schema([layout.required(layout.CELL_ID, pa.string()),
                        *(layout.required(name, pa.float32()) for name in names)])  # fmt: skip
    score = partial(_score, tables, len(names), atlas.n_vars, told["sum"], told["squares"])
    progress = progress or Progress()
    progress.start("activities of cells", reader.n_cells, "cells")
    try:
        with whole(path) as file, ParquetSink(file, schema, compression="zstd") as sink:
            for rows, scores in reader.spread(
                score, threads or atlas.reader.resources.threads, advance=progress.advance
            ):
                own = pa.array(ids[rows], pa.string())
                sink.write(pa.Table.from_arrays([own, *map(pa.array, scores)], schema=schema))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}", "give another --output") from error
    progress.finish()
    return path


def _score(
    tables: tuple[NDArray[Any], ...], n: int, n_genes: int, sums: Any, squares: Any, block: Block
) -> NDArray[np.float32]:
    """Activities, regulators × cells of the block."""
    inside, moments = weighted_sums(block, tables, n)
    scores: NDArray[np.float32] = ulm_t(inside, moments, n_genes, sums, squares).T.astype(np.float32, order="C")
    return scores
