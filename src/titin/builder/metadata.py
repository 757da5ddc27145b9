"""Tables of cells and genes, projections, unstructured metadata and the structure file."""

import json
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from titin.builder.job import BuildJob
from titin.builder.scan import Scan
from titin.dataset import layout
from titin.dataset.arrow import write_table
from titin.dataset.manifest import write_json
from titin.dataset.tables import encode_table
from titin.dataset.unstructured import encode_uns
from titin.errors import TitinError
from titin.study.ages import parse_ages
from titin.study.roles import read_donor_ages


@dataclass
class CellTable:
    """obs as it is stored, in the dataset's order of cells.

    Attributes
    ----------
    table
        All columns: ``cell_id``, obs, ``age_numeric`` and, with a donor table, ``age_years``.
    records
        What restores obs; see `titin.dataset.tables`.
    labels
        Names of the columns that stand beside the expression too.
    notes
        What a user should know about the ages.
    """

    table: pa.Table
    records: list[dict[str, Any]]
    labels: list[str]
    notes: list[str]

    @property
    def label_table(self) -> pa.Table:
        """``cell_id`` and the labels, text as dictionaries."""
        picked = self.table.select([layout.CELL_ID, *self.labels])
        for i, field in enumerate(picked.schema):
            if i and pa.types.is_string(field.type):
                picked = picked.set_column(i, field.name, picked.column(i).dictionary_encode())
        return picked.combine_chunks().unify_dictionaries()


def make_cell_table(job: BuildJob) -> CellTable:
    """Obs with ages, in the dataset's order."""
    obs, roles = job.source.obs, job.roles
    reserved = set(layout.CELL_COLUMNS)
    ages, notes = _ages(job)
    table, records = encode_table(obs, index_name=layout.CELL_ID, reserved=reserved | set(ages))
    for name, years in ages.items():
        table = table.append_column(name, pa.array(years.to_numpy(), pa.float64(), from_pandas=True))
    stored = {record["name"]: record["column"] for record in records[1:]}
    wanted = [*roles["cell_type"], *(roles[role] for role in layout.ROLES if role != "cell_type")]
    labels = list(dict.fromkeys(stored[c] for c in wanted if c is not None))
    known = [name for name in (layout.AGE_NUMERIC, layout.AGE_YEARS) if name in table.column_names]
    labels += [name for name in known if name not in labels]
    return CellTable(table.take(pa.array(job.source_rows)).combine_chunks(), records, labels, notes)


def _ages(job: BuildJob) -> tuple[dict[str, pd.Series], list[str]]:
    """Columns of ages that obs does not have itself."""
    obs, roles = job.source.obs, job.roles
    ages: dict[str, pd.Series] = {}
    notes: list[str] = []
    expected = job.options.preset.build.roles.get("age")
    if roles["age"] is None and expected in obs.columns:
        notes.append(f"{expected!r} holds no age that can be read: ages are not known")
    if roles["age"] is not None and roles["age"] != layout.AGE_NUMERIC:
        years = parse_ages(obs[roles["age"]])
        ages[layout.AGE_NUMERIC] = years
        if n_unread := int(years.isna().sum()):
            notes.append(f"{n_unread:,} cells have no age that can be read from {roles['age']!r}")
    if job.options.donors is not None:
        if roles["donor"] is None:
            raise TitinError("--donors gives ages by donor, but obs has no donor column", "name it with --donor COLUMN")
        known = read_donor_ages(job.options.donors)
        donors = donor_names(obs[roles["donor"]])
        missing = sorted(set(donors.dropna().unique()) - set(known.index))
        if len(missing) == donors.nunique():
            raise TitinError(
                f"--donors: {job.options.donors} names none of the donors in {roles['donor']!r} "
                f"({', '.join(missing[:3])} …)", "check the donor names, or name the donor column with --donor COLUMN",
            )  # fmt: skip
        if missing:
            notes.append(f"the donor table has no age for {', '.join(missing)}")
        ages[layout.AGE_YEARS] = donors.map(known).astype(np.float64)
    return ages, notes


def donor_names(column: pd.Series) -> pd.Series:
    """Donors as text, as a table of donors has them: 1.0 as 1; missing ones stay missing."""

    def name(value: Any) -> str:
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    known = {value: name(value) for value in column.dropna().unique()}
    return column.astype(object).map(known)


def write_cell_table(job: BuildJob, cells: CellTable) -> list[str]:
    """Write ``sample_metadata``."""
    table = cells.table.cast(job.index_schema(cells.table.schema, layout.CELL_ID))
    return write_table(job.out, job.layout.sample_metadata, table)


def write_gene_table(job: BuildJob, scan: Scan) -> tuple[list[str], list[dict[str, Any]]]:
    """Write ``feature_metadata``, one row a token; return its files and what restores var."""
    var, order = job.source.var, scan.source_columns
    names = job.gene_names(np.arange(len(var)))
    index = job.var_name_column
    ours = _gene_columns(job, scan, names)
    same = [c for c in var.columns if c in ours.column_names and c != index and _equal(var[c], ours.column(c))]
    rest, records = encode_table(var.drop(columns=same), index_name=index, reserved=layout.GENE_COLUMNS)
    kept, kept_records = encode_table(var[same], index_name=index)
    for record in kept_records[1:]:
        ours = ours.set_column(
            ours.column_names.index(record["column"]), record["column"], kept.column(record["column"])
        )
    by_name = {record["name"]: record for record in (*records[1:], *kept_records[1:])}
    for field in list(rest.schema)[1:]:
        ours = ours.append_column(field, rest.column(field.name))
    table = ours.take(pa.array(order)).combine_chunks()
    table = table.cast(job.index_schema(table.schema, index))
    files = write_table(job.out, job.layout.feature_metadata, table)
    return files, [records[0], *(by_name[c] for c in var.columns)]


def _gene_columns(job: BuildJob, scan: Scan, names: pa.Table) -> pa.Table:
    n_cells = job.source.X.shape[0]
    totals = scan.totals
    mean, variance = moments(totals[:, 2], totals[:, 3], n_cells)
    columns = {
        layout.GENE: names.column(layout.GENE),
        layout.GENE_IDS: names.column(layout.GENE_IDS),
        layout.TOKEN: pa.array(scan.tokens, pa.int32()),
        layout.SOURCE_COLUMN: pa.array(np.arange(len(totals)), pa.int64()),
        layout.N_CELLS: pa.array(scan.n_cells_by_gene, pa.int64()),
        layout.MEAN: pa.array(mean),
        layout.VARIANCE: pa.array(variance),
    }
    if scan.kind != "real":
        columns[layout.N_COUNTS] = pa.array(totals[:, 1].astype(np.int64), pa.int64())
    return pa.table(columns)


def moments(sums: np.ndarray, squares: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sample variance (ddof 1) from sums and sums of squares over ``n`` cells, zeros included."""
    mean = sums / n
    return mean, np.maximum(squares - n * mean * mean, 0.0) / max(n - 1, 1)


def _equal(column: pd.Series, stored: pa.ChunkedArray) -> bool:
    ours = stored.to_pandas()
    if len(column) != len(ours) or column.isna().any():
        return False
    return bool((column.astype(object).to_numpy() == ours.astype(object).to_numpy()).all())


def write_projections(job: BuildJob, left_out: dict[str, str]) -> tuple[list[str], dict[str, Any]]:
    """Write one file for each of the source's embeddings; name in ``left_out`` what is no embedding."""
    files: list[str] = []
    records: dict[str, Any] = {}
    cell_ids = pa.array(job.source.obs.index.astype(str), pa.string())
    for key in job.source.obsm:
        value = job.source.obsm[key]
        if isinstance(value, pd.DataFrame):
            frame, columns = value, None
        elif isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "fiub" and value.shape[1]:
            columns = layout.projection_columns(key, value.shape[1])
            frame = pd.DataFrame(value, columns=columns, index=job.source.obs.index)
        else:
            shape = getattr(value, "shape", None)
            left_out[f"obsm/{key}"] = f"not a table with one row a cell ({type(value).__name__}, shape {shape})"
            continue
        table, column_records = encode_table(frame, index_name=layout.CELL_ID)
        table = table.set_column(0, layout.CELL_ID, cell_ids)
        table = table.cast(job.index_schema(table.schema, layout.CELL_ID))
        name = projection_file(job.layout, key, files)
        files += write_table(job.out, name, table, job.source_rows)
        records[key] = {"file": name, "columns": column_records, "frame": columns is None}
        if columns is not None:
            records[key]["dtype"] = str(value.dtype)
    return files, records


def projection_file(names: layout.Layout, key: str, taken: list[str]) -> str:
    """File name of an embedding; keys that differ in case or odd characters alone are told apart by a number."""
    used = {name.lower() for name in taken}
    candidates = (names.projection(f"{key}_{n}" if n > 1 else key) for n in count(1))
    return next(name for name in candidates if name.lower() not in used)


def write_documents(job: BuildJob, scan: Scan, left_out: dict[str, str]) -> list[str]:
    """Write uns and the structure file."""
    document, lost = encode_uns(job.source.uns)
    left_out |= {f"uns/{path.lstrip('/')}": reason for path, reason in lost.items()}
    write_json(job.out / job.layout.unstructured_metadata, document)
    obs, var = job.source.obs, job.source.var
    n_cells, n_genes = job.source.X.shape
    types = job.roles["cell_type"]
    structure = {
        "obsm_keys": list(job.source.obsm),
        "var_columns": [str(c) for c in var.columns],
        "obs_columns": [str(c) for c in obs.columns],
        "annotation_mapping": {str(c): _counts(obs[c]) for c in types},
        "category_counts": {str(c): _counts(obs[c]) for c in obs.columns if c not in types and _few(obs[c])},
        "shape": [n_cells, n_genes],
        "nonzeros": scan.nnz,
        "sparsity": 100 * (1 - scan.nnz / (n_cells * n_genes)),
    }
    write_json(job.out / layout.STRUCTURE, structure)
    return [job.layout.unstructured_metadata, layout.STRUCTURE]


def _few(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype) and len(column.cat.categories) <= 1000


def _counts(column: pd.Series) -> dict[str, int]:
    counts = column.value_counts(sort=False)
    order = np.lexsort((counts.index.astype(str), -counts.to_numpy()))
    return {str(counts.index[i]): int(counts.iloc[i]) for i in order if counts.iloc[i]}


def check_json_safe(document: Any) -> Any:
    """Return the document as JSON would give it back."""
    return json.loads(json.dumps(document, allow_nan=False))
