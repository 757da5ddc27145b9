"""Every Python block of the published card runs with ``expression`` read lazily, and gives what the whole table gives.

The blocks are taken from the card as they are. One line is replaced, which is the point: ``pd.read_parquet`` of the
matrix becomes ``titin.open(".").expression``. What is wrong with the card itself is mended in the open, below.
"""

import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from open_datasets import open_beside

MATRIX = 'pd.read_parquet("skeletal_muscle_10x_expression.parquet")'
LAZY = '__import__("titin").open(".").expression'


class Block(NamedTuple):
    """First and last line of a block of the card; the lines between are read from it."""

    first: str
    last: str


# in the order in which they run: a block that loads what others use comes before them, which the card does not heed
BLOCKS = {
    "basic loading": Block("import pandas as pd|import numpy as np", 'print(f"Dataset loaded:'),
    "metadata": Block("# Load and explore sample metadata", 'print(f"\\nSex distribution: {sex_dist'),
    "expression": Block("import pandas as pd|# Load expression data", "print(top_genes)"),
    "embeddings": Block("# Use pre-computed embeddings for clustering", "clusters = KMeans"),
    "common tasks": Block("# Age prediction (regression/classification)", "embeddings = scvi_projection.values"),
    "age prediction": Block("# Example ML setup for age prediction", ")"),
    "cell types": Block("# Multi-level cell type classification", 'print(f"Fine classes:'),
    "distributions": Block("# Check class distributions", "print(metadata['Sex'].value_counts())"),
    "features": Block("# Load feature metadata", 'print(f"Muscle-related genes found:'),
    "projections": Block("# Load all projections for integrated analysis", 'print("✅'),
    "age-related": Block("# Compare young vs old muscle", "print(age_genes)"),
    "stem cells": Block("# Analyze muscle stem cells across age", "print(cell_props_pct.round(1))"),
    "figure": Block("import matplotlib.pyplot as plt", "plt.show()"),
    "fibre types": Block("# Analyze Type I vs Type II myofiber ratios", 'print(f"Age-related change:'),
    "feature matrix": Block("# Biological: Gene expression per cell", "expression.shape"),
    "covariates": Block("# Biological: Cell annotations and donor", "metadata['DonorID']"),
    "representations": Block("# Biological: Low-dimensional cell state", "umap_coords"),
    "chunks": Block("# Load data in chunks for large analyses", "# Process chunk"),
    "scanpy": Block("import scanpy as sc", "sc.tl.umap(adata)"),
    "phantom index": Block("import pyarrow.parquet as pq", "table.to_pandas().to_parquet("),
    "columns": Block("# Efficient loading with specific columns", "expr_subset = expression[top_genes]"),
    "integrity": Block("# Verify data integrity", 'print("✅'),
}


class Mend(NamedTuple):
    """What the card says, what is run instead, and why."""

    block: str
    old: str
    new: str
    reason: str


MENDS = [
    Mend(
        "common tasks", "scvi_projection", "scvi_embedding",
        "no block defines scvi_projection; the same file is read as scvi_embedding elsewhere",
    ),
    Mend(
        "expression", "expression.dtypes[0]", "expression.dtypes.iloc[0]",
        "a Series with names as its index is no longer indexed by position: deprecated in pandas 2, gone in pandas 3",
    ),
    Mend(
        "projections", "all(scvi.index == umap.index == pca.index == tsne.index)",
        "scvi.index.equals(umap.index) and umap.index.equals(pca.index) and pca.index.equals(tsne.index)",
        "a == b == c means (a == b) and (b == c), and the truth of an array is an error",
    ),
    Mend(
        "stem cells", "musc_cells.groupby('Age_group')", "musc_cells.groupby('Age_group', observed=False)",
        "the default for categories is deprecated and changes in pandas 3",
    ),
    Mend(
        "stem cells", "metadata.groupby(['Age_group', 'annotation_level0'])",
        "metadata.groupby(['Age_group', 'annotation_level0'], observed=False)",
        "the default for categories is deprecated and changes in pandas 3",
    ),
    Mend(
        "fibre types", "myofibers.groupby(['Age_group', 'annotation_level0'])",
        "myofibers.groupby(['Age_group', 'annotation_level0'], observed=True)",
        "the default for categories is deprecated and changes in pandas 3",
    ),
    Mend(
        "integrity", "(183161, 29400)", "(1300, 600)",
        "the size of the real atlas; here stands a small twin of it",
    ),
]  # fmt: skip
# The copy of the card has lost its indentation: block, the line that opens a body, and how many lines are in it.
BODIES = [
    ("figure", "for i, cell_type", 3),
    ("fibre types", "if 'MF-I' in type_counts.columns", 10),
    ("chunks", "for i in range", 2),
    ("phantom index", 'if "__index_level_0__"', 1),
]
# Not in the blocks, but what they take for granted:
# - "All projection files are pre-computed and included": the source has no PCA and no t-SNE, so a dataset has none.
#   `add_projections` writes a PCA, and in the place of the t-SNE the first two components of it: the card only asks
#   for its shape and its index.
# - The copy of the card has every check mark torn in two by a line break, which ends a string: joined when it is read.
# - "your_file.parquet" is to be the reader's own: `add_phantom` writes one.
# - `expression.values` is 21 GB of the real atlas, and says so; of the twin it is small enough to be read.


@pytest.fixture(scope="module")
def card(shared: Path) -> list[str]:
    path = shared / "seed" / "dataset-card.txt"
    if not path.exists():
        pytest.skip(f"needs {path}")
    # the copy of the card has its check marks torn in two, and a line break in the middle
    return path.read_text("utf-8").replace('print("\u0e42\n', 'print("✅ ').split("\n")


