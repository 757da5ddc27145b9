"""Every file: what is in it, column by column."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from titin.check.hub import dtype_name
from titin.dataset import layout
from titin.dataset.description import describe_values
from titin.dataset.manifest import ARRAY_GROUPS, group_of
from titin.markdown import Markdown, bullets, code, escape, listed, prose, section, table
from titin.publish import processing
from titin.publish.facts import CardConfig, CardFacts
from titin.study.tallies import summarise
from titin.text import number, say_some, size

_FEW = 12  # categories that are named one by one

_MEANINGS = {
    layout.CELL_ID: "name of the cell; the same cells in the same order in every file with one row a cell",
    layout.SOURCE_ROW: "row in the source, from 0",
    layout.GENES: "tokens of the detected genes, ascending",
    layout.COUNTS: "counts, parallel to the list before",
    layout.VALUES: "values, parallel to the list before",
    layout.LEVELS: "exact source value of each distinct count of the cell, by ascending count",
    layout.GENE: "symbol",
    layout.GENE_ID: "stable id where there is one",
    layout.GENE_IDS: "stable id where there is one",
    layout.TOKEN: "number of the gene by falling detection, from 0",
    layout.CELLS: "positions of the cells that express the gene, ascending; row numbers of the other files",
    layout.N_CELLS: "cells that express the gene",
    layout.N_COUNTS: "counts over all cells",
    layout.MEAN: "mean of the source's values over all cells",
    layout.VARIANCE: "variance of the source's values over all cells (ddof 1)",
    layout.SOURCE_COLUMN: "column in the source, from 0",
}
_OF_CELLS = {
    layout.CELL_ID: _MEANINGS[layout.CELL_ID],
    layout.AGE_NUMERIC: "age in years; of a range its middle",
    layout.AGE_YEARS: "exact age in years",
}


def files(facts: CardFacts) -> str:
    """All files, and a table of columns for each kind."""
    manifest = facts.manifest
    rows = [
        (code(name), _config_of(facts, name), f"{entry['rows']:,}" if "rows" in entry else "–", f"{entry['bytes']:,}")
        for name, entry in sorted(manifest.files.items()) if name != layout.CARD
    ]  # fmt: skip
    all_files = table(("file", "config", "rows", "bytes"), rows, (2, 3))
    kinds = (
        _matrix,
        _by_gene,
        _panel,
        _cells,
        _genes,
        _projections,
        _loadings,
        _derived,
        _further,
        _arrays,
        _documents,
        _viewer,
    )
    return section("Files", all_files, *(kind(facts) for kind in kinds))


def _config_of(facts: CardFacts, name: str) -> str:
    return next((code(c.name) for c in facts.configs if name in c.shards), "–")


def _head(facts: CardFacts, config: CardConfig, what: str) -> str:
    entries = [facts.manifest.files[shard] for shard in config.shards]
    rows, n_bytes = sum(e["rows"] for e in entries), sum(e["bytes"] for e in entries)
    where = code(config.file) if len(config.shards) == 1 else f"{len(config.shards)} shards of {code(config.file)}"
    columns = len(facts.schema(config.file).names)
    return f"{where}: {rows:,} rows × {columns:,} columns, {size(n_bytes)}. {what}"


def _config(facts: CardFacts, name: str) -> CardConfig:
    return next(c for c in facts.configs if c.name == name)


def type_name(arrow: pa.DataType) -> str:
    """Type of a column as a reader of the card knows it."""
    if pa.types.is_list(arrow):
        return f"list of {dtype_name(arrow.value_type)}"
    return "label" if pa.types.is_dictionary(arrow) else dtype_name(arrow)


def _columns(facts: CardFacts, file: str, names: list[str] | None = None) -> str:
    """Columns of a table that the format makes itself."""
    schema = facts.schema(file)
    kept = [field for field in schema if names is None or field.name in names]
    rows = [(code(f.name), type_name(f.type), _meaning_of(facts, f.name)) for f in kept]
    return table(("column", "type", "meaning"), rows)


def _meaning_of(facts: CardFacts, name: str) -> str:
    if name == layout.SCALE:
        return f"value ≈ {facts.manifest.value_kind.formula}"
    return _MEANINGS.get(name, "as in the source")


def meaning(facts: CardFacts, name: str) -> str:
    """What is known of a column of obs: the format's own, its role, what the preset says."""
    if name == layout.CELL_ID or (name in layout.AGES and name in facts.manifest.derived):
        return _OF_CELLS[name]
    if name in facts.manifest.derived:
        return Markdown(f"of the donor, from the donor table {code(facts.manifest.derived[name].get('file'))}")
    parts = [escape(facts.roles.get(name, "")), prose(facts.texts.columns.get(name, ""))]
    return Markdown("; ".join(part for part in parts if part) or "as in the source")


