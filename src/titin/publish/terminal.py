"""What was written and published, as JSON and in words."""

from dataclasses import asdict
from typing import Any

from titin.publish.card import Written
from titin.publish.upload import Publication
from titin.text import size, table


def document_of_card(written: Written) -> dict[str, Any]:
    """JSON-safe."""
    return {"schema_version": 1, "path": str(written.folder), "files": written.files, "warnings": written.warnings}


def describe_card(document: dict[str, Any]) -> str:
    """In words."""
    lines = [f"wrote {name}" for name in document["files"]]
    return "\n".join(lines + [f"warning: {warning}" for warning in document["warnings"]])


def document_of_publication(publication: Publication) -> dict[str, Any]:
    """JSON-safe."""
    return {"schema_version": 1, "dry_run": publication.commit is None, **asdict(publication),
            "bytes": publication.n_bytes}  # fmt: skip


def describe_publication(document: dict[str, Any]) -> str:
    """In words: what goes or went up, what the checker says, and why not."""
    rows = [(f["name"], f["config"] or "", size(f["bytes"]), f["sha256"][:16]) for f in document["files"]]
    checked = document["validation"]
    lines = [
        f"{document['repo_id']} ({document['revision']}): {len(rows)} files, {size(document['bytes'])}, "
        f"licence {document['licence'] or 'not stated'}, ages {document['ages']}",
        "", table(("file", "config", "size", "sha256"), rows), "",
        f"default config: {document['configs'][0]}; others: {', '.join(document['configs'][1:])}",
        f"validation: {checked['errors']} errors, {checked['warnings']} warnings, {checked['notes']} notes",
    ]  # fmt: skip
    lines += [
        f"  {f['severity']}: {f['check']}: {f['message']}" for f in checked["findings"] if f["severity"] != "note"
    ]
    if space := document["space"]:
        lines += ["", *_describe_space(space)]
    lines += [f"deleted on the Hub: {name}" for name in document["stale"]]
    lines += [f"left on the Hub as it is: {name}" for name in document["kept"]]
    if document["commit"]:
        tag = f", tag {document['tag']}" if document["tag"] else ""
        lines.append(f"sent {size(document['sent'])}; the rest was there")
        lines.append(f"{document['url']} is at commit {document['commit'][:12]}{tag}; the checksums of "
                     f"{document['verified']} files agree")  # fmt: skip
        if space:
            lines.append(f"{space['url']} shows it: sent {size(space['sent'])}, commit {space['commit'][:12]}; the "
                         f"checksums of {space['verified']} files agree")  # fmt: skip
    lines += [f"refused: {r['message']}\n  {r['hint']}" for r in document["refusals"]]
    if not document["commit"] and not document["refusals"]:
        lines.append("nothing was sent (dry run)")
    return "\n".join(lines)


def _describe_space(space: dict[str, Any]) -> list[str]:
    """The files of the Space, and what its page reads."""
    rows = [(f["name"], size(f["bytes"]), f["sha256"][:16]) for f in space["files"]]
    return [
        f"Space {space['repo_id']}: {len(rows)} files, {size(sum(f['bytes'] for f in space['files']))}; its page reads "
        f"{space['reads']}",
        "", table(("file", "size", "sha256"), rows), "",
        *(f"left in the Space as it is: {name}" for name in space["kept"]),
    ]  # fmt: skip
