"""Print the test folders whose slow tests a change asks for, one a line; those of every room where that is unknown.

The change is what lies between this commit and the one where it left ``origin/main`` (or the branch that is given).
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# what every room stands on: a change there asks for all
FOUNDATIONS = ("dataset", "source")


def rooms_to_test(changed: list[str] | None, rooms: list[str]) -> list[str]:
    """Rooms whose slow tests are to run after a change of these files; ``None`` if that is not known."""
    if changed is None:
        return rooms
    found = set()
    for name in changed:
        head, *parts = name.split("/")
        if head not in ("src", "tests"):  # documents; or how all tests are run
            if name.endswith((".toml", "Makefile")) or head == ".ci":
                return rooms
            continue
        inside = parts[1:] if head == "src" else parts  # after src/titin/, or tests/
        if len(inside) < 2 or inside[0] in FOUNDATIONS:  # a file of all rooms, or what they stand on
            return rooms
        found.add(inside[0])
    return [room for room in rooms if room in found]


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
    """Print the folders."""
    branch = sys.argv[1] if len(sys.argv) > 1 else "origin/main"
    rooms = sorted(path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py")))
    for room in rooms_to_test(changed_files(branch), rooms):
        sys.stdout.write(f"tests/{room}\n")


if __name__ == "__main__":
    main()
