"""The demo atlas as AnnData, and as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.atlas import open_atlas
from titin.builder import BuildReport, build
from titin.dataset.swap import whole
from titin.demo.design import design, read_table, write_donor_table
from titin.demo.expression import (
    MITO,
    RIBO,
    YEARS,
    Effects,
    add_regulation,
    draw_counts,
    gene_table,
    marker_genes,
    plant,
)
from titin.errors import OutputError, TitinError
from titin.exporter.anndata_file import PatientFile
from titin.extras import check_installed
from titin.learn import make_Xy
from titin.progress import Progress

if TYPE_CHECKING:
    from anndata import AnnData


FEWEST_GENES = 150  # enough for markers, sex genes and the named ageing genes
YOUNG = 45  # nobody in the atlas is between 38 and 50


def write_demo_atlas(
    path: Path | str, *, n_cells: int = 3000, n_genes: int = 3000, seed: int = 0, age_effect: bool = True,
    regulators: bool = False,
) -> Path:  # fmt: skip
    """Generate the demo atlas and write it as ``.h5ad``; `make_demo_atlas` says what it holds.

    Parameters
    ----------
    path
        Where to; its folder is made if need be, and a file there is replaced.
    n_cells, n_genes, seed, age_effect, regulators
        As for `make_demo_atlas`.

    Returns
    -------
    pathlib.Path
        ``path``.

    Raises
    ------
    TitinError
        If ``n_cells`` or ``n_genes`` is out of range.
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    adata = make_demo_atlas(n_cells=n_cells, n_genes=n_genes, seed=seed, age_effect=age_effect, regulators=regulators)
    import h5py
    from anndata.io import write_elem

    with whole(path) as place, PatientFile(place) as file:
        with h5py.File(file, "w") as root:
            write_elem(root, "/", adata, dataset_kwargs={"compression": "gzip"})
            root.pop("raw", None)  # an empty one, at which readers of files in place stumble
        file.check()
    return path


def make_demo_atlas(
    *, n_cells: int = 3000, n_genes: int = 3000, seed: int = 0, age_effect: bool = True, regulators: bool = False
) -> "AnnData":
    """Generate a small muscle atlas with the design of the published one and synthetic expression.

    Donors, ages, sexes, samples, chemistry, protocols and the three levels of labels with their proportions are those
    of the Human Skeletal Muscle Aging Atlas, and so are the columns. Counts are multinomial draws; planted are marker
    genes, sex genes, differences of nuclei from cells (MALAT1, MT- genes), donor effects, and an effect of age on some
    genes. The two embeddings are drawn around a centre for each cell type, not computed from the expression.

    Parameters
    ----------
    n_cells
        Number of cells and nuclei together, at least 1.
    n_genes
        Number of genes, 150 to 3,200; with fewer, those with a planted role are kept first.
    seed
        The same seed, sizes and versions of the libraries give the same atlas.
    age_effect
        ``False`` plants no effect of age: a negative control.
    regulators
        Whether 10 regulators move 30 targets each from cell to cell, the strength of three of them falling with age in
        the type with the most cells (`titin.demo.regulation`).

    Returns
    -------
    anndata.AnnData
        ``X`` is log1p(count / total * 1e4), float32 CSR; ``obs`` and ``var`` have the columns of the release, with
        ``obs["n_counts"]`` the total; ``obsm`` has ``X_scVI`` (30) and ``X_umap`` (2), float32. ``uns["truth"]``
        holds what was planted: ``age_log_fold_change`` (natural log, over 27 years, a gene), ``markers`` (a level 0
        type), ``years`` and ``seed``; with regulators also ``regulation``, the planted edges, and the type
        that ``regulation_changes_in``.

    Raises
    ------
    TitinError
        If ``n_cells`` or ``n_genes`` is out of range.
    """
    check_installed("anndata", "the demo")
    import anndata as ad

    _check_size(n_cells, n_genes)
    rng = np.random.default_rng(seed)
    genes = gene_table(n_genes)
    cells = design(n_cells, rng)
    effects = plant(pd.Index(genes["SYMBOL"]), rng, age_effect=age_effect)
    symbols = pd.Index(genes["SYMBOL"])
    regulation = add_regulation(cells, effects, symbols, seed, change=age_effect) if regulators else None
    counts = draw_counts(cells, effects, rng, regulation)
    obs = _obs(cells, counts, genes["SYMBOL"], rng)
    var = genes.assign(n_cells=np.bincount(counts.indices, minlength=n_genes)).set_index(genes["SYMBOL"].to_numpy())
    obsm = _embeddings(cells, rng)
    uns = _uns(genes["SYMBOL"], effects, seed)
    if regulation is not None:
        uns["truth"] |= {"regulation": regulation.edges(symbols), "regulation_changes_in": regulation.cell_type}
    return ad.AnnData(_log_normalised(counts), obs=obs, var=var, obsm=obsm, uns=uns)


def _check_size(n_cells: int, n_genes: int) -> None:
    most = len(read_table("genes"))
    if n_cells < 1:
        raise TitinError(f"a demo atlas needs at least one cell, not {n_cells}")
    if not FEWEST_GENES <= n_genes <= most:
        raise TitinError(f"a demo atlas has {FEWEST_GENES} to {most:,} genes, not {n_genes:,}")


