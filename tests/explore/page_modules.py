"""Modules of the page, run by node, where there is one."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).parents[2] / "web" / "src"


def run(module: str, expression: str, data: Any = None) -> Any:
    """What an expression gives, of the names ``m`` of a module and of ``data``."""
    node = shutil.which("node")
    if node is None or not SOURCES.is_dir():
        pytest.skip("needs node, and web/ of a checkout")
    script = f"""import * as m from {json.dumps((SOURCES / module).as_uri())};
import fs from "node:fs";
const data = JSON.parse(fs.readFileSync(0));
console.log(JSON.stringify({expression}))"""
    words = [node, "--input-type=module", "-e", script]
    done = subprocess.run(words, input=json.dumps(data), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
