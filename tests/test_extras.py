"""Extras: what titin can do without them, and what it says where one is missing."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import anndata
import hdf5plugin
import numpy as np
import pytest

from titin import extras
from titin.demo import make_demo
from titin.errors import TitinError
from titin.progress import Progress

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
# modules of what `pip install titin` leaves out
LEFT_OUT = ("anndata", "cellxgene_ontology_guide", "distributed", "formulaic", "h5py", "hdf5plugin", "huggingface_hub",
            "igraph", "lightgbm", "matplotlib",
            "openTSNE", "pydeseq2", "pynndescent", "scvi", "skmisc", "sklearn", "starlette", "threadpoolctl",
            "umap", "uvicorn", "zarr")  # fmt: skip
WITHOUT = f"import sys\nfor name in {LEFT_OUT}: sys.modules[name] = None\n"


@pytest.fixture(scope="module")
def demo_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    make_demo(folder, n_cells=300, n_genes=200, seed=0, force=True, progress=Progress())
    return next(folder.glob("*/titin.json")).parent


@pytest.fixture(autouse=True)
def stated(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pyproject.toml asks for, whatever was installed when it said something else."""
    stated = list(PROJECT["dependencies"])
    stated += [f'{name}; extra == "{extra}"' for extra, own in PROJECT["optional-dependencies"].items() for name in own]
    monkeypatch.setattr("importlib.metadata.requires", {"titin": stated}.get)


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python without the modules that extras bring."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def titin(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run("from titin.cli import main; main(sys.argv[1:])", *arguments)


def test_an_extra_made_of_others_has_what_they_have() -> None:
    found = extras.requirements()
    assert "titin" not in {name for names in found.values() for name in names}
    assert {"formulaic", "matplotlib", "opentsne"} <= set(found["ageing"])
    assert {"anndata", "formulaic", "hdf5plugin", "huggingface-hub", "matplotlib", "scikit-learn"} <= set(found["all"])


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("anndata", "anndata"), ("zarr", "anndata"), ("hdf5plugin", "filters"), ("umap.umap_", "embed"),
        ("openTSNE", "embed"), ("formulaic", "ageing"), ("sklearn.base", "bench"), ("matplotlib", "plot"),
        ("skmisc.loess", "embed"), ("huggingface_hub", "hub"), ("scvi", "scvi"),
        ("starlette", "explore"), ("lightgbm", "boosting"), ("igraph", "leiden"), ("torch", "torch"),
        ("distributed.client", "cluster"),
        ("cellxgene_ontology_guide.ontology_parser", "cellxgene"),
    ],
)  # fmt: skip
def test_the_smallest_extra_is_named(module: str, extra: str) -> None:
    error = extras.MissingPackageError(module, "the whole")
    assert error.hint == f"pip install 'titin[{extra}]'"
    assert str(error.args[0]).startswith("the whole needs the package ")
    assert isinstance(error, TitinError)
    assert isinstance(error, ImportError)


def test_a_package_of_no_extra_is_named_itself() -> None:
    assert extras.MissingPackageError("numpy").hint == "pip install numpy"
    assert extras.missing_package(ModuleNotFoundError(name="titin.no_such_file")) is None
    assert extras.missing_package(ModuleNotFoundError(name="no_such_package")) is None


def test_without_extras_all_is_imported_that_checking_a_dataset_takes() -> None:
    code = """
import titin.atlas, titin.check.run, titin.cli, titin.exporter, titin.load, titin.source
assert len(titin.check.run.load_checks()) > 50
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_without_extras_a_dataset_is_opened_read_loaded_and_checked(demo_dataset: Path, tmp_path: Path) -> None:
    code = """
import titin
atlas = titin.open(sys.argv[1])
atlas.obs, atlas.var, atlas.X[:5], atlas[atlas.var_names[0]]
X, obs = next(iter(titin.Loader(atlas, batch_size=64)))
assert X.shape == (64, atlas.n_vars)
report = titin.validate(sys.argv[1])
assert not report.crashed and not report.count("error"), report
import json
print(json.dumps(sorted(sys.modules)))
"""
    done = run(code, demo_dataset)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    names = [re.match(r"[\w-]+", line)[0] for line in PROJECT["dependencies"]]  # type: ignore[index]
    used = {name for name in names if {"pyyaml": "yaml"}.get(name, name) in loaded}
    assert used == set(names) - {"rich"}  # that one is the command line's
    for command in (["info", demo_dataset], ["validate", demo_dataset, "-o", tmp_path], ["doctor"]):
        done = titin(*command)
        assert done.returncode == 0, (command, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["build", "SOURCE", "-o", "OUT"], "anndata"),
        pytest.param(["validate", "DATASET", "--source", "SOURCE"], "anndata", marks=pytest.mark.slow),
        (["export", "DATASET", "--to", "h5ad", "-o", "OUT"], "anndata"),
        pytest.param(
            ["export", "DATASET", "--to", "cellxgene", "--terms", "TERMS", "-o", "OUT"],
            "anndata",
            marks=pytest.mark.slow,
        ),
        (["embed", "DATASET", "umap", "--force"], "embed"),
        pytest.param(["bench", "DATASET", "-o", "OUT"], "bench", marks=pytest.mark.slow),
        pytest.param(["age", "de", "DATASET", "-o", "OUT"], "ageing", marks=pytest.mark.slow),
        (["report", "DATASET", "-o", "OUT"], "plot"),
        (["explore", "DATASET"], "explore"),
        pytest.param(["demo", "-o", "OUT"], "anndata", marks=pytest.mark.slow),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, list) else value,
)
def test_without_its_extra_a_command_says_what_to_install(
    arguments: list[str], extra: str, demo_dataset: Path, tmp_path: Path
) -> None:
    source = tmp_path / "a.h5ad"
    source.write_bytes(b"\x89HDF\r\n\x1a\n")
    places = {"SOURCE": source, "DATASET": demo_dataset, "OUT": tmp_path / "out"}
    done = titin(*(places.get(part, part) for part in arguments))
    assert done.returncode == 2, done.stderr
    assert "which is not installed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_source_whose_compression_needs_an_extra_names_it(tmp_path: Path) -> None:
    source = tmp_path / "a.h5ad"
    adata = anndata.AnnData(np.eye(30, dtype="f4"))
    adata.write_h5ad(source, compression=hdf5plugin.FILTERS["zstd"])
    code = "import sys; sys.modules['hdf5plugin'] = None; from titin.cli import main; main(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, "build", str(source), "-o", str(tmp_path / "out")],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 2
    assert "needs the package hdf5plugin, which is not installed" in done.stderr
    assert "pip install" in done.stderr
