"""Where text leaves titin: one file for each kind of place, and no way around it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import titin
from titin import html

SOURCE = Path(titin.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
TEMPLATES = sorted((SOURCE / "templates").iterdir())

# what writes, and the files that may: each makes what is foreign harmless, or writes for programs alone
DOORS = {
    r"print|pprint|input": set(),
    r"click\.s?echo|click\.echo_via_pager|click\.prompt|click\.confirm|(\w+\.)*show_message": {"console.py"},
    r"sys\.(__)?std(out|err)(__)?\.(write|writelines|buffer.*)|os\.write": set(),
    r"(rich\.)?(console\.)?Console|rich\.print|rich\.print_json|rich\.inspect": set(),
    r"(\w+\.)?Environment|(\w+\.)?Template|(\w+\.)?from_string": {"html.py"},
    r"(markupsafe\.)?Markup": {"html.py"},
    r"(\w+\.)*(to_html|to_markdown|to_latex)": set(),
    r"(\w+\.)*to_csv": {"spreadsheet.py", "demo/design.py"},
    r"(pyarrow\.)?csv\.write_csv": {"results.py", "exporter/tables.py"},
    r"(csv|text)\.writer|csv\.DictWriter": {"exporter/tables.py"},
    r"yaml\.(safe_)?dump(_all)?": {"publish/front_matter.py"},
    r"traceback\.print_\w+": set(),
    r"eval|exec|os\.system|os\.popen": set(),
}


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """Names of all that a file calls, and the lines."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


@cache
def all_calls() -> list[tuple[str, str, int]]:
    """File, name and line of every call of the package, found once for all doors."""
    return [(str(path.relative_to(SOURCE)), name, line) for path in FILES for name, line in calls(path)]


@pytest.mark.parametrize("pattern", DOORS)
def test_text_leaves_by_its_door_only(pattern: str) -> None:
    found = [
        f"{path}:{line}: {name}" for path, name, line in all_calls()
        if re.fullmatch(pattern, name) and path not in DOORS[pattern]
    ]  # fmt: skip
    assert found == []


def test_a_way_around_is_noticed(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("print(1)\nclick.echo('x')\nfrom rich.console import Console\nConsole()\nframe.to_csv('x')\n")
    named = [name for name, _ in calls(bad)]
    assert [sum(bool(re.fullmatch(pattern, name)) for pattern in DOORS) for name in named] == [1, 1, 1, 1]


def test_only_the_console_makes_a_console() -> None:
    """Of rich's, which would print what it is given: elsewhere it is named for its type at most."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            of_rich = isinstance(node, ast.ImportFrom) and node.module in ("rich", "rich.console")
            if of_rich and path.name != "console.py":
                assert {name.name for name in node.names} <= {"Console", "RenderableType", "progress"}, path


# ---- Markdown


def test_tables_of_markdown_are_made_by_the_one_who_escapes_them() -> None:
    by_hand = [
        f"{path.relative_to(SOURCE)}:{node.lineno}" for path in FILES if path.name != "markdown.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"^\| | \| $|---\|", node.value)
    ]  # fmt: skip
    assert by_hand == []


# ---- pages


def test_templates_escape_whatever_is_put_in() -> None:
    assert html._environment().autoescape is True
    assert html._environment().finalize is not None


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_lets_text_out_of_its_place(template: Path) -> None:
    text = template.read_text("utf-8")
    ours = (r'<script id="[\w-]+" type="application/json">\{\{ \w+ \}\}', r'<script>\n\{% include "\w+\.js" %\}\n',
            r'<script type="module" src="explorer\.js">')  # fmt: skip
    for allowed in ours:
        text = re.sub(f"{allowed}</script>", "", text)
    assert not re.search(r"\|\s*safe|autoescape\s+false|<script|\son\w+\s*=|javascript:", text)
    if template.suffix == ".js":
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|\{\{|\{%", text)
    assert not re.search(r"=\s*\{\{", text), "a value of an attribute without quotes"
    for style in re.findall(r'style="([^"]*)"', text):
        assert re.fullmatch(r"--natural:\{\{ shown\.width \}\}px", style), "a text in a style"
    if template.suffix == ".css":
        assert "{{" not in text
        assert "url(" not in text
