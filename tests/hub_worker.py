"""A process that publishes to a Hub on this machine: huggingface_hub reads its settings when it is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TOKEN = "hf_secretsecretsecret"
REPO = "me/atlas"

# publishes again and again, without waiting between attempts; what the full validation finds is tested elsewhere
WORKER = """
import json, sys, traceback
import titin.check
from titin.ageing import write_ageing_tables
from titin.errors import TitinError
from titin.explore import write_page
from titin.publish import publish
from titin.publish import upload as to_hub
from titin.publish.terminal import document_of_publication
to_hub._validate = lambda copy, *_: titin.check.validate(copy, level="quick", checks=["integrity"])
made_by = {"find_ageing": write_ageing_tables, "write_page": write_page}
for line in sys.stdin:
    folder, repo, options = json.loads(line)
    try:
        answer = document_of_publication(publish(folder, repo, pause=0.01, **made_by, **options))
    except TitinError as error:
        answer = {"error": str(error), "exit_code": error.exit_code, "traceback": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
"""


class Worker:
    """A process that publishes what it is told to."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER], env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, folder: Path, **options: Any) -> None:
        """Begin to publish."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([str(folder), REPO, options]) + "\n")
        self.process.stdin.flush()

    def __call__(self, folder: Path, **options: Any) -> dict[str, Any]:
        """Publish, and return what `titin publish --json` would print, or the error."""
        self.start(folder, **options)
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))


def environment(address: str, home: Path) -> dict[str, str]:
    """Environment of a process that knows no other Hub."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TITIN_", "PYTEST_"))}
    return kept | {"HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN, "HF_HOME": str(home),
                   "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip
