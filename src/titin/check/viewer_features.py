"""What the Hub's viewer shows of columns beside their rows: statistics, search, filters, tags."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from titin.check.comparison import decoded
from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome, Severity
from titin.check.footer_summary import have_varying_pages
from titin.check.hub import HubCard, HubConfig
from titin.check.registry import check
from titin.dataset import layout

MAX_STATISTICS = 5_000_000_000  # encoded bytes of a split
MAX_CATEGORIES, MAX_CATEGORY_SHARE, ALWAYS_CATEGORIES = 1_000, 0.2, 10
MAX_IMAGES = 10
SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"), (10_000_000_000, "1B<n<10B"),
)  # fmt: skip
_READABLE = (".csv", ".tsv", ".jsonl", ".json", ".arrow", ".txt", ".xml", ".zip", ".h5", ".hdf5")
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg")
_AGAIN = "write the card again: titin card"


def size_category(n_rows: int) -> str:
    """Size as the Hub's cards name it.

    Examples
    --------
    >>> size_category(183_161)
    '100K<n<1M'
    """
    return next((label for bound, label in SIZES if n_rows < bound), "10B<n<100B")


def is_category(n_distinct: int, n_rows: int) -> bool:
    """Whether the viewer counts the values of a text column instead of measuring their lengths."""
    few = n_distinct <= MAX_CATEGORIES and n_distinct <= MAX_CATEGORY_SHARE * n_rows
    return few or n_distinct <= ALWAYS_CATEGORIES


@check(
    "viewer.statistics", "W1: no column on which the viewer's statistics of the whole config fail", severity="warning"
)
def statistics(dataset: CheckedDataset) -> Outcome:
    """Look for what makes a histogram fail: two adjacent integers, one value, infinities."""
    card = dataset.hub_card
    findings = [
        Finding(f"{field.name!r} {problem}; the viewer then shows no statistics of any column beside it",
                f"{config.files[0]}, column {field.name}", *_mend(field.type))
        for config in card.configs for field, problem in _failures(card, config)
    ]  # fmt: skip
    return Outcome(findings, "footers, texts and lengths of lists as far as needed")


def _mend(arrow: pa.DataType) -> tuple[str, Severity]:
    """What to do, and how much it matters: names and lists are what they are, and the table itself still shows."""
    if pa.types.is_integer(arrow):
        return "store 0 and 1 as booleans", "warning"
    if pa.types.is_floating(arrow):
        return "put missing values in the place of infinite ones", "warning"
    return "the table itself shows all the same", "note"


def _failures(card: HubCard, config: HubConfig) -> Iterator[tuple[pa.Field, str]]:
    schema = card.schema(config.files[0])
    numbers = {f.name for f in schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)}
    ranges = _ranges(card, config.files, numbers)
    for field in schema:
        arrow = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        problem = None
        if field.name in ranges:
            problem = _number_problem(*ranges[field.name], whole=pa.types.is_integer(arrow))
        elif pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
            lengths = _adjacent(_batches(card, config.files, field.name), pc.list_value_length)
            problem = f"has lists of {lengths} elements alone" if lengths else None
        elif pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
            problem = _text_problem(card, config.files, field)
        if problem:
            yield field, problem


def _number_problem(low: float, high: float, n_values: int, *, whole: bool) -> str | None:
    if n_values == 1:
        return "has a single value"
    if whole:
        return f"is {low} or {high} alone" if high - low == 1 else None
    return "has infinite values" if n_values and (np.isneginf(low) or np.isposinf(high)) else None


def _ranges(card: HubCard, files: Sequence[str], names: set[str]) -> dict[str, tuple[float, float, int]]:
    """Least and greatest value of columns, and how many there are; from the footers as far as they say."""
    found: dict[str, tuple[float, float, int]] = {}
    for file in files:
        opened = pq.ParquetFile(card.folder / file)
        for g in range(opened.metadata.num_row_groups):
            group = opened.metadata.row_group(g)
            for i in range(group.num_columns):
                column = group.column(i)
                name = column.path_in_schema
                if name not in names:
                    continue
                low, high, n = found.get(name, (np.inf, -np.inf, 0))
                stats = column.statistics
                if stats is not None and stats.has_min_max and stats.has_null_count:
                    bounds, n = (stats.min, stats.max), n + column.num_values - stats.null_count
                else:
                    part = opened.read_row_group(g, [name]).column(0).drop_null()
                    bounds, n = tuple(pc.min_max(part).as_py().values()), n + len(part)
                if bounds[0] is not None:
                    low, high = min(low, bounds[0]), max(high, bounds[1])
                found[name] = low, high, n
    return found


def _text_problem(card: HubCard, files: tuple[str, ...], field: pa.Field) -> str | None:
    lengths = _adjacent(_batches(card, files, field.name), pc.utf8_length)
    if lengths is None:
        return None
    distinct: set[Any] = set()
    n_rows = 0
    for column in _batches(card, files, field.name):
        distinct.update(pc.unique(decoded(column)).to_pylist())
        n_rows += len(column)
        if len(distinct) > max(MAX_CATEGORIES, ALWAYS_CATEGORIES) + 1:  # names of cells need not all be known for that
            break
    distinct.discard(None)
    return None if is_category(len(distinct), n_rows) else f"has texts of {lengths} characters alone"


def _batches(card: HubCard, files: tuple[str, ...], name: str) -> Iterator[pa.ChunkedArray]:
    for file in files:
        opened = pq.ParquetFile(card.folder / file)
        for group in range(opened.metadata.num_row_groups):
            yield opened.read_row_group(group, [name]).column(0)


def _adjacent(parts: Iterator[pa.ChunkedArray], length: Callable[[Any], Any]) -> str | None:
    """Name the two lengths, if there are but two and they are adjacent; two further apart end the search."""
    low, high, n = np.inf, -np.inf, 0
    for column in parts:
        bounds = pc.min_max(length(decoded(column))).as_py()
        n += len(column) - column.null_count
        if bounds["min"] is not None:
            low, high = min(low, bounds["min"]), max(high, bounds["max"])
        if high - low > 1:
            return None
    if n == 1:
        return f"{int(low):,} (one row)"
    return f"{int(low):,} or {int(high):,}" if n and high - low == 1 else None


@check("viewer.size", "W2: statistics, search and filter cover every row", severity="warning")
def covered(dataset: CheckedDataset) -> Outcome:
    """Sum the encoded bytes of each split."""
    card = dataset.hub_card
    sizes = {
        f"{config.name}/{split}": sum(card.footer(name).encoded for name in names)
        for config in card.configs for split, names in config.splits.items()
    }  # fmt: skip
    findings = [
        Finding(f"{name} has {n:,} encoded bytes; statistics and search cover the first {MAX_STATISTICS:,}", name)
        for name, n in sizes.items() if n > MAX_STATISTICS
    ]  # fmt: skip
    return Outcome(findings, f"footers of {len(sizes)} splits", {"encoded_bytes": sizes})


@check("viewer.modality", "W3: the Hub's automatic tags fit the data", severity="note")
def modality(dataset: CheckedDataset) -> Outcome:
    """Look for lists of float32, which make the Hub tag a dataset as a time series unless their name has "emb"."""
    card = dataset.hub_card
    findings = [
        Finding(f"the Hub tags the dataset as a time series because of the lists of float32 in {field.name!r}",
                f"{c.files[0]}, column {field.name}", "nothing breaks: a tag of the Hub's own that cannot be removed")
        for c in card.configs for field in card.schema(c.files[0])
        if pa.types.is_list(field.type) and pa.types.is_float32(field.type.value_type) and "emb" not in field.name
    ]  # fmt: skip
    return Outcome(findings, f"schemas of {len(card.configs)} configs")


@check("viewer.chunking", "W4: files are chunked by content, so that the Hub stores and sends only what changed",
       severity="warning")  # fmt: skip
def chunking(dataset: CheckedDataset) -> Outcome:
    """Look for the writer's mark, or pages of varying size."""
    card = dataset.hub_card
    findings = []
    for _, name in card.parquet():
        marked = any("content_defined_chunking" in key for key in card.footer(name).metadata)
        if not marked and not have_varying_pages(card.folder / name):
            findings.append(Finding("the file is not chunked by content: a small change uploads it whole", name,
                                    "write it with use_content_defined_chunking=True"))  # fmt: skip
    return Outcome(findings, f"footers of {sum(len(c.files) for c in card.configs):,} files")


