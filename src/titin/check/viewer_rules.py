"""The viewer's rule for the first rows that it shows: which are left out, and which cells are cut."""

import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.hub import HubCard, NoFeatureError, dataset_info, dtype_name, features, json_features
from titin.check.registry import check
from titin.dataset import layout
from titin.dataset.store import slices

LIMIT = 200_000  # bytes of an answer
MIN_ROWS, MAX_ROWS, MIN_CELL = 10, 100, 100


@dataclass(frozen=True)
class FirstRows:
    """What the viewer shows at first: rows, columns of which cells are cut, and bytes of the answer."""

    n_rows: int
    cut: tuple[str, ...]
    n_bytes: int


def first_rows(path: Path, features_bytes: int) -> FirstRows:
    """Apply the rule to the first rows of a file.

    Rows are dropped from the end until the answer fits, but ten are kept; then cells of these are cut to 100 bytes.

    Parameters
    ----------
    features_bytes
        What the description of the columns takes of the answer.
    """
    sizes: list[dict[str, int]] = []
    total = features_bytes
    with pq.ParquetFile(path) as file:
        groups = _first_groups(file.metadata)
        for batch in file.iter_batches(batch_size=1, row_groups=groups, use_threads=False):  # a row may be of all cells
            cells = {name: cell_size(batch.column(i), 0) for i, name in enumerate(batch.schema.names)}
            n_bytes = _row_size(cells)
            if len(sizes) >= MIN_ROWS and total + n_bytes > LIMIT:
                return FirstRows(len(sizes), (), total)
            sizes.append(cells)
            total += n_bytes
            if len(sizes) >= MAX_ROWS or (len(sizes) >= MIN_ROWS and total > LIMIT):
                break
    if total > LIMIT:
        return _cut(sizes, features_bytes)
    return FirstRows(len(sizes), (), total)


def _first_groups(footer: pq.FileMetaData) -> list[int]:
    """Row groups that hold the rows that are shown at most."""
    found, n_rows = list[int](), 0
    while n_rows < MAX_ROWS and len(found) < footer.num_row_groups:
        n_rows += footer.row_group(len(found)).num_rows
        found.append(len(found))
    return found


def _cut(rows: list[dict[str, int]], features_bytes: int) -> FirstRows:
    """Cut the largest cells of the last rows first, as far as need be."""
    total = features_bytes + sum(_row_size(cells) for cells in rows)
    cut: dict[str, None] = {}
    for cells in reversed(rows):
        for name, size in sorted(cells.items(), key=lambda item: -item[1]):
            if total <= LIMIT:
                break
            if size > MIN_CELL:
                total -= size - MIN_CELL
                cut[name] = None
    return FirstRows(len(rows), tuple(cut), total)


def _row_size(cells: dict[str, int]) -> int:
    names = sum(len(json.dumps(name, ensure_ascii=False).encode()) + 2 for name in cells)
    return names + sum(cells.values()) + len('{"row_idx":10,"row":{},"truncated_cells":[]},')


def cell_size(column: pa.Array, row: int) -> int:
    """Bytes of one cell as JSON; of a long list of numbers by their digits, without making text of it."""
    value = column[row]
    if value.is_valid and (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        element = column.type.value_type
        if pa.types.is_integer(element) and not value.values.null_count:
            numbers = value.values.to_numpy(zero_copy_only=False)
            return sum(_digits(numbers[own]) for own in slices(len(numbers))) + max(1, len(numbers)) + 1
    return len(json.dumps(_plain(value.as_py()), ensure_ascii=False, separators=(",", ":"), default=str).encode())


def _digits(numbers: NDArray[np.integer[Any]]) -> int:
    """Letters of whole numbers, with their signs."""
    digits = np.floor(np.log10(np.maximum(np.abs(numbers.astype(np.float64)), 1))).astype(np.int64) + 1
    return int(digits.sum()) + int((numbers < 0).sum())


def _plain(value: Any) -> Any:
    """Floats as the viewer has them: what is not finite is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return [_plain(v) for v in value] if isinstance(value, list) else value


MAX_COLUMNS = 1_000
MAX_NAME = 500
MAX_FEATURES, WARN_FEATURES = LIMIT, 100_000  # bytes of JSON
MAX_SCAN, WARN_SCAN = 300_000_000, 30_000_000  # bytes fetched for 100 rows
MAX_CONFIGS, SHOWN_CONFIGS, MAX_SPLITS = 4_000, 100, 30
MAX_FILES_IN_FOLDER, MAX_FILES = 10_000, 100_000
_RESERVED = {"__hf_index_id", "__hf_fts_score", "__index_level_0__"}
_AGAIN = "write the card again: titin card"


@check("viewer.configs", "E1: the card has one YAML block, one default config, and every Parquet file in one config")
def configs(dataset: CheckedDataset) -> Outcome:
    """Check what the Hub reads first."""
    card = dataset.hub_card
    findings = list(card.problems)
    listed = card.matter.get("configs") or []
    default = [c.get("config_name") for c in listed if isinstance(c, dict) and c.get("default") is True]
    if default and default[0] != "expression":
        findings.append(Finding(f"the default config is {default[0]!r}, not 'expression'", layout.CARD, _AGAIN,
                                severity="warning"))  # fmt: skip
    facts = {"default": default[0] if default else None, "configs": [c.name for c in card.configs]}
    return Outcome(findings, f"{layout.CARD} and {len(card.names):,} file names", facts)


@check("viewer.dataset_info", "E2: shards of a config agree, and the card's columns, rows and bytes are the files' own")
def dataset_infos(dataset: CheckedDataset) -> Outcome:
    """Compare the schemas of shards, and ``dataset_info`` with what the files say."""
    card = dataset.hub_card
    stated = card.matter.get("dataset_info") or []
    entries = [entry for entry in (stated if isinstance(stated, list) else [stated]) if isinstance(entry, dict)]
    by_name = {entry.get("config_name", "default"): entry for entry in entries}
    findings: list[Finding] = []
    for config in card.configs:
        schema = card.schema(config.files[0])
        findings += [
            Finding(f"config {config.name!r}: {name} has other columns or types than {config.files[0]}: "
                    f"{_schema_difference(schema, card.schema(name))}", name, "build the dataset again")
            for name in config.files[1:] if not _same(schema, card.schema(name))
        ]  # fmt: skip
        paths = {split: [card.folder / name for name in names] for split, names in config.splits.items()}
        footers = {card.folder / name: card.footer(name) for name in config.files}
        try:
            true = dataset_info(config.name, paths, schema, footers)
        except NoFeatureError:
            continue  # E4 says so
        if config.name in by_name:
            findings += _compare(config.name, by_name.pop(config.name), true)
        else:
            findings.append(Finding(f"config {config.name!r} has no dataset_info: its page is slower to appear",
                                    layout.CARD, _AGAIN, severity="warning"))  # fmt: skip
    findings += [Finding(f"dataset_info describes a config {name!r}, which there is not", layout.CARD, _AGAIN)
                 for name in by_name]  # fmt: skip
    return Outcome(findings, f"footers of {sum(len(c.files) for c in card.configs):,} Parquet files")


def _same(one: pa.Schema, other: pa.Schema) -> bool:
    return one.names == other.names and [f.type for f in one] == [f.type for f in other]


def _schema_difference(one: pa.Schema, other: pa.Schema) -> str:
    for ours, theirs in zip(one, other, strict=False):
        if (ours.name, ours.type) != (theirs.name, theirs.type):
            return f"{theirs.name} ({theirs.type}) for {ours.name} ({ours.type})"
    return f"{len(other)} columns for {len(one)}"


def _compare(name: str, stated: dict[str, Any], true: dict[str, Any]) -> Iterator[Finding]:
    columns = {entry["name"]: entry for entry in true["features"]}
    told = {entry.get("name"): entry for entry in stated.get("features") or [] if isinstance(entry, dict)}
    if list(told.values()) != true["features"]:
        wrong = next((n for n in [*columns, *told] if columns.get(n) != told.get(n)), "their order")
        yield Finding(f"dataset_info of {name!r} does not describe the columns of its files (first: {wrong})",
                      layout.CARD, _AGAIN)  # fmt: skip
    splits = {entry.get("name"): entry for entry in stated.get("splits") or [] if isinstance(entry, dict)}
    for split in true["splits"]:
        for key in ("num_examples", "num_bytes"):
            said = splits.get(split["name"], {}).get(key)
            if said != split[key]:
                yield Finding(f"dataset_info of {name!r} says {key}: {said}; the files have {split[key]}",
                              layout.CARD, _AGAIN)  # fmt: skip
    for key in ("download_size", "dataset_size"):
        if stated.get(key) != true[key]:
            yield Finding(f"dataset_info of {name!r} says {key}: {stated.get(key)}; it is {true[key]}", layout.CARD,
                          _AGAIN)  # fmt: skip


_FEWER = "build again with fewer columns (--obs, --no-obs) or without the embedding (--no-obsm)"


@check("viewer.columns", "E3: at most 1,000 columns a config, with names that the viewer and its search can use")
def columns(dataset: CheckedDataset) -> Outcome:
    """Check number and names of columns."""
    card = dataset.hub_card
    findings: list[Finding] = []
    facts: dict[str, Any] = {}
    for config, schema in _schemas(card):
        where = config.files[0]
        facts[config.name] = len(schema)
        if len(schema) > MAX_COLUMNS:
            findings.append(Finding(f"config {config.name!r} has {len(schema):,} columns; the viewer shows none of a "
                                    f"table with more than {MAX_COLUMNS:,}", where, _FEWER))  # fmt: skip
        findings += [
            Finding(f"a column's name has {len(n):,} characters ({n[:40]}…); at most {MAX_NAME}", where, "rename it")
            for n in schema.names if len(n) > MAX_NAME
        ]  # fmt: skip
        folded: dict[str, str] = {}
        for name in schema.names:
            other = folded.setdefault(name.casefold(), name)
            if other is not name or schema.names.count(name) > 1:
                findings.append(Finding(f"columns {other!r} and {name!r} differ in case alone; filters confuse them",
                                        where, "rename one"))  # fmt: skip
            if name in _RESERVED:
                findings.append(Finding(f"a column is called {name}, which the viewer uses itself", where, "rename it"))
            if name.endswith(".length") and name.removesuffix(".length") in schema.names:
                findings.append(Finding(f"columns {name.removesuffix('.length')!r} and {name!r}: search and filter "
                                        "fail", where, "rename one"))  # fmt: skip
        findings += _description_size(config.name, schema, where)
    return Outcome(findings, f"schemas of {len(card.configs)} configs", {"columns": facts})


def _description_size(config: str, schema: pa.Schema, where: str) -> Iterator[Finding]:
    try:
        size = len(json.dumps(json_features(schema), separators=(",", ":")).encode())
    except NoFeatureError:
        return
    if size > WARN_FEATURES:
        severe = size > MAX_FEATURES
        yield Finding(
            f"the description of the columns of {config!r} takes {size:,} bytes; the most is {MAX_FEATURES:,}",
            where, f"{_FEWER}, or with shorter names", severity="error" if severe else "warning",
        )  # fmt: skip


def _schemas(card: HubCard) -> Iterator[tuple[Any, pa.Schema]]:
    for config in card.configs:
        yield config, card.schema(config.files[0])


_RARE = {
    "string_view": "no statistics, no search", "float16": "few readers know it", "binary": "no statistics",
    "large_binary": "no statistics", "uint64": "values above 2^63 are lost in some readers",
}  # fmt: skip


@check("viewer.types", "E4: no column of a type that the viewer cannot open or describe")
def types(dataset: CheckedDataset) -> Outcome:
    """Check the types of all columns."""
    card = dataset.hub_card
    findings: list[Finding] = []
    for config, schema in _schemas(card):
        for field in schema:
            where = f"{config.files[0]}, column {field.name}"
            try:
                features(pa.schema([field]))
            except NoFeatureError as error:
                said = f"{field.name!r} has type {error.arrow}, which breaks the whole config {config.name!r}"
                findings.append(Finding(said, where, error.hint))
                continue
            if reason := _loses(field.type):
                findings.append(Finding(f"{field.name!r} is {field.type}: {reason}", where, severity="warning"))
    return Outcome(findings, f"schemas of {len(card.configs)} configs")


def _loses(arrow: pa.DataType) -> str | None:
    """What a column of this type has not in the viewer."""
    if pa.types.is_fixed_size_list(arrow):
        return "no statistics; a list of variable size has them"
    if pa.types.is_nested(arrow) and not pa.types.is_struct(arrow):
        return None
    if pa.types.is_decimal(arrow) or pa.types.is_duration(arrow):
        return "no statistics"
    return None if pa.types.is_struct(arrow) else _RARE.get(dtype_name(arrow))


@check("viewer.pages", "E5: every column chunk has an offset index, and any 100 rows are at most 300 MB to fetch")
def pages(dataset: CheckedDataset) -> Outcome:
    """Compute from the offset indexes what the viewer must fetch for the worst page of 100 rows."""
    card = dataset.hub_card
    findings: list[Finding] = []
    facts: dict[str, int] = {}
    for _, name in card.parquet():
        footer = card.footer(name)
        bare, first = footer.bare
        if bare:
            findings.append(Finding(f"{bare:,} column chunks have no offset index (first: {first}); the viewer "
                                    "reads whole row groups", name, "write it with write_page_index=True"))  # fmt: skip
        facts[name], row = footer.window
        if facts[name] > WARN_SCAN:
            severe = facts[name] > MAX_SCAN
            findings.append(Finding(
                f"100 rows from row {row:,} take {facts[name]:,} bytes to fetch; the most is {MAX_SCAN:,}", name,
                "write smaller row groups or pages", severity="error" if severe else "warning",
            ))  # fmt: skip
        if footer.largest_group > MAX_SCAN:
            said = f"a row group has {footer.largest_group:,} bytes; readers without an index fetch it whole"
            findings.append(Finding(said, name, "write smaller row groups", severity="warning"))
    n_chunks = sum(card.footer(name).n_chunks for _, name in card.parquet())
    return Outcome(findings, f"offset indexes of {n_chunks:,} column chunks", {"largest_100_rows": facts})


@check("viewer.first_rows", "E6: the viewer can show at least ten rows of every config")
def shown_rows(dataset: CheckedDataset) -> Outcome:
    """Apply the viewer's rule for what it cuts."""
    card = dataset.hub_card
    findings: list[Finding] = []
    facts: dict[str, Any] = {}
    for config, schema in _schemas(card):
        try:
            described = len(json.dumps(json_features(schema), separators=(",", ":")).encode())
        except NoFeatureError:
            continue
        name = config.files[0]
        try:
            shown = first_rows(card.folder / name, described)
        except (OSError, pa.ArrowException) as error:
            findings.append(Finding(f"the first rows cannot be read: {error}", name, "restore it, or build again"))
            continue
        facts[config.name] = {"rows": shown.n_rows, "cut": list(shown.cut), "bytes": shown.n_bytes}
        if shown.n_bytes > LIMIT:
            findings.append(Finding(f"ten rows of {config.name!r} take {shown.n_bytes:,} bytes even with their cells "
                                    f"cut; the most is {LIMIT:,}", name, _FEWER))  # fmt: skip
    return Outcome(findings, f"the first rows of {len(facts)} configs", {"shown": facts})


@check("viewer.limits", "E7: no more configs, splits and files than the Hub takes")
def limits(dataset: CheckedDataset) -> Outcome:
    """Count."""
    card = dataset.hub_card
    findings: list[Finding] = []
    n = len(card.configs)
    if n > SHOWN_CONFIGS:
        findings.append(Finding(f"{n:,} configs; the Hub describes the first {SHOWN_CONFIGS} in full and takes "
                                f"{MAX_CONFIGS:,}", layout.CARD, "join some",
                                severity="error" if n > MAX_CONFIGS else "warning"))  # fmt: skip
    findings += [
        Finding(f"config {c.name!r} has {len(c.splits)} splits; the most is {MAX_SPLITS}", layout.CARD, "join some")
        for c in card.configs if len(c.splits) > MAX_SPLITS
    ]  # fmt: skip
    folders: dict[str, int] = {}
    for name in card.names:
        parent = PurePosixPath(name).parent.as_posix()
        folders[parent] = folders.get(parent, 0) + 1
    findings += [
        Finding(f"{count:,} files in one folder; the Hub takes {MAX_FILES_IN_FOLDER:,}", folder, "write larger shards")
        for folder, count in folders.items() if count > MAX_FILES_IN_FOLDER
    ]  # fmt: skip
    if len(card.names) > MAX_FILES:
        findings.append(Finding(f"{len(card.names):,} files; the Hub takes {MAX_FILES:,}", None, "write larger shards"))
    return Outcome(findings, f"{len(card.names):,} file names")


LOAD_BYTES = 100_000_000  # larger configs are streamed only: loading writes several times their size to disk
_SHOWN_ERROR = 300

# runs by itself: offline, in an empty cache, away from whatever the caller has set up
_SCRIPT = """
import json, os, sys
import datasets
datasets.disable_progress_bars()
folder, wanted = json.load(sys.stdin)
answer = {"names": datasets.get_dataset_config_names(folder), "default": None, "configs": {}}
answer["default"] = datasets.get_dataset_default_config_name(folder)
for name, load in wanted.items():
    found = answer["configs"].setdefault(name, {})
    try:
        stream = datasets.load_dataset(folder, name, split="train", streaming=True)
        found["streamed"] = sum(1 for _ in stream.take(3))
        found["columns"] = list(stream.column_names or [])
        if load:
            loaded = datasets.load_dataset(folder, name, split="train")
            found["rows"] = loaded.num_rows
            found["columns"] = loaded.column_names
    except Exception as error:
        cause = error.__cause__ or error
        found["error"] = f"{type(error).__name__}: {cause}"
print("\\n" + json.dumps(answer), flush=True)
os._exit(0)  # threads of its libraries were seen to abort the process when it ended by itself
"""


@check("viewer.load", "the library `datasets` opens every config, streaming and not, with the rows there are",
       level="full")  # fmt: skip
def load(dataset: CheckedDataset) -> Outcome:
    """Load every config offline, in a process of its own; configs above 100 MB are streamed only."""
    if importlib.util.find_spec("datasets") is None:
        return Outcome(skipped="`datasets` is not installed (pip install 'titin[datasets]')")
    card = dataset.hub_card
    if card.problems or not card.configs:
        return Outcome(skipped="the configs cannot be used; see viewer.configs")
    sizes = {c.name: sum((card.folder / name).stat().st_size for name in c.files) for c in card.configs}
    answer = _ask(str(dataset.folder.resolve()), {name: n <= LOAD_BYTES for name, n in sizes.items()})
    if isinstance(answer, str):
        return Outcome([Finding(f"`datasets` does not open the folder: {answer}", str(dataset.folder))])
    findings: list[Finding] = []
    if answer["names"] != [c.name for c in card.configs]:
        findings.append(Finding(f"`datasets` finds the configs {', '.join(answer['names'])}"))
    for config in card.configs:
        found = answer["configs"][config.name]
        rows = sum(card.footer(name).n_rows for name in config.files)
        if "error" in found:
            findings.append(Finding(f"`datasets` does not open {config.name!r}: {found['error'][:_SHOWN_ERROR]}",
                                    config.files[0]))  # fmt: skip
        elif found.get("rows", rows) != rows or found["streamed"] != min(3, rows):
            findings.append(Finding(f"`datasets` gives {found.get('rows')} rows of {config.name!r}; there are {rows:,}",
                                    config.files[0]))  # fmt: skip
        elif found["columns"] != card.schema(config.files[0]).names:
            findings.append(Finding(f"`datasets` gives other columns of {config.name!r}", config.files[0]))
    loaded = sum(n <= LOAD_BYTES for n in sizes.values())
    read = f"{len(sizes)} configs streamed, {loaded} of them (up to {LOAD_BYTES // 10**6} MB) loaded whole too"
    return Outcome(findings, read, {"default": answer["default"], "configs": answer["configs"]})


def _ask(folder: str, wanted: dict[str, bool]) -> dict[str, Any] | str:
    """Run the script; what it says, or the reason why it says nothing."""
    with tempfile.TemporaryDirectory(prefix="titin-datasets-") as home:
        settings = {"HF_HUB_OFFLINE": "1", "HF_HOME": home, "HF_DATASETS_CACHE": home, "HF_HUB_DISABLE_TELEMETRY": "1"}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | settings
        done = _run(json.dumps([folder, wanted]), environment, home)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1][:_SHOWN_ERROR]
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def _run(asked: str, environment: dict[str, str], home: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", _SCRIPT], input=asked, env=environment, cwd=home, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