def _matrix(facts: CardFacts) -> str:
    config = _config(facts, "expression")
    head = _head(facts, config, "The matrix, one cell a row: two parallel lists hold what is not zero. The columns "
                                "before "
                 "them are the cell's labels.")  # fmt: skip
    decoding = (f"To decode a cell, sort its distinct counts: the i-th smallest has the value `{layout.LEVELS}[i]`."
                if facts.manifest.value_kind.has_levels else "")  # fmt: skip
    own = [n for n in facts.schema(config.file).names if n in layout.CELL_COLUMNS]
    labels = [code(n) for n in facts.schema(config.file).names if n not in own]
    return section("Expression, by cell", head, _columns(facts, config.file, own),
                   f"Labels: {', '.join(labels)}." if labels else "", decoding, level=3)  # fmt: skip


def _by_gene(facts: CardFacts) -> str:
    config = _config(facts, "expression_by_gene")
    head = _head(facts, config, "The same matrix, one gene a row: one gene over all cells is one page of each column.")
    return section("Expression, by gene", head, _columns(facts, config.file), level=3)


def _panel(facts: CardFacts) -> str:
    config, panel = _config(facts, "panel"), facts.manifest.panel
    reasons = pd.Series(panel.get("genes", {}), dtype=object).value_counts()
    kinds = ", ".join(f"{n:,} {escape(reason)}" for reason, n in reasons.items())
    unit = ("the source's own values" if not facts.manifest.value_kind.lognorm_of_counts else
            "log1p(10,000 × count / total of the cell)")  # fmt: skip
    head = _head(facts, config, f"A wide table of {len(panel.get('genes', {})):,} genes as float32 columns named by "
                                "symbol "
                 f"({unit}), with the labels before them.")  # fmt: skip
    sets = [
        f"{escape(name)}: {s['chosen']:,} of {s['genes']:,} genes; {s['absent']:,} are expressed in no cell or "
        f"unknown, {s['left_out']:,} had no room"
        for name, s in panel.get("sets", {}).items()
    ]
    return section("Panel", head, f"Chosen as: {kinds}." if kinds else "", bullets(sets), level=3)


def _cells(facts: CardFacts) -> str:
    config = _config(facts, "sample_metadata")
    schema = facts.schema(config.file)
    missing = dict(facts.missing())
    rows = []
    for field in schema:
        known = _range(facts, field) if field.name in facts.obs else f"{facts.manifest.n_cells:,} names"
        rows.append((code(field.name), type_name(field.type), meaning(facts, field.name), known,
                     f"{missing.get(field.name, 0):,}"))  # fmt: skip
    return section("Cells", _head(facts, config, "obs, one cell a row."),
                   table(("column", "type", "meaning", "values", "missing"), rows, [4]), level=3)  # fmt: skip


def _range(facts: CardFacts, field: pa.Field) -> str:
    """What values a column has: few labels by name, numbers by their range, everything else by how many there are."""
    values = facts.obs[field.name]
    if pa.types.is_boolean(field.type):
        return f"{int(values.sum()):,} true"
    if pd.api.types.is_numeric_dtype(values):
        found = summarise(values.to_numpy())
        return "–" if found is None else "{} to {}, median {}".format(*map(number, found))
    counts = facts.counts(field.name)
    if pa.types.is_dictionary(field.type) and len(counts) <= _FEW:
        return listed([code(v) for v in counts.index], _FEW)
    return f"{len(counts):,} distinct"


def _genes(facts: CardFacts) -> str:
    config = _config(facts, "feature_metadata")
    n_cells = facts.numbers(config.file, layout.N_CELLS)
    shares = [
        f"{int((n_cells > share * facts.manifest.n_cells).sum()):,} in more than {share:.0%}" for share in (0.5, 0.1)
    ]
    detected = f"Genes expressed: {', '.join(shares)} of cells; {int((n_cells == 0).sum()):,} in none."
    return section("Genes", _head(facts, config, "var, one gene a row, in the order of the tokens."),
                   _columns(facts, config.file), detected, level=3)  # fmt: skip


def _projections(facts: CardFacts) -> str:
    rows = []
    for key, entry in facts.manifest.obsm.items():
        config = next(c for c in facts.configs if c.file == entry["file"])
        names = facts.schema(config.file).names[1:]
        low, high = _extent(facts, config)
        axes = Markdown(code(names[0]) + (f" … {code(names[-1])}" if len(names) > 1 else ""))
        made = how_made(facts, key, entry)
        rows.append((code(key), f"{len(names):,}", axes, f"{number(low)} to {number(high)}", made))
    if not rows:
        return ""
    head = f"One file for each, {facts.manifest.n_cells:,} rows, cells as in the other files."
    return section("Embeddings", head, table(("embedding", "dimensions", "columns", "range", "how it was "
                                                                                             "made"), rows, [1]),
                   level=3)  # fmt: skip


def how_made(facts: CardFacts, key: str, entry: dict[str, Any]) -> str:
    """True parameters of what titin computed; of the source's own, that they are the source's."""
    if computed := entry.get("computed"):
        method = computed.get("method", key)
        settings = ", ".join(f"{k} {_shown(v)}" for k, v in (computed.get("parameters") or {}).items() if v is not None)
        seed = f", seed {computed['seed']}" if computed.get("seed") is not None else ""
        libraries = ", ".join(f"{k} {v}" for k, v in (computed.get("libraries") or {}).items())
        return f"computed by titin: {method} ({settings}{seed}){f' with {libraries}' if libraries else ''}"
    known = facts.texts.projections.get(key)
    if known and facts.synthetic is None:
        return prose(known)
    return "the source's own; the file does not prove how"


def _shown(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    return say_some(value, 4)


def _extent(facts: CardFacts, config: CardConfig) -> tuple[float, float]:
    """Least and greatest value, from the files' own statistics where they have them."""
    low, high = np.inf, -np.inf
    for shard in config.shards:
        metadata = pq.read_metadata(facts.folder / shard)
        for g in range(metadata.num_row_groups):
            for i in range(1, metadata.num_columns):
                stats = metadata.row_group(g).column(i).statistics
                if stats is not None and stats.has_min_max and not isinstance(stats.min, str | bytes):
                    low, high = min(low, float(stats.min)), max(high, float(stats.max))
    return (low, high) if np.isfinite(low) and np.isfinite(high) else (np.nan, np.nan)


def _loadings(facts: CardFacts) -> str:
    """Tables that belong to a computed embedding and have one row a gene."""
    rows = []
    for key, entry in facts.manifest.varm.items():
        names = facts.schema(entry["file"]).names[1:]
        rows.append((code(key), f"{len(names):,}", Markdown(f"{code(names[0])} … {code(names[-1])}")))
    head = "Loadings of embeddings that titin computed: one gene a row, by token."
    return section("Loadings", head, table(("varm", "dimensions", "columns"), rows, [1]), level=3) if rows else ""


def _derived(facts: CardFacts) -> str:
    """Tables computed from the dataset and kept in it."""
    texts = {"pseudobulk": "Sums of counts by donor, sample, protocol and cell type, one group a row: tokens, counts "
                           "and the number of cells that express the gene.",
             "gene_set_scores": "Gene-set scores, one cell a row, a float32 column a set.",
             "label_check": "What models trained on other donors say of each label, one cell and level a row: the "
                            "label, the likeliest type, their probabilities, whether it is contradicted.",
             **_ageing(facts),
             "regulators": "How active regulators of genes are in each type and protocol, and what changes with age; "
                           "how this was found is told in its metadata.",
             "regulator_donors": "The activity of each regulator in each donor.",
             "regulator_edges": "Which genes go with each regulator: weight, how stable it is over donors, "
                                "correlation, and whether it was known before."}  # fmt: skip
    heads = [_head(facts, config, texts[config.name]) for config in facts.configs if config.name in texts]
    return section("Computed from the above", *heads, level=3) if heads else ""


def _ageing(facts: CardFacts) -> dict[str, str]:
    """What is said of the tables of what changes with age, by the names of their configs."""
    texts = ("Donors' cells of each protocol and type of {level}, one group a row; what the next three follow from is "
             "told in its metadata.",
             "Of each gene its sums in these groups, and its changes with age by comparison.",
             "The same changes, comparison by comparison: log2 fold change a decade, its 95 % interval, p, and p "
             "adjusted within the comparison.",
             "How the fraction of each type changes a decade, with its interval.")  # fmt: skip
    start = len(f"{facts.manifest.prefix}_")
    return {
        name[start:].removesuffix(".parquet"): text.replace("{level}", code(level))
        for level, names in facts.manifest.ageing_files.items() for name, text in zip(names, texts, strict=True)
    }  # fmt: skip


def _further(facts: CardFacts) -> str:
    """Layers and raw: what each holds, in which files."""
    rows = []
    for place, entry in facts.manifest.parts.items():
        part = facts.manifest.part(place)
        values = describe_values(part.value_kind.name, part.recovery)
        rows.append((code(place), f"{part.n_genes:,}", f"{part.nnz:,}", values, code(part.layout.expression),
                     code(entry["source"]["dtype"])))  # fmt: skip
    head = ("Further matrices of the same cells, in the same order, each in two files as X is, without labels; "
            "layers have the genes and tokens of X.")  # fmt: skip
    columns = ("matrix", "genes", "non-zeros", "values", "by cell", "type in the source")
    return section("Layers", head, table(columns, rows, (1, 2)), level=3) if rows else ""


def _arrays(facts: CardFacts) -> str:
    """What is kept of obsp, varm, varp and sparse obsm: what each is, in which file."""
    rows = []
    for place, entry in facts.manifest.arrays.items():
        unit = {"cells": "cell", "genes": "gene"}.get(ARRAY_GROUPS[group_of(place)], "gene of raw")
        rows.append((code(place), unit, entry["form"], f"{entry['n_values']:,}", code(entry.get("dtype", "table")),
                     code(entry["file"])))  # fmt: skip
    head = ("Arrays of the source that belong to its cells or genes, in the same order as the other files; columns of "
            "obsp and varp are positions of these cells, and tokens.")  # fmt: skip
    columns = ("array", "one row a", "form", "values", "type", "table")
    return section("Arrays", head, table(columns, rows, (3,)), level=3) if rows else ""


def _documents(facts: CardFacts) -> str:
    keys = listed([code(key) for key in facts.uns], 20) or "nothing"
    lines = [
        f"{code(facts.layout.unstructured_metadata)}: uns, with {keys}. Settings in it of embeddings that the source "
        "brought "
        "are what the source says; nothing here proves them.",
        f"{code(layout.STRUCTURE)}: keys, columns, categories with their counts, shape, sparsity.",
        f"{code(layout.MANIFEST)}: source, settings, roles of columns, checksums of all files.",
    ]
    if processing.FILE in facts.manifest.files:
        lines.append(f"{code(processing.FILE)}: makes these tables again from the source, byte for byte.")
    if facts.repo_id:
        lines.append(f"{code('validation_report.json')}: what was checked of these files, and what was found.")
    return section("Documents", bullets(lines), level=3)


def _viewer(facts: CardFacts) -> str:
    tables = ", ".join(code(c.name) for c in facts.configs[1:])
    gene = facts.panel_genes(1)[0] if facts.panel_genes(1) else "TP53"
    wanted = code(f"\"{layout.GENE}\"='{gene}'")
    return section(
        "In the Hub's viewer",
        f"`expression` is shown first; the menu has {tables}. The viewer's search drops digits (TP53 is searched as "
        "tp), so "
        f"find a gene with a filter instead: {wanted} in `feature_metadata` or "
        "`expression_by_gene`. "
        "Long lists are cut in the preview, not in the files.", level=3,
    )  # fmt: skip
