"""The documents do as they say: their Python and console blocks are run, in order, where `titin demo` has been run."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from documents import CONSOLE, PYTHON, SHELL, DocumentError, blocks_of

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# runs in a process of its own, so that neither settings nor modules of the tests are there
DRIVER = """
import json, subprocess, sys, traceback
name, blocks = json.load(sys.stdin)
names = {"__name__": "__main__"}
for block in blocks:
    if block["language"] == "python":
        source = "\\n" * block["at"] + "\\n".join(block["lines"])
        try:
            exec(compile(source, name, "exec"), names)
        except Exception as error:
            traceback.print_exc()
            frames = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
            sys.exit(f"{name}:{frames[-1] if frames else block['at']}: {type(error).__name__}: {error}")
    for line, command in block["commands"]:
        done = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", command], stdin=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(f"{name}:{line}: exit code {done.returncode}: {command}")
"""


def run(text: str, name: str, folder: Path) -> None:
    """Run the blocks of a document in a folder: Python in one namespace, commands with this Python's first on PATH.

    Raises
    ------
    DocumentError
        Naming the line of what failed, with what was printed.
    """
    blocks = [
        {**asdict(block), "commands": [] if block.language == PYTHON else block.commands}
        for block in blocks_of(text, name)
    ]
    home = folder / ".hf_home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TITIN_", "PYTEST_"))} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "MPLBACKEND": "agg",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", DRIVER], cwd=folder, env=environment, input=json.dumps([name, blocks]),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise DocumentError(done.stdout)


# the documents


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `titin demo` has been run."""
    folder = tmp_path_factory.mktemp("docs")
    run("```console\n$ titin demo --quiet\n```", "demo", folder)
    return folder


LONG = (
    "README.md", "docs/ageing.md", "docs/ageing_programmes.md", "docs/annotation.md", "docs/benchmark.md",
    "docs/datasets_that_live.md", "docs/loading.md", "docs/own_atlas.md", "docs/presets.md", "docs/projections.md",
    "docs/publishing.md", "docs/report.md", "docs/validation.md",
)  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in LONG else [])
        for name in (document.relative_to(ROOT).as_posix() for document in DOCUMENTS)
    ],
)
def test_document(document, request, tmp_path):
    text = (ROOT / document).read_text("utf-8")
    if blocks_of(text, document):
        shutil.copytree(request.getfixturevalue("demo"), tmp_path, dirs_exist_ok=True)
        run(text, document, tmp_path)


def test_long_documents_are_there():
    assert all((ROOT / name).is_file() for name in LONG)


def test_links_to_files_lead_somewhere():
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8"))
        if not re.match(r"[a-z]+:", target) and not (document.parent / target).exists()
    ]
    assert broken == []


# the runner

SAMPLE = """# A sample

```console
$ echo 1 > one.txt     # a comment
what it prints is not compared
$ printf '%s' \\
    "a b" > two.txt
```

Text.

```python
from pathlib import Path

one = int(Path("one.txt").read_text())
```

```text
$ false
```

<!-- not run: it would take an hour -->
```sh
false
```

~~~sh
two=$(cat two.txt)
if [ "$two" = "a b" ]; then echo yes > three.txt; fi
~~~

```python
Path("sum.txt").write_text(str(one + 1) + Path("three.txt").read_text())
```
"""


def test_finds_the_blocks_to_run():
    assert [(block.language, block.at) for block in blocks_of(SAMPLE, "sample.md")] == [
        (CONSOLE, 3), (PYTHON, 12), (SHELL, 27), (PYTHON, 32)
    ]  # fmt: skip
    assert [line for line, _ in blocks_of(SAMPLE, "sample.md")[0].commands] == [4, 6]


def test_runs_blocks_in_order_and_in_one_namespace(tmp_path):
    run(SAMPLE, "sample.md", tmp_path)
    assert (tmp_path / "sum.txt").read_text() == "2yes\n"


def test_commands_are_those_beside_this_python(tmp_path):
    run('```console\n$ python -c "import sys; print(sys.executable)" > which.txt\n```', "sample.md", tmp_path)
    found = Path((tmp_path / "which.txt").read_text().strip())
    assert found.parent == Path(sys.executable).parent


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```console\n$ true\n$ exit 3\n```", "sample.md:3: exit code 3: exit 3"),
        ("```console\n$ false | cat\n```", "sample.md:2: exit code 1"),
        ("\n```sh\nfalse\ntrue\n```", "sample.md:3: exit code 1"),
        ("```console\n$ no-such-command\n```", "sample.md:2: exit code 127"),
        ("\n\n```python\nx = 1\nx.y\n```", "sample.md:5: AttributeError"),
        ("```python\nx = 1\n```\n```python\nimport os\nassert x == 2\n```", "sample.md:6: AssertionError"),
        ("```python\nimport warnings\nwarnings.warn('old')\n```", "sample.md:3: UserWarning: old"),
        ("```python\nx = (\n```", "SyntaxError"),
    ],
)
def test_a_failure_is_named_by_its_line(tmp_path, text, message):
    with pytest.raises(DocumentError, match=re.escape(message)):
        run(text, "sample.md", tmp_path)


def test_stops_at_the_first_failure(tmp_path):
    with pytest.raises(DocumentError):
        run("```console\n$ false\n$ touch after\n```\n```sh\ntouch after\n```", "sample.md", tmp_path)
    assert not (tmp_path / "after").exists()


@pytest.mark.parametrize(
    ("comment", "n"),
    [
        ("<!-- not run: needs an account -->\n", 0),
        ("<!-- not run: needs an account -->\n\n", 0),
        ("<!--not run: needs an account-->\n", 0),
        ("<!-- not run: needs an account -->\nText between.\n\n", 1),
        ("<!-- a remark -->\n", 1),
        ("<!-- not run: needs an account -->\n```python\n1\n```\n", 1),  # excuses one block, not the next
    ],
)
def test_a_block_may_be_excused(comment, n):
    assert len(blocks_of(f"{comment}```python\nraise SystemExit\n```\n", "sample.md")) == n


@pytest.mark.parametrize("comment", ["<!-- not run -->", "<!-- not run: -->", "<!-- not run:   -->"])
def test_an_excuse_needs_a_reason(comment):
    with pytest.raises(DocumentError, match=r"sample\.md:2: a block is not run, and no reason is given"):
        blocks_of(f"{comment}\n```sh\nfalse\n```", "sample.md")


@pytest.mark.parametrize("command", ["make demo", "make test", "make demo     # takes a while", "git clone URL titin"])
def test_what_has_been_done_before_is_not_done_again(command):
    (block,) = blocks_of(f"```console\n$ {command}\n$ true\n```", "sample.md")
    assert block.commands == [(3, "true")]


@pytest.mark.parametrize("command", ["make", "make lint", "make demo lint", "make demo && false", "git status"])
def test_other_commands_of_make_and_git_are_run(command):
    (block,) = blocks_of(f"```console\n$ {command}\n```", "sample.md")
    assert block.commands == [(2, command)]


def test_a_fence_within_a_longer_fence_is_text():
    assert blocks_of("````markdown\n```python\n1 / 0\n```\n````", "sample.md") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Text\n```python\n1\n", r"sample\.md:2: a block that is never closed"),
        ("```console\ntitin info demo\n```", r"sample\.md:1: a console block without a command"),
    ],
)
def test_a_document_that_cannot_be_run(text, message):
    with pytest.raises(DocumentError, match=message):
        blocks_of(text, "sample.md")
