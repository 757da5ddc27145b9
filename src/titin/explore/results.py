"""What commands have left beside a dataset, for the page of results: validation, benchmark, analyses of ageing."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from titin.ageing import ANALYSES
from titin.dataset import layout
from titin.dataset.layout import MANIFEST
from titin.dataset.own_files import check_files
from titin.dataset.shapes import list_of, optional, record, table_of, text, whole
from titin.dataset.strict_json import read_json
from titin.errors import TitinError
from titin.files import beside
from titin.report.beside import is_current, read_result

SUFFIX = ".ageing"
ROWS = 500  # of a table that the page shows, the clearest first; the others lie in the file that it names
_MOST_BYTES, _MOST_FILES = 256 << 20, 100
_SCORES = ("task", "split", "model", "track", "leaky", "baseline", "of", "metric", "value", "low", "high", "n_donors")
_RESULT = record(
    {"result": text(), "settings": record({}, {"method": optional(text()), "formula": optional(text())}),
     "tables": table_of(record({"file": text(layout.FILE), "rows": whole()}))},
    {"caveat": text(), "skipped": list_of(record({"reason": text()}))},
)  # fmt: skip


def collect_results(dataset: Path) -> dict[str, Any]:
    """Read what `titin validate`, `titin bench` and `titin age` have left beside a dataset.

    Parameters
    ----------
    dataset
        Its folder.

    Returns
    -------
    dict
        JSON-safe. ``validation`` and ``benchmark``, None where there is nothing; ``ageing``, a list of results with
        their tables; ``not_run``, analyses of ageing without a result, by name; ``problems``, what could not be read,
        in sentences.
    """
    problems: list[str] = []
    found: dict[str, Any] = {"validation": None, "benchmark": None}
    for name, make in (("validation", _validation), ("benchmark", _benchmark)):
        try:
            document = read_result(dataset, name)
        except TitinError as error:
            problems.append(str(error.args[0]))
            continue
        found[name] = None if document is None else make(dataset, document)
    ageing = list(_ageing(dataset, problems))
    run = {one["analysis"] for one in ageing}
    not_run = {one.name: one.summary for one in ANALYSES if one.name not in run}
    return {"schema_version": 1, **found, "ageing": ageing, "not_run": not_run, "problems": problems}


def _validation(dataset: Path, document: dict[str, Any]) -> dict[str, Any]:
    checks = [
        {"name": str(one.get("name", "")), "title": one["title"], "status": one["status"], "read": one.get("read"),
         "findings": [{"severity": finding["severity"], "message": finding["message"]}
                      for finding in one.get("findings", [])]}
        for one in document["checks"]
    ]  # fmt: skip
    summary = document["validation_summary"]
    return {
        "verdict": document.get("verdict"), "level": document["level"], "timestamp": summary["timestamp"],
        "errors": summary["errors"], "warnings": summary["warnings"], "notes": summary["notes"], "checks": checks,
        "current": is_current(dataset, document),
    }  # fmt: skip


def _benchmark(_: Path, document: dict[str, Any]) -> dict[str, Any]:
    tasks = [{"name": one["name"], "description": one.get("description", ""),
              "not_evaluable": one.get("not_evaluable", [])} for one in document["tasks"]]  # fmt: skip
    return {"scores": [{name: score[name] for name in _SCORES} for score in document["scores"]], "tasks": tasks,
            "told": document.get("told", [])}  # fmt: skip


def _ageing(dataset: Path, problems: list[str]) -> Iterator[dict[str, Any]]:
    """Results of `titin age`, by the names of their files; what is not as the command writes it is told of."""
    folder = beside(dataset, SUFFIX)
    try:
        files = sorted(folder.glob("*.json"))
        changed = (dataset / MANIFEST).stat().st_mtime
    except OSError:
        return
    if len(files) > _MOST_FILES:
        problems.append(f"{folder.name} has {len(files):,} files of results: the first {_MOST_FILES} are shown")
    for file in files[:_MOST_FILES]:
        try:
            check_files(folder, [file.name])
            document = read_json(file)
            _RESULT(document)
            tables = {name: _table(folder, told["file"]) for name, told in document["tables"].items()}
            older = file.stat().st_mtime < changed
        except (OSError, ValueError, TitinError, pa.ArrowException) as error:
            why = error.args[0] if isinstance(error, TitinError) else error
            problems.append(f"{folder.name}/{file.name} is not as `titin age` writes it: {why}")
            continue
        yield {
            "name": file.stem, "analysis": _analysis_of(file.stem), "method": document["settings"].get("method"),
            "formula": document["settings"].get("formula"), "caveat": document.get("caveat", ""), "older": older,
            "not_evaluable": len(document.get("skipped", [])), "tables": tables,
        }  # fmt: skip


def _analysis_of(stem: str) -> str:
    names = [one.name for one in ANALYSES if stem == one.name or stem.startswith(f"{one.name}_")]
    return max(names, key=len, default="")


def _table(folder: Path, name: str) -> dict[str, Any]:
    """A table as columns and rows, those with the least p first where it has any; at most `ROWS`."""
    check_files(folder, [name])
    file = folder / name
    if file.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{name} has more than {_MOST_BYTES >> 20} MiB")
    if file.suffix != ".parquet":
        return {"file": name, "n_rows": None, "columns": [], "rows": []}  # for people, and not read here
    table = pq.read_table(file).to_pandas()
    named = table if table.index.name is None else table.reset_index()
    if "p_value" in named and pd.api.types.is_numeric_dtype(named["p_value"]):
        named = named.sort_values("p_value", kind="stable")
    shown = named.head(ROWS)
    columns = [str(column) for column in named.columns]
    rows = [[_entry(value) for value in row] for row in shown.itertuples(index=False, name=None)]
    return {"file": name, "n_rows": len(named), "columns": columns, "rows": rows}


def _entry(value: Any) -> Any:
    """A number, a truth, a text or nothing."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)
