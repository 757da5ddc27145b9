"""What other commands have left beside a dataset, read as they write it or refused in a sentence."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from titin.dataset.checksums import sha256
from titin.dataset.layout import MANIFEST
from titin.dataset.own_files import check_files
from titin.dataset.shapes import Shape, flag, list_of, one_of, optional, real, record, text, whole
from titin.dataset.strict_json import read_json
from titin.errors import TitinError
from titin.files import beside, read_bytes

_PICTURES, _PICTURE_BYTES = 6, 400_000
_PNG = b"\x89PNG\r\n\x1a\n"

_CHECK = record(
    {"title": text(), "status": text()},
    {"read": optional(text()), "findings": list_of(record({"severity": text(), "message": text()}))},
)
_VALIDATION = record(
    {"level": text(), "checks": list_of(_CHECK),
     "validation_summary": record({name: whole() for name in ("errors", "warnings", "notes", "total_tests")}
                                  | {"timestamp": text()})},
    {"verdict": text(), "facts": record({}, {"manifest_sha256": text()})},
)  # fmt: skip
_SCORE = record({
    **dict.fromkeys(("task", "split", "model", "track", "metric"), text()), "of": one_of("donor", "unit"),
    **dict.fromkeys(("leaky", "baseline"), flag), **dict.fromkeys(("value", "low", "high"), optional(real())),
    "n_donors": optional(real(0)),
})  # fmt: skip
_TASK = record({"name": text()}, {"description": text(), "not_evaluable": list_of(text())})
_BENCHMARK = record({"scores": list_of(_SCORE), "tasks": list_of(_TASK)}, {"told": list_of(text())})
_DOCUMENTS: dict[str, tuple[str, str, Shape]] = {
    "validation": ("validation_report.json", "titin validate", _VALIDATION),
    "benchmark": ("scores.json", "titin bench", _BENCHMARK),
}


def read_result(folder: Path, command: str) -> dict[str, Any] | None:
    """Read what ``validation`` or ``benchmark`` has found of a dataset; None where there is nothing.

    Raises
    ------
    TitinError
        If what is there is not as the command writes it; names the key.
    """
    name, again, shape = _DOCUMENTS[command]
    place = beside(folder, f".{command}")
    try:
        check_files(place, [name])
        document = read_json(place / name)
        shape(document)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        said = f"{place.name}/{name} is not as `{again}` writes it: {error}"
        raise TitinError(said, f"remove it, or run `{again}` again") from error
    return dict(document)


def last_validation(folder: Path) -> dict[str, Any] | None:
    """What the last validation of a dataset said, and whether it was of the dataset as it is now; None without one.

    Returns
    -------
    dict or None
        ``timestamp``, ``level``, ``verdict``, ``errors``, ``warnings``; ``current``: whether ``titin.json``, which has
        the checksums of all files, is the same; None where the report does not say of which it was.

    Raises
    ------
    TitinError
        If the report is not as `titin validate` writes it.
    """
    document = read_result(folder, "validation")
    if document is None:
        return None
    summary = document["validation_summary"]
    return {
        "timestamp": summary["timestamp"], "level": document["level"], "verdict": document.get("verdict"),
        "errors": summary["errors"], "warnings": summary["warnings"], "current": is_current(folder, document),
    }  # fmt: skip


def is_current(folder: Path, document: Mapping[str, Any]) -> bool | None:
    """Whether the report of a validation is of a dataset as it is now; None where it does not say of which it was."""
    of = document.get("facts", {}).get("manifest_sha256")
    return None if of is None else bool(of == sha256(folder / MANIFEST))


def describe_validation(found: Mapping[str, Any] | None, dataset: str) -> str:
    """Turn what `last_validation` gives into a sentence; ``dataset`` is named in what to do."""
    again = f"titin validate {shlex.quote(dataset)}"
    if found is None:
        return f"not yet: {again}"
    if "problem" in found:
        return f"not known: {found['problem']}"
    said = found["verdict"] or f"{found['errors']:,} errors, {found['warnings']:,} warnings."
    if found["current"] is None:
        return f"{found['timestamp']}: {said}"
    return f"{found['timestamp']}: {said}" if found["current"] else f"not since it was changed: {again} --force"


def read_pictures(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Read the figures of the benchmark: name and PNG, of those that are small enough for a page."""
    place = beside(folder, ".benchmark") / "figures"
    for path in sorted(place.glob("*.png"))[:_PICTURES]:
        try:
            check_files(place, [path.name])
            picture = read_bytes(path, _PICTURE_BYTES)
        except (OSError, TitinError):
            continue
        if picture.startswith(_PNG):
            yield path.stem, picture


def findings_of(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Errors, warnings and crashed checks of a validation: severity and sentence."""
    found = [
        (str(finding["severity"]), f"{check['title']} {finding['message']}")
        for check in document["checks"] for finding in check.get("findings", [])
        if finding["severity"] in ("error", "warning")
    ]  # fmt: skip
    crashed = [check["title"] for check in document["checks"] if check["status"] == "crashed"]
    return sorted(found + [("warning", f"{t} Not known: the check crashed by a bug of titin") for t in crashed])
