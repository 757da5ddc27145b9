"""Names in the package: one meaning each, and files that a reader can look for."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "titin"


def class_homes(root: Path) -> dict[str, list[str]]:
    """Files in which a class of each name is defined."""
    homes: dict[str, list[str]] = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(path.relative_to(root).as_posix())
    return homes


def repeated(root: Path) -> dict[str, list[str]]:
    """Names that several classes have."""
    return {name: homes for name, homes in class_homes(root).items() if len(homes) > 1}


def private_files(root: Path) -> Iterator[str]:
    """Modules that hide behind an underscore."""
    for path in root.rglob("*.py"):
        if path.name.startswith("_") and path.name not in ("__init__.py", "__main__.py"):
            yield path.relative_to(root).as_posix()


def self_imports(root: Path) -> Iterator[str]:
    """Modules that import themselves, which no checker of layers sees; a package may name its own modules."""
    for path in sorted(root.rglob("*.py")):
        own = ".".join((root.name, *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        inside = {found.stem for found in path.parent.iterdir()} if path.name == "__init__.py" else set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.ImportFrom):
                continue
            names = {alias.name for alias in node.names}
            if (node.module == own and not names <= inside) or own in {f"{node.module}.{name}" for name in names}:
                yield own


def test_no_two_classes_have_one_name() -> None:
    assert repeated(SOURCE) == {}


def test_no_file_hides_behind_an_underscore() -> None:
    assert list(private_files(SOURCE)) == []


def test_no_module_imports_itself() -> None:
    assert list(self_imports(SOURCE)) == []


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"a.py": "class Store: ...", "b/c.py": "class Store: ..."}, {"Store": ["a.py", "b/c.py"]}),
        ({"a.py": "class Store: ...", "b/c.py": "class Stores: ..."}, {}),
        ({"a.py": "def f():\n    class Inner: ...\nclass Inner: ..."}, {"Inner": ["a.py", "a.py"]}),
        ({"a.py": "class _Run: ...", "b.py": "class _Run: ..."}, {"_Run": ["a.py", "b.py"]}),
    ],
)
def test_a_name_taken_twice_is_seen(tmp_path: Path, files: dict[str, str], found: dict[str, list[str]]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert repeated(tmp_path) == found


def test_a_hidden_file_is_seen(tmp_path: Path) -> None:
    for name in ("__init__.py", "_helpers.py", "store.py"):
        (tmp_path / name).write_text("")
    assert list(private_files(tmp_path)) == ["_helpers.py"]


def test_a_module_that_imports_itself_is_seen(tmp_path: Path) -> None:
    root = tmp_path / "package"
    root.mkdir()
    (root / "a.py").write_text("def f():\n    from package import a")
    (root / "b.py").write_text("from package.b import x")
    (root / "c.py").write_text("from package import a, b")
    assert list(self_imports(root)) == ["package.a", "package.b"]