def find(card: list[str], block: Block) -> range:
    """Lines of a block."""
    heads = block.first.split("|")
    starts = [
        i for i in range(len(card)) if all(line.startswith(head) for line, head in zip(card[i:], heads, strict=False))
    ]
    assert len(starts) == 1, f"{block.first!r} is {len(starts)} times in the card"
    end = next(i for i in range(starts[0], len(card)) if card[i].startswith(block.last))
    return range(starts[0], end + 1)


def code(card: list[str], name: str, *, lazy: bool) -> str:
    """A block as it is run."""
    lines = [card[i] for i in find(card, BLOCKS[name])]
    for block, opening, length in BODIES:
        if block == name:
            start = next(i for i, line in enumerate(lines) if line.startswith(opening)) + 1
            lines[start : start + length] = ["    " + line for line in lines[start : start + length]]
    text = "\n".join(lines)
    for mend in MENDS:
        if mend.block == name:
            assert text.count(mend.old) == 1, f"the card no longer says {mend.old!r}"
            text = text.replace(mend.old, mend.new)
    return text.replace(MATRIX, LAZY if lazy else "whole_table()")


def add_projections(folder: Path, X: np.ndarray, names: pd.Index) -> None:
    """Write what the card says is there; see above."""
    centred = X - X.mean(axis=0)
    U, S, _ = np.linalg.svd(centred, full_matrices=False)
    index = pd.Index(names, name="cell_id")
    for key, n in (("X_pca", 50), ("X_tsne", 2)):
        columns = [f"{key[2:].upper()}{i + 1}" for i in range(n)]
        frame = pd.DataFrame((U * S)[:, :n].astype(np.float32), index=index, columns=columns)
        frame.to_parquet(folder / f"skeletal_muscle_10x_projection_{key}.parquet")


def add_phantom(folder: Path) -> None:
    pd.DataFrame({"a": [1, 2]}, index=[5, 7]).rename_axis("__index_level_0__").reset_index().to_parquet(
        folder / "your_file.parquet", index=False
    )


@pytest.fixture(scope="module")
def twin(demo, tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """A folder as the card has it, and the whole matrix as the card would read it."""
    folder = shutil.copytree(demo.dataset, tmp_path_factory.mktemp("twin") / "skeletal_muscle_10x")
    opened = open_beside(folder, demo.source())
    add_projections(folder, opened.dense, opened.source.obs_names)
    add_phantom(folder)
    return folder, pd.DataFrame(opened.dense, index=opened.source.obs_names, columns=opened.source.var_names)


def test_no_python_of_the_card_is_left_out(card):
    taken = {i for block in BLOCKS.values() for i in find(card, block)}
    python = re.compile(
        r"(import \w|from \w+ import|print\(|assert |for .*:$|if .*:$|[\w.\[\]']+(, \w+)* = |plt\.|sc\.)"
    )
    left = [card[i] for i in range(len(card)) if i not in taken and python.match(card[i])]
    assert left == []


def test_every_mend_has_a_reason():
    assert {mend.block for mend in MENDS} <= set(BLOCKS)
    assert all(len(mend.reason) > 20 for mend in MENDS)


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:(?!titin)", "ignore:.*:FutureWarning:(scanpy|anndata|umap).*")
def test_every_block_of_the_card_runs_and_is_right(card, twin, monkeypatch):
    for library in ("matplotlib", "seaborn", "sklearn", "scanpy"):
        pytest.importorskip(library)
    monkeypatch.setenv("MPLBACKEND", "agg")
    folder, table = twin
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    expected: dict[str, Any] = {"whole_table": lambda: table.copy()}
    for name in BLOCKS:
        run(card, name, found, lazy=True)
        if name != "scanpy":  # takes long, and would take the same array
            run(card, name, expected, lazy=False)
    assert type(found["expression"]).__module__.startswith("titin.")
    assert isinstance(expected["expression"], pd.DataFrame)
    assert_same_results(found, expected)
    import matplotlib.pyplot as plt

    plt.close("all")


def run(card: list[str], name: str, variables: dict[str, Any], *, lazy: bool) -> None:
    text = code(card, name, lazy=lazy)
    exec(compile(text, f"card: {name}", "exec"), variables)
    if name == "expression":  # another block gives the name to a list
        variables["top_expressed"] = variables["top_genes"]
    if name == "chunks":
        variables["last_chunk"] = variables["chunk"]


def assert_same_results(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """What the card computes from the matrix."""
    np.testing.assert_array_equal(found["X"], expected["X"])
    np.testing.assert_array_equal(found["X_train"], expected["X_train"])
    for name in ("young_expr", "old_expr", "log2fc", "age_genes", "top_expressed"):
        pd.testing.assert_series_equal(found[name], expected[name].astype(np.float64), rtol=1e-4, atol=1e-4)
    pd.testing.assert_frame_equal(found["expr_subset"], expected["expr_subset"])
    pd.testing.assert_frame_equal(found["last_chunk"].to_frame(), expected["last_chunk"])
    for name in ("type_counts", "cell_props_pct", "age_counts", "metadata_subset"):
        assert found[name].equals(expected[name])
    assert found["adata"].shape == expected["expression"].shape
    np.testing.assert_array_equal(found["adata"].X, expected["X"])
    assert found["adata"].obsm["X_umap"].shape == (len(expected["expression"]), 2)
