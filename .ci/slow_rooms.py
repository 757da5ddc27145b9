"""Print the tests whose slow ones a change asks for, one path a line; all where the change is unknown.

The change is what lies between this commit and the one where it left ``origin/main`` (or the branch that is given).
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# what every room stands on: a change there asks for all
FOUNDATIONS = ("dataset", "source")
DOCUMENTS = "tests/test_docs.py"
BENCHMARKS = "tests/test_benchmarks.py"
STUDIES, NAMES, EXTRAS, HOSTILE, WORDS = (
    f"tests/test_{name}.py" for name in ("any_study", "reserved_names", "extras", "hostile_datasets", "hostile_words")
)
FAULTS = tuple(f"tests/builder/test_{name}.py" for name in ("power_cuts", "signals", "full_disk"))
# they run every command, whatever it is that changed
PATTERNS, SHORTAGE = "tests/test_patterns.py", "tests/test_shortage.py"
ANYTHING = (DOCUMENTS, BENCHMARKS, STUDIES, NAMES, EXTRAS, HOSTILE, WORDS, PATTERNS, SHORTAGE, *FAULTS)


def tests_to_run(changed: list[str] | None, rooms: list[str]) -> list[str]:
    """Tests whose slow ones are to run after a change of these files; ``None`` if that is not known."""
    everything = [*ANYTHING, *(f"tests/{room}" for room in rooms)]
    if changed is None:
        return everything
    found = set()
    for name in changed:
        head, *parts = name.split("/")
        if head in ("src", "tests"):
            inside = parts[1:] if head == "src" else parts  # after src/titin/, or tests/
            if len(inside) < 2 or inside[0] in FOUNDATIONS:
                return everything
            found |= {*ANYTHING, f"tests/{inside[0]}"}
        elif head == ".ci" or name in ("pyproject.toml", "Makefile"):
            return everything
        elif head == "benchmarks":
            found.add(BENCHMARKS)
        elif head == "docs" or name == "README.md":
            found.add(DOCUMENTS)
    return [path for path in everything if path in found]


def changed_files(branch: str) -> list[str] | None:
    """Files that differ since this commit left the branch; ``None`` if that cannot be told."""
    try:
        here, base = (_git(*words) for words in (("rev-parse", "HEAD"), ("merge-base", "HEAD", branch)))
        return None if here == base else _git("diff", "--name-only", base, "HEAD").splitlines()
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> None:
    """Print the paths."""
    branch = sys.argv[1] if len(sys.argv) > 1 else "origin/main"
    rooms = sorted(path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py")))
    for path in tests_to_run(changed_files(branch), rooms):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
