"""Code that reads the dataset: each block runs as it is where the files are."""

import json
from typing import Any

from titin.dataset import layout
from titin.markdown import block, code, section
from titin.publish.facts import CardFacts
from titin.visible import visible_json


def quickstart(facts: CardFacts) -> str:
    """One block a reader."""
    here = f"hf://datasets/{facts.repo_id}" if facts.repo_id else "hf://datasets/USER/REPO"
    lead = (f"The Python blocks run in a folder with the files. From elsewhere, put the folder or "
            f"{code(here + '/')} before the file names.")  # fmt: skip
    parts = [
        ("pandas", _pandas(facts)), ("polars", _polars(facts)), ("DuckDB", _duckdb(facts)),
        ("datasets", _datasets(facts)), ("titin", _titin(facts)), ("SciPy and AnnData without titin", _scipy(facts)),
        ("R", _r(facts)),
    ]  # fmt: skip
    shown = [section(title, text, level=3) for title, text in parts]
    return section("Quick start", lead, *shown)


def quoted(value: Any) -> str:
    """Text, or a list of texts, as Python and R read it in code: whatever is in it stays text."""
    return visible_json(json.dumps(value, ensure_ascii=False))


def sql_name(column: str) -> str:
    """A column in SQL."""
    return '"' + column.replace('"', '""') + '"'


