"""A dataset compared with a revision of it on the Hub: a tag, a branch, and as the command line does it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_difference import build, make_atlas

import titin

COMPARE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from fakehub import serve
with serve() as (url, state):
    os.environ.update(HF_ENDPOINT=url, HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_TOKEN="t")
    from huggingface_hub import HfApi
    api = HfApi(endpoint=url, token="t")
    api.create_repo("me/atlas", repo_type="dataset")
    api.upload_folder(folder_path=sys.argv[2], repo_id="me/atlas", repo_type="dataset")
    api.create_tag("me/atlas", tag="v1", repo_type="dataset")
    api.upload_folder(folder_path=sys.argv[3], repo_id="me/atlas", repo_type="dataset")
    import titin
    from titin.cli import main
    for revision in ("v1", "main"):
        print(json.dumps(titin.diff(sys.argv[2], f"hf://datasets/me/atlas@{revision}").document()))
    try:
        main(["diff", "hf://datasets/me/atlas@v1", "hf://datasets/me/atlas", "--json", "-q"])
    except SystemExit as end:
        print(json.dumps({"exit": end.code}))
"""


@pytest.mark.slow
def test_a_tag_is_what_it_was_and_the_branch_is_what_it_has_become(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    old, new = build(make_atlas(), tmp_path, "old"), tmp_path / "new"
    shutil.copytree(old, new)
    labels = titin.open(new).obs[["cell_type"]].astype(str)
    labels.iloc[3] = "NK cell"
    titin.relabel(new, labels)
    tools = Path(__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", COMPARE, str(tools), str(old), str(new)], capture_output=True, text=True, timeout=300,
        env={**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    tag, branch, ended = (json.loads(lines[at]) for at in (0, 1, -1))
    assert not tag["differ"]
    assert branch["differ"]
    assert branch["obs"]["cell_type"]["n"] == 1
    assert branch["values"]["cells"] == 0
    assert "cell_type" in "".join(lines[2:-1])
    assert ended["exit"] == 1
