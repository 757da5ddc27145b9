"""What was reported, as JSON and in words."""

from typing import Any

from titin.report.write import ReportResult
from titin.text import json_safe, size


def document_of_report(done: ReportResult) -> dict[str, Any]:
    """What was written, JSON-safe."""
    document = {
        "schema_version": 1, "answers": done.answers, "path": str(done.path), "folder": str(done.folder),
        "bytes": done.n_bytes, "seconds": done.seconds, "missing": done.missing, "sections": done.facts,
    }  # fmt: skip
    return dict(json_safe(document))


def describe_report(document: dict[str, Any]) -> str:
    """The same in words."""
    lines = [f"{name}: {reason}" for name, reasons in document["missing"].items() for reason in reasons]
    said = [f"{title}: {text}" for title, text in document["answers"].items()]
    return "\n".join([
        *said, *lines, f"wrote {document['path']} ({size(document['bytes'])}, {document['seconds']:.0f} s)",
        f"wrote {document['folder']}",
    ])  # fmt: skip
