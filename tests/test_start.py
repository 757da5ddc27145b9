"""Starting: nothing heavy is imported before it is needed, and every public name is where it should be."""

import json
import subprocess
import sys

import pytest

HEAVY = ("numpy", "pandas", "pyarrow", "numba", "anndata", "h5py", "zarr", "scipy", "rich", "datasets")


def python(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    "code",
    [
        "import titin",
        "import titin; titin.__version__; dir(titin)",
        "import titin.cli",
        "from titin.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from titin.cli import main\ntry: main(['build', '--help'])\nexcept SystemExit: pass",
        "from titin.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass",
        "from titin.cli import main\ntry: main(['build', '--no-such-option'])\nexcept SystemExit: pass",
    ],
    ids=["import", "version and names", "cli", "--help", "build --help", "--version", "wrong use"],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    done = python(f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))")
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "titin" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "first",
    ["import titin", "import titin.builder", "import titin.exporter.export", "import titin.atlas", "import titin.cli"],
)
def test_public_functions_are_not_shadowed_by_packages(first: str) -> None:
    done = python(f"{first}\nimport titin, types\nfor name in titin.__all__: print(name, getattr(titin, name))")
    assert "<module" not in done.stdout


def test_every_public_name_resolves() -> None:
    done = python("import titin\nfor name in titin.__all__: print(name, callable(getattr(titin, name)))")
    names = dict(line.split() for line in done.stdout.splitlines())
    assert {"build", "export", "TitinError", "__version__"} <= set(names)
    assert all(known == "True" for name, known in names.items() if name != "__version__")


def test_other_names_are_attribute_errors() -> None:
    import titin

    with pytest.raises(AttributeError, match="no attribute 'bulid'"):
        _ = titin.bulid  # type: ignore[attr-defined]
    assert not hasattr(titin, "buildd")


def test_the_module_runs_as_the_command_does() -> None:
    import titin

    module = subprocess.run([sys.executable, "-m", "titin", "--version"], capture_output=True, text=True, check=True)
    assert module.stdout == f"titin, version {titin.__version__}\n"
    assert module.stderr == ""