def sql_text(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def read(facts: CardFacts, file: str, reader: str = "pd") -> str:
    """How pandas or polars reads a table or its shards."""
    names = facts.manifest.shards(file)
    if len(names) == 1:
        return f"{reader}.read_parquet({quoted(names[0])})"
    pattern = quoted(names[0].replace("-00000-of-", "-*-of-"))
    return f"pl.read_parquet({pattern})" if reader == "pl" else f"pd.read_parquet(sorted(glob({pattern})))"


def imports(facts: CardFacts, *files: str) -> str:
    """The line before the others of a block that reads shards."""
    return "from glob import glob\n\n" if any(len(facts.manifest.shards(f)) > 1 for f in files) else ""


def _label(facts: CardFacts) -> str:
    """A column worth counting."""
    known = [*facts.cell_types[:1], *(facts.column(r) for r in ("donor", "age", "protocol", "sample"))]
    return next((c for c in known if c), layout.SOURCE_ROW)


def _pandas(facts: CardFacts) -> str:
    genes, label = facts.panel_genes(3), _label(facts)
    text = f"""{imports(facts, facts.layout.sample_metadata, facts.layout.expression_panel)}import pandas as pd

obs = {read(facts, facts.layout.sample_metadata)}
panel = {read(facts, facts.layout.expression_panel)}
"""
    if genes and label in facts.obs and not facts.obs[label].isna().all():
        text += f"print(panel.groupby({quoted(label)}, observed=True)[{quoted(genes)}].mean())"
    return block("python", text)


def _path(facts: CardFacts, file: str) -> str:
    names = facts.manifest.shards(file)
    return names[0] if len(names) == 1 else names[0].replace("-00000-of-", "-*-of-")


def _polars(facts: CardFacts) -> str:
    gene = next(iter(facts.panel_genes(1)), None)
    value = facts.manifest.value_kind.entries
    path = _path(facts, facts.layout.expression_by_gene)
    text = f"import polars as pl\n\nby_gene = pl.scan_parquet({quoted(path)})\n"
    if gene:
        text += f"""one = by_gene.filter(pl.col("{layout.GENE}") == {quoted(gene)})
one = one.select("{layout.CELLS}", "{value}").collect().explode("{layout.CELLS}", "{value}")
print(one)  # row number of the cell in the other files, and its {value[:-1]}"""
    return block("python", text)


def _duckdb(facts: CardFacts) -> str:
    label, path = _label(facts), _path(facts, facts.layout.expression)
    wanted = f"{sql_name(label)}, count(*) as cells, avg(len({layout.GENES})) as detected_genes"
    query = f"select {wanted}\n    from {sql_text(path)} group by all order by cells desc limit 5"  # noqa: S608 - names of ours
    plain = label.isprintable() and not set(label) & set("'\\")
    shown = f"'''\n    {query}\n'''" if plain else quoted(query)
    return block("python", f"import duckdb\n\nprint(duckdb.sql({shown}))")


def _datasets(facts: CardFacts) -> str:
    value = facts.manifest.value_kind.entries
    start, where = "", quoted(facts.repo_id)
    if not facts.repo_id:
        start, where = "from pathlib import Path\n\n", "str(Path.cwd())"
    return block(
        "python",
        f"""{start}from datasets import load_dataset

cells = load_dataset({where}, "expression", split="train", streaming=True)
cell = next(iter(cells))
print(dict(zip(cell["{layout.GENES}"], cell["{value}"])))  # token, a row of feature_metadata, to {value[:-1]}""",
    )


def _titin(facts: CardFacts) -> str:
    gene = next(iter(facts.panel_genes(1)), None)
    text = """import titin

atlas = titin.open(".")  # or hf://datasets/…
"""
    if gene:
        text += f"values = atlas[{quoted(gene)}]  # one gene over all cells, exactly as in the source\n"
    text += "adata = atlas.to_anndata(cells=slice(0, 100))  # AnnData of some cells, or of all\n"
    donor = facts.column("donor")
    if donor is not None and (facts.n_donors or 0) > 2 and facts.source_name("donor") is not None:
        text += """
from titin.load import LeaveOneDonorOut, Loader

train, test = next(LeaveOneDonorOut.from_atlas(atlas).split())
for X, obs in Loader(atlas, batch_size=256, cells=train):  # CSR, shuffled; obs has the labels
    break"""
    else:
        text += """
for X, obs in titin.Loader(atlas, batch_size=256):  # CSR, shuffled; obs has the labels
    break"""
    return block("python", text)


def _scipy(facts: CardFacts) -> str:
    value = facts.manifest.value_kind.entries
    names = facts.manifest.shards(facts.layout.expression)
    return block(
        "python",
        f"""import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

file = pq.ParquetFile({quoted(names[0])})
cells = file.read_row_group(0)  # the first of file.num_row_groups
genes, {value} = (cells[name].combine_chunks() for name in ("{layout.GENES}", "{value}"))
lengths = genes.value_lengths().to_numpy()
indptr = np.concatenate([[0], np.cumsum(lengths)])
shape = (len(cells), {facts.manifest.n_genes})
X = csr_matrix(({value}.flatten().to_numpy(), genes.flatten().to_numpy(), indptr), shape=shape)
var = {read_plain(facts)}
obs = pd.DataFrame(index=cells["{layout.CELL_ID}"].to_pylist())
adata = ad.AnnData(X, obs=obs, var=var.set_index(var["{layout.GENE}"].astype(str).to_numpy()))
adata.var_names_make_unique()""",
    )


def read_plain(facts: CardFacts) -> str:
    """How pyarrow reads the table of genes without making an index of it."""
    names = facts.manifest.shards(facts.layout.feature_metadata)
    if len(names) == 1:
        return f"pq.read_table({quoted(names[0])}).to_pandas(ignore_metadata=True)"
    return f"pq.read_table({quoted(names)}).to_pandas(ignore_metadata=True)"


def _r(facts: CardFacts) -> str:
    name = facts.manifest.shards(facts.layout.sample_metadata)[0]
    expression = facts.manifest.shards(facts.layout.expression)[0]
    value = facts.manifest.value_kind.entries
    return (
        block(
            "r",
            f"""library(arrow)
library(Matrix)

obs <- read_parquet({quoted(name)})
cells <- read_parquet({quoted(expression)}, col_select = c("{layout.CELL_ID}", "{layout.GENES}", "{value}"))
X <- sparseMatrix(
  i = unlist(cells${layout.GENES}) + 1,  # tokens begin at 0
  p = c(0, cumsum(lengths(cells${layout.GENES}))),
  x = as.numeric(unlist(cells${value})),
  dims = c({facts.manifest.n_genes}, nrow(cells)), dimnames = list(NULL, cells${layout.CELL_ID})
)""",
        )
        + "\n\nGenes are rows there, as Seurat and SingleCellExperiment want them."
    )
