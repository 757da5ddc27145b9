"""The proof of the viewer checks: the library `datasets` opens every config, from the folder alone, offline."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from titin.check.context import Context
from titin.check.hub_card import hub_card
from titin.check.registry import Finding, Outcome, check

LOAD_BYTES = 100_000_000  # larger configs are streamed only: loading writes several times their size to disk
_SHOWN_ERROR = 300

# runs by itself: offline, in an empty cache, away from whatever the caller has set up
_SCRIPT = """
import json, sys
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
"""


@check("viewer.load", "the library `datasets` opens every config, streaming and not, with the rows there are",
       level="full")  # fmt: skip
def load(context: Context) -> Outcome:
    """Load every config offline, in a process of its own; configs above 100 MB are streamed only."""
    if importlib.util.find_spec("datasets") is None:
        return Outcome(skipped="`datasets` is not installed (pip install 'titin[datasets]')")
    card = hub_card(context)
    if card.problems or not card.configs:
        return Outcome(skipped="the configs cannot be used; see viewer.configs")
    sizes = {c.name: sum((card.folder / name).stat().st_size for name in c.files) for c in card.configs}
    answer = _ask(str(context.folder.resolve()), {name: n <= LOAD_BYTES for name, n in sizes.items()})
    if isinstance(answer, str):
        return Outcome([Finding(f"`datasets` does not open the folder: {answer}", str(context.folder))])
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
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT], input=json.dumps([folder, wanted]), env=environment, cwd=home,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1][:_SHOWN_ERROR]
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer
