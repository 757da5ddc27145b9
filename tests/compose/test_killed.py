"""Killed at any step, a subset or merge leaves what was there, and --resume goes on from there."""

import subprocess
import sys
from pathlib import Path

import pytest
from small_studies import build_study, make_study

import titin
from titin.dataset.manifest import Manifest

GENES = [f"G{i}" for i in range(60)]
ROLES = {"cell_type": ["kind"], "donor": "donor", "age": "age"}
KILLED = """
import os, sys
from titin.builder.workspace import Workspace
from titin.cli import main
step, record = sys.argv[1], Workspace.record
def die(self, name, *rest, **more):
    record(self, name, *rest, **more)
    if name == step:
        os.kill(os.getpid(), 9)
Workspace.record = die
main(sys.argv[2:])
"""


QUICK = (("merge", "scan"),)


@pytest.mark.parametrize(("command", "step"), [
    pytest.param(command, step, marks=[] if (command, step) in QUICK else pytest.mark.slow)
    for command in ("subset", "merge") for step in ("scan", "cells", "genes", "metadata", "manifest")
])  # fmt: skip
def test_what_was_there_is_there(command: str, step: str, tmp_path: Path) -> None:
    paths = [build_study(make_study("log1p", GENES, seed=n, prefix=name), tmp_path, name, roles=ROLES)
             for n, name in enumerate(("one", "other"))]  # fmt: skip
    out = tmp_path / "out"
    titin.subset(paths[0], out, where="kind=b")
    before = Manifest.read(out)
    words = ["subset", str(paths[1]), "--where", "age>60"] if command == "subset" else ["merge", *map(str, paths)]
    words += ["-o", str(out), "--force", "--quiet"]
    killed = subprocess.run([sys.executable, "-c", KILLED, step, *words], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert Manifest.read(out) == before
    assert titin.validate(out, level="quick").passed
    again = subprocess.run(
        [sys.executable, "-m", "titin", *words, "--resume", "--json"], capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert '"resumed": true' in again.stdout
    whole = titin.subset(paths[1], tmp_path / "whole", where="age>60") if command == "subset" else titin.merge(
        paths, tmp_path / "whole")  # fmt: skip
    files = [{k: v for k, v in m.files.items() if k.endswith(".parquet")} for m in (Manifest.read(out), whole.manifest)]
    assert files[0] == files[1]
