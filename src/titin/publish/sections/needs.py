"""What reading takes of memory, and what to do where something does not work."""

from titin.dataset import layout
from titin.markdown import Markdown, bullets, code, section, table
from titin.publish.facts import CardFacts
from titin.text import size

_POINTER, _COLUMN, _VALUE = 8, 4, 4  # bytes a row, and an entry, of a CSR matrix of float32


def memory(facts: CardFacts) -> str:
    """Bytes of each way to hold the data, computed from their sizes."""
    manifest = facts.manifest
    n, m = manifest.n_cells, manifest.n_genes
    sparse = manifest.nnz * (_COLUMN + _VALUE) + (n + 1) * _POINTER
    panel = len(manifest.panel.get("genes", {}))
    rows: list[tuple[str, str]] = [
        ("labels of the cells (obs)", size(int(facts.obs.memory_usage(deep=True).sum()))),
        ("one gene over all cells", size(n * _VALUE)),
    ]
    if panel:
        rows.append((f"the panel, {panel:,} genes", size(n * panel * _VALUE)))
    rows += [
        ("all genes as a sparse matrix (CSR, float32)", size(sparse)),
        ("all genes as a dense table (float32)", size(n * m * _VALUE)),
    ]
    floats = sum(len(entry["columns"]) - 1 for entry in manifest.obsm.values())
    if floats:
        rows.append((f"all embeddings, {floats:,} numbers a cell", size(n * floats * _VALUE)))
    loader = Markdown(f"{code('titin.Loader')}, {code('atlas.iter_blocks()')}, row groups")
    rows.append((loader, "labels, and some thousand cells at a time"))
    return section("Memory", table(("held in memory", "bytes"), rows, [1]))


def troubleshooting(facts: CardFacts) -> str:
    """What goes wrong, and what to do."""
    dense = size(facts.manifest.n_cells * facts.manifest.n_genes * _VALUE)
    default, some = facts.configs[0].name, code("titin.open('.')[:, genes].to_df()")
    lines = [
        f"**Out of memory.** A dense table takes {dense}. Take some genes ({some}), "
        f"the panel, or minibatches ({code('titin.Loader')}); pyarrow reads row group by row group.",
        f"**A gene is not found.** {code(layout.GENE)} in {code(facts.layout.feature_metadata)} has the names, and "
        f"{code(layout.GENE_ID)} stable ids where there are any; titin takes either, and says which are near.",
        f"**Tables do not match.** Cells are in one order in every file: join by position. pandas makes "
        f"{code(layout.CELL_ID)} the index; polars, DuckDB and R see it as a column.",
        f"**{code('load_dataset')} gives lists.** Its default config is {code(default)}, whose rows are the cells with "
        "lists of tokens and numbers; name another config for a table.",
        f"**One column a gene is wanted.** {code('titin export . --format wide --genes A,B -o genes.csv')}; "
        f"everything as AnnData: {code('titin export . --format h5ad')}.",
        f"**Is a file damaged?** {code('titin validate .')} compares every byte with {code(layout.MANIFEST)}.",
    ]
    return section("When something does not work", bullets(lines))