@check("viewer.categories", "W5: label columns are few enough in values for the viewer to count them", severity="note")
def categories(dataset: CheckedDataset) -> Outcome:
    """Count the distinct labels of the table of cells."""
    card = dataset.hub_card
    findings = []
    config = next((c for c in card.configs if c.name == "sample_metadata"), None)
    if config is None:
        return Outcome(skipped="there is no config sample_metadata")
    schema = card.schema(config.files[0])
    names = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    for name in names:
        values: set[Any] = set()
        n_rows = 0
        for column in _batches(card, config.files, name):
            values.update(pc.unique(decoded(column)).to_pylist())
            n_rows += len(column)
        values.discard(None)
        if not is_category(len(values), n_rows):
            findings.append(Finding(f"{name!r} has {len(values):,} labels in {n_rows:,} rows: the viewer shows lengths "
                                    "of their names instead of counts",
                                    f"{config.files[0]}, column {name}"))  # fmt: skip
    return Outcome(findings, f"{len(names)} label columns")


@check("viewer.other_files", "W6: nothing else in the folder that the viewer could take for data", severity="warning")
def other_files(dataset: CheckedDataset) -> Outcome:
    """Look for files that no config and no manifest names."""
    card = dataset.hub_card
    ours = {layout.MANIFEST, layout.CARD, *dataset.manifest.files}
    findings = [
        Finding(f"{name} is in no config and not in {layout.MANIFEST}; the Hub may read it", name, "move it elsewhere")
        for name in card.names if name.endswith(_READABLE) and name not in ours
    ]  # fmt: skip
    images = [name for name in card.names if name.casefold().endswith(_IMAGES)]
    if len(images) >= MAX_IMAGES:
        findings.append(Finding(f"{len(images)} images: from {MAX_IMAGES} on the Hub takes a dataset for one of images",
                                images[0], "keep them elsewhere and link to them"))  # fmt: skip
    return Outcome(findings, f"{len(card.names):,} file names")


@check("viewer.search_hint", "W7: the card says how to find a gene, as search drops digits", severity="warning")
def search_hint(dataset: CheckedDataset) -> Outcome:
    """Look for the advice in the card's text."""
    card = dataset.hub_card
    told = any("search" in sentence and "digit" in sentence for sentence in card.text.casefold().split("."))
    findings = [] if told else [
        Finding("the card does not say that the viewer's search drops digits (TP53 becomes tp); a filter finds genes",
                layout.CARD, _AGAIN)
    ]  # fmt: skip
    return Outcome(findings, layout.CARD)


@check("viewer.metadata", "W8: the card's YAML names licence, title, tags, tasks, language and the right size",
       severity="warning")  # fmt: skip
def metadata(dataset: CheckedDataset) -> Outcome:
    """Check what people search the Hub by."""
    card = dataset.hub_card
    if not card.matter:
        return Outcome(skipped="the card has no YAML block that can be read")
    findings = [Finding(f"the card's YAML has no {key}", layout.CARD, _AGAIN)
                for key in ("pretty_name", "tags", "task_categories", "size_categories", "language")
                if not card.matter.get(key)]  # fmt: skip
    if not card.matter.get("license"):
        findings.append(Finding("the card names no licence, so nobody may use the data", layout.CARD,
                                "titin card DATASET --license ID", severity="note"))  # fmt: skip
    size, stated = size_category(dataset.manifest.n_cells), card.matter.get("size_categories")
    if stated and stated not in (size, [size]):
        findings.append(Finding(f"size_categories says {stated}; {dataset.manifest.n_cells:,} cells are {size}",
                                layout.CARD, _AGAIN))  # fmt: skip
    return Outcome(findings, layout.CARD)