def _log_normalised(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return log1p(count / total * 1e4), every step in float32."""
    total = np.asarray(counts.sum(axis=1)).ravel().astype(np.float32)
    X = counts.astype(np.float32)
    X.data = np.log1p(X.data / np.repeat(total, np.diff(X.indptr)) * np.float32(1e4))
    return X


def _obs(
    cells: pd.DataFrame, counts: sparse.csr_matrix, symbols: "pd.Series[str]", rng: np.random.Generator
) -> pd.DataFrame:
    total = np.asarray(counts.sum(axis=1)).ravel()
    age = cells["age_years"]
    bins = (age // 5 * 5).astype(str) + "-" + (age // 5 * 5 + 5).astype(str)
    group = np.where(age < YOUNG, "young", "old")
    obs = cells[["SampleID", "DonorID"]].assign(Age_group=pd.Categorical(bins), Age_bin=pd.Categorical(group))
    columns = ["Sex", "batch", "10X_version", "annotation_level0", "annotation_level1", "annotation_level2"]
    obs[columns] = cells[columns]
    obs["n_counts"] = total.astype(np.float32)
    obs["n_genes"] = np.diff(counts.indptr).astype(np.int64)
    for column, pattern in (("percent_mito", MITO), ("percent_ribo", RIBO)):
        of_kind = symbols.str.fullmatch(pattern).to_numpy()
        obs[column] = (np.asarray(counts[:, of_kind].sum(axis=1)).ravel() / total).astype(np.float32)
    obs["scrublet_score"] = rng.beta(2, 18, len(cells))
    obs.index = pd.Index(_barcodes(cells["SampleID"].astype(str), rng))
    return obs


def _barcodes(samples: "pd.Series[str]", rng: np.random.Generator) -> list[str]:
    """Return ``{SampleID}-{16 bases}-1`` for each cell, the bases all different."""
    codes = rng.choice(4**16, len(samples), replace=False)
    bases = np.array(list("ACGT"))[codes[:, None] // 4 ** np.arange(16) % 4]
    return [f"{sample}-{''.join(row)}-1" for sample, row in zip(samples, bases, strict=True)]


def _embeddings(cells: pd.DataFrame, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Scatter cells around their level 2 type, and those around their level 0 type, in 30 and in 2 dimensions."""
    types = read_table("cell_types").drop_duplicates("level2")
    parent, level0 = pd.factorize(types["level0"])
    row = pd.Index(types["level2"]).get_indexer(cells["annotation_level2"])
    latent = rng.normal(0, 1.2, (len(level0), 30))[parent] + rng.normal(0, 0.4, (len(types), 30))
    turn = np.arange(len(level0)) * np.pi * (3 - np.sqrt(5))  # a sunflower's spiral keeps the types apart
    spiral = 2.5 * np.sqrt(np.arange(len(level0)))[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    place = rng.permutation(spiral)[parent] + rng.normal(0, 0.5, (len(types), 2))
    return {
        "X_scVI": (latent[row] + rng.normal(0, 0.4, (len(cells), 30))).astype(np.float32),
        "X_umap": (place[row] + rng.normal(0, 0.4, (len(cells), 2))).astype(np.float32),
    }


def _uns(symbols: "pd.Series[str]", effects: Effects, seed: int) -> dict[str, Any]:
    changed = np.flatnonzero(effects.age)
    present = set(symbols)
    return {
        "truth": {
            "age_log_fold_change": {symbols[i]: float(effects.age[i]) for i in changed},
            "markers": {name: [g for g in genes if g in present] for name, genes in marker_genes().items()},
            "years": YEARS,
            "seed": seed,
        },
        "demo": {
            "about": "Synthetic expression on the published design; the embeddings are drawn, not computed, "
            "and neighbors and tsne only repeat the release's settings.",
            "synthetic": True,
            "target_sum": 1e4,
        },
        "Sex_colors": ["#b5495b", "#2f6690"],
        "neighbors": {
            "connectivities_key": "connectivities",
            "distances_key": "distances",
            "params": {"n_neighbors": 15, "method": "umap", "random_state": 0, "metric": "euclidean", "n_pcs": 40},
        },
        "tsne": {"params": {"perplexity": 30, "early_exaggeration": 12, "learning_rate": 1000, "metric": "euclidean"}},
    }


ATLAS, DONORS, DATASET = "atlas.h5ad", "donors.csv", "skeletal_muscle_10x"


def make_demo(
    folder: Path, *, n_cells: int, n_genes: int, seed: int, force: bool, progress: Progress, **limits: Any
) -> BuildReport:
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
    write_demo_atlas(atlas, n_cells=n_cells, n_genes=n_genes, seed=seed)
    write_donor_table(donors)
    return build(
        atlas,
        folder / DATASET,
        preset="muscle",
        texts=False,
        donors=donors,
        seed=seed,
        project=(),
        force=force,
        progress=progress,
        **limits,
    )  # fmt: skip  (no texts: they are the study's, and these cells are drawn)


def warm_up(dataset: Path, progress: Progress) -> None:
    """Read what was built once, so that what reads is compiled when it is tried."""
    progress.note("reading it once, so that what reads is compiled")
    atlas = open_atlas(dataset)
    make_Xy(atlas, level="donor", genes=atlas.var_names[:10].tolist())
    _ = atlas[str(atlas.var_names[0])]
