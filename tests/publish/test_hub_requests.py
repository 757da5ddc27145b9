"""A dataset on the Hub: one request pins its commit and brings the manifest, and four the first gene."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="needs `pip install 'titin[hub]'`")
from fakehub import File, Repo, serve

READER = """
import json, sys, titin
seen = []
atlas = titin.open(sys.argv[1])
gene = atlas.counts_of(sys.argv[2])
print(json.dumps({"sum": int(gene.sum()), "obs": list(atlas.obs.shape)}))
"""


def test_open_and_one_gene_are_five_requests_on_the_hub(
    made_once: Callable[[str, Callable[[Path], object]], Path], tmp_path: Path
) -> None:
    import titin
    from titin.builder import build
    from titin.demo import write_demo_atlas

    def make(folder: Path) -> None:
        build(write_demo_atlas(folder / "atlas.h5ad", n_cells=1500, n_genes=400), folder / "dataset", project=())

    local = titin.open(made_once("far", make) / "dataset")
    sha, gene = "1" * 40, local.var_names[3]
    with serve() as (address, hub):
        files = {f"sub/{path.name}": File(path.read_bytes()) for path in local.folder.iterdir()}
        hub.repos["me/atlas"] = Repo(commits={sha: files}, branches={"main": sha, "v1": sha})
        settings = os.environ | {"HF_ENDPOINT": address, "HF_TOKEN": "hf_secretsecretsecret", "HF_HUB_DISABLE_XET": "1"}
        settings |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}

        def read(url: str) -> subprocess.CompletedProcess[str]:
            hub.requests.clear()
            command = [sys.executable, "-c", READER, url, gene]
            return subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=300)

        for revision, named in (("", "main"), ("@v1", "v1")):
            done = read(f"hf://datasets/me/atlas{revision}/sub")
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout) == {"sum": int(local.counts_of(gene).sum()), "obs": list(local.obs.shape)}
            names, at = local.layout, f"/datasets/me/atlas/resolve/{sha}/sub"
            assert hub.requests[0] == ("GET", f"/datasets/me/atlas/resolve/{named}/sub/titin.json")
            wanted = [names.feature_metadata, names.sample_metadata, names.expression_by_gene]
            assert set(hub.requests[1:]) == {("GET", f"{at}/{name}") for name in wanted}
            assert len(hub.requests) <= 7  # in so small a file the pages of a gene are three requests
        assert f"Bearer {settings['HF_TOKEN']}" in hub.tokens
        for url, said in (
            ("hf://datasets/me/atlas", "it has no titin.json"),
            ("hf://datasets/me/none", "the Hub knows no such dataset or revision"),
            ("hf://datasets/me/atlas@v9", "the Hub knows no such dataset or revision"),
            ("hf://datasets/me/at..las", "the Hub knows no such dataset or revision"),
        ):
            assert said in read(url).stderr
