"""Starting: nothing heavy is imported before it is needed, and every public name is where it should be."""

import importlib
import json
import pkgutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import titin
from titin.cli import COMMANDS
from titin.demo import write_demo_atlas

HEAVY = ("numpy", "pandas", "pyarrow", "numba", "anndata", "h5py", "zarr", "scipy", "rich", "datasets")

ROOMS = sorted(path.parent.name for path in Path(titin.__file__).parent.glob("*/__init__.py"))


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


def test_reading_obs_takes_neither_numba_nor_scipy(tmp_path: Path) -> None:
    atlas = write_demo_atlas(tmp_path / "atlas.h5ad", n_cells=60, n_genes=150)
    titin.build(atlas, tmp_path / "dataset", project=())
    code = f"import titin, sys; titin.open({str(tmp_path / 'dataset')!r}).obs; print(*sys.modules)"
    loaded = set(python(code).stdout.split())
    assert "pandas" in loaded
    assert loaded.isdisjoint({*HEAVY} - {"numpy", "pandas", "pyarrow"})


@pytest.mark.parametrize(
    "first",
    [
        "import titin",
        "import titin.exporter.formats",
        "import titin.cli",
        *(
            pytest.param(f"import titin.{room}", marks=pytest.mark.slow)
            for room in ("builder", "builder.embeddings", "atlas")
        ),
    ],
)
def test_public_functions_are_not_shadowed_by_packages(first: str) -> None:
    done = python(f"{first}\nimport titin, types\nfor name in titin.__all__: print(name, getattr(titin, name))")
    modules = {line.split()[0] for line in done.stdout.splitlines() if "<module" in line}
    assert modules == set(titin.__all__) & set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_a_room_resolves_whatever_is_imported_first(room: str) -> None:
    """No module of the room has the name of what the room gives, or it would hide it."""
    package = importlib.import_module(f"titin.{room}")
    modules = [found.name for found in pkgutil.iter_modules(package.__path__)]
    given = list(getattr(package, "__all__", ()))
    if "lazy_names" in vars(package):
        assert not set(modules) & set(given)
        assert sorted(given) == dir(package)
    for name in given:
        assert not isinstance(getattr(package, name), types.ModuleType)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "age"])
def test_help_of_every_command_imports_nothing_heavy(command: str) -> None:
    code = f"from titin.cli import main\ntry: main([{command!r}, '--help'])\nexcept SystemExit: pass"
    done = python(f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))")
    assert "Usage: " in done.stdout
    assert set(json.loads(done.stdout.splitlines()[-1])).isdisjoint(HEAVY)


def test_the_list_of_commands_imports_no_room() -> None:
    code = "from titin.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    done = python(f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))")
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert not [name for name in loaded for room in ROOMS if name.startswith(f"titin.{room}")]


def test_every_public_name_resolves() -> None:
    done = python("import titin\nfor name in titin.__all__: print(name, callable(getattr(titin, name)))")
    names = dict(line.split() for line in done.stdout.splitlines())
    assert {"build", "export", "TitinError", "__version__"} <= set(names)
    assert all(known == "True" for name, known in names.items() if name != "__version__" and name not in ROOMS)


def test_other_names_are_attribute_errors() -> None:

    with pytest.raises(AttributeError, match="no attribute 'bulid'"):
        _ = titin.bulid  # type: ignore[attr-defined]
    assert not hasattr(titin, "buildd")


def test_the_module_runs_as_the_command_does() -> None:

    module = subprocess.run([sys.executable, "-m", "titin", "--version"], capture_output=True, text=True, check=True)
    assert module.stdout == f"titin, version {titin.__version__}\n"
    assert module.stderr == ""
