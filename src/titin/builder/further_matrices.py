"""Layers, and raw: further matrices of the same cells, each written as the files that X has, in the same order."""

import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.builder import metadata
from titin.builder.by_gene import write_genes
from titin.builder.job import BuildJob
from titin.builder.matrix import write_cells
from titin.builder.notes import describe_recovery, notes
from titin.builder.scan import scan
from titin.dataset import layout
from titin.dataset.arrow import OrderedRows
from titin.dataset.manifest import LAYERS
from titin.dataset.sorted_rows import sort_rows

_LONGEST = 60


def name_files(places: Iterable[str]) -> dict[str, str]:
    """What the files of each further matrix are called after: no two alike, whatever the case.

    Examples
    --------
    >>> name_files(["layers/spliced", "layers/a b", "layers/A_b", "raw"])
    {'layers/spliced': 'layer_spliced', 'layers/a b': 'layer_a_b', 'layers/A_b': 'layer_A_b_2', 'raw': 'raw'}
    """
    names: dict[str, str] = {}
    for place in places:
        word = place.replace(LAYERS, "layer_", 1)
        stem = name = re.sub(r"[^A-Za-z0-9._-]", "_", word)[:_LONGEST]
        n, taken = 1, {known.lower() for known in names.values()}
        while name.lower() in taken:
            n += 1
            name = f"{stem}_{n}"
        names[place] = name
    return names


def write_further_matrix(
    job: BuildJob, place: str, detection: NDArray[np.float64], labels: OrderedRows
) -> dict[str, Any]:
    """Write one further matrix.

    Parameters
    ----------
    job
        Of the build.
    place
        Of `titin.source.Source.parts`.
    detection
        Cells that express each gene of X: its tokens are those of a layer.
    labels
        One row a cell in final order, of which the names are taken.

    Returns
    -------
    dict
        JSON-safe: ``files`` written, ``entry`` of `titin.dataset.manifest.Manifest.parts`, and ``notes``.

    Raises
    ------
    SourceError
        For a value that no dataset can hold.
    """
    own, work = of_part(job, place), job.work / "further"
    work.mkdir()
    own = replace(own, work=work)
    scanned, spill = scan(own)
    if not own.layout.own_genes:
        scanned.detection = detection
    files, by_gene = write_cells(own, scanned, spill, sort_rows(labels.select([layout.CELL_ID]), job.shelf), None)
    spill.close()
    files += write_genes(own, scanned, by_gene)
    by_gene.close()
    shutil.rmtree(work)
    X = own.source.X
    entry: dict[str, Any] = {
        "file": own.layout.part, "kind": scanned.kind, "nnz": scanned.nnz, "recovery": describe_recovery(scanned, None),
        "source": {"matrix": X.name, "dtype": str(X.dtype), "storage": X.storage},
    }  # fmt: skip
    if own.layout.own_genes:
        tables, columns = metadata.write_gene_table(own, scanned)
        files += tables
        entry |= {"n_genes": X.shape[1], "var": metadata.describe_var(own.source, columns)}
    return {"files": files, "entry": entry, "notes": [f"{place}: {said}" for said in own.source.notes
                                                     + notes(scanned, None)]}  # fmt: skip


def of_part(job: BuildJob, place: str) -> BuildJob:
    """The job as if a further matrix were X; negative values are as good there as others."""
    source = job.source.parts[place]
    names = layout.Layout(job.layout.prefix, name_files(job.source.parts)[place], not place.startswith(LAYERS))
    return replace(job, source=source, options=replace(job.options, allow_negative=True), layout=names)
