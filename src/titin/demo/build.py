"""The demo: an atlas, its donor table, and the dataset built from them."""

from pathlib import Path
from typing import Any

from titin.build import Report, build
from titin.demo.atlas import write_demo_atlas
from titin.demo.tables import write_donor_table
from titin.errors import OutputError
from titin.progress import Progress

ATLAS, DONORS, DATASET = "atlas.h5ad", "donors.csv", "skeletal_muscle_10x"


def make_demo(
    folder: Path, *, n_cells: int, n_genes: int, seed: int, force: bool, progress: Progress, **limits: Any
) -> Report:
    """Write ``atlas.h5ad`` and ``donors.csv`` into a folder and build ``skeletal_muscle_10x`` from them.

    Raises
    ------
    OutputError
        If there is an atlas already and ``force`` is not given.
    """
    atlas, donors = folder / ATLAS, folder / DONORS
    if atlas.exists() and not force:
        raise OutputError(f"{atlas} exists already", "give --force to make the demo anew, or another folder")
    folder.mkdir(parents=True, exist_ok=True)
    progress.note(f"making {n_cells:,} cells × {n_genes:,} genes")
    write_demo_atlas(atlas, n_cells=n_cells, n_genes=n_genes, seed=seed)
    write_donor_table(donors)
    return build(
        atlas,
        folder / DATASET,
        preset="muscle",
        texts=None,
        donors=donors,
        seed=seed,
        project=(),
        force=force,
        progress=progress,
        **limits,
    )  # fmt: skip  (no texts: they are the study's, and these cells are drawn)
