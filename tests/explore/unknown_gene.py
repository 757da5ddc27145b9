"""A gene of which the tables of ageing know nothing, as of one that not all studies measured."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from titin.dataset.manifest import Manifest


def forget_a_gene(dataset: Path, token: int) -> str:
    """Empty the lists of a gene in the table by gene; return its name."""
    manifest = Manifest.read(dataset)
    path = dataset / manifest.ageing_files["annotation_level0"].by_gene
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[token] |= {name: [] for name, value in rows[token].items() if isinstance(value, list)}
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path, use_dictionary=False, write_page_index=True)
    manifest.files[path.name]["bytes"] = path.stat().st_size
    manifest.write(dataset)
    return rows[token]["gene"]
