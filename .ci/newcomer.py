#!/usr/bin/env python3
"""Follows the README as somebody new does: a bare clone, an empty home, no caches, every command and block as printed.

``.ci/newcomer.py`` prints how long each took and how long nothing was to be read. It fails if a command or block
does, or shows a traceback. With ``--strict`` also if nothing was to be read for more than 8 seconds, or all of it took
more than 6 minutes; that is for a machine that does nothing else. Installing packages from an index is not counted.
"""

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from documents import PYTHON, Block, blocks_of  # noqa: E402 - a helper of the tests

MINIMAL_PATH = "/usr/local/bin:/usr/bin:/bin"
SILENCE, MINUTES = 8.0, 6.0
INSTALL = "make .venv/.installed"
GIVE_UP = 600.0  # seconds without a word, or of one command
OTHER_WAYS = {"pip install titin": "the clone is installed by make"}

PYTHON_SESSION = """
import json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    block = json.loads(line)
    code = 0
    try:
        exec(compile("\\n" * block["at"] + block["source"], "README.md", "exec"), names)
    except BaseException:
        traceback.print_exc()
        code = 1
    print(f"{block['mark']} {code}", flush=True)
"""


@dataclass
class Done:
    """What became of a command or block."""

    what: str
    seconds: float
    silence: float
    code: int
    output: list[str]

    @property
    def failed(self) -> bool:
        """Whether it ended badly, or showed what only a programmer should see."""
        return self.code != 0 or any(line.startswith("Traceback (most recent call last)") for line in self.output)


class Session:
    """A process that is given work on its stdin and marks the end of each piece by a line."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, errors="replace", start_new_session=True,
        )  # fmt: skip
        self._lines: queue.Queue[tuple[float, str | None]] = queue.Queue()  # None is the end
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._n = 0

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put((time.monotonic(), line.rstrip("\n")))
        self._lines.put((time.monotonic(), None))

    def mark(self) -> str:
        """Return a line that nothing else prints."""
        self._n += 1
        return f"::end of piece {self._n}::"

    def do(self, what: str, text: str, mark: str) -> Done:
        """Send a piece of work and read until its end."""
        assert self._process.stdin is not None
        began = last = time.monotonic()
        silence = 0.0
        output: list[str] = []
        self._process.stdin.write(text)
        self._process.stdin.flush()
        while True:
            try:
                at, line = self._lines.get(timeout=GIVE_UP)
            except queue.Empty:
                return Done(what, time.monotonic() - began, GIVE_UP, 124, output)
            silence, last = max(silence, at - last), at
            if line is None:  # it says no more, and is about to end
                return Done(what, at - began, silence, self._process.wait(GIVE_UP) or 1, output)
            if line.startswith(mark):
                return Done(what, at - began, silence, int(line.split()[-1]), output)
            output.append(line)
            print(f"    {line}")

    def close(self) -> None:
        """End it, and all that it has started."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join(10)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()


class Newcomer:
    """Somebody in a fresh clone, with a shell and, once it is wanted, a Python session."""

    def __init__(self, folder: Path) -> None:
        home = folder / "home"
        home.mkdir()
        self._environment = {
            "HOME": str(home), "PATH": os.environ.get("NEWCOMER_PATH", MINIMAL_PATH), "LANG": "C.UTF-8",
            "NUMBA_CACHE_DIR": str(folder / "numba"), "MPLBACKEND": "agg", "PYTHON": sys.executable,
            **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or
               name.startswith(("PIP_", "UV_", "SSL_", "REQUESTS_"))},
        }  # fmt: skip
        self.clone = folder / "titin"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.clone)], check=True)
        self._shell = Session(["bash"], self.clone, self._environment)
        self._python: Session | None = None

    def run(self, command: str) -> Done:
        """Run a command in the shell, whose settings stay."""
        mark = self._shell.mark()
        return self._shell.do(command, f"{command} </dev/null\necho '{mark}' $?\n", mark)

    def execute(self, block: Block) -> Done:
        """Run a block in the Python session that the shell would start."""
        if self._python is None:
            found = self.run("command -v python || command -v python3").output[-1]
            self._python = Session([found, "-u", "-c", PYTHON_SESSION], self.clone, self._environment)
        mark = self._python.mark()
        piece = {"at": block.at, "source": "\n".join(block.lines), "mark": mark}
        first = next(line for line in block.lines if line.strip())
        return self._python.do(f"Python, line {block.at}: {first}", json.dumps(piece) + "\n", mark)

    def close(self) -> None:
        """End the sessions."""
        for session in (self._shell, self._python):
            if session is not None:
                session.close()


def follow(newcomer: Newcomer, document: str) -> list[Done]:
    """Do all that the document says, until something fails."""
    told: list[Done] = []
    for block in blocks_of((newcomer.clone / document).read_text("utf-8"), document):
        pieces = [partial(newcomer.execute, block)] if block.language == PYTHON else [
            partial(newcomer.run, command) for command in commands_of(block)]  # fmt: skip
        for piece in pieces:
            told.append(piece())
            print_done(told[-1])
            if told[-1].failed:
                return told
    return told


def commands_of(block: Block) -> list[str]:
    """Commands of a block without their remarks, but for those that are done in another way."""
    plain = [command.split("  #")[0].rstrip() for command in block.all_commands]
    return [command for command in plain if command not in OTHER_WAYS]


def print_done(done: Done) -> None:
    """Say in one line what became of it."""
    verdict = f"FAILED ({done.code})" if done.failed else "done"
    print(f"{verdict} in {done.seconds:.1f} s, longest silence {done.silence:.1f} s: {done.what}", flush=True)


def main() -> int:
    """Follow the README; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--document", default="README.md")
    parser.add_argument("--strict", action="store_true", help="fail on long silences and on more than 6 minutes")
    parser.add_argument("--folder", type=Path, help="where to work; a new one that is removed if not given")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="newcomer-"))
    folder.mkdir(exist_ok=True)
    newcomer = Newcomer(folder)
    try:
        installed = newcomer.run(INSTALL)
        print_done(installed)
        told = [] if installed.failed else follow(newcomer, options.document)
    finally:
        newcomer.close()
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    failed = [done for done in [installed, *told] if done.failed]
    silent = [done for done in told if done.silence > SILENCE]
    total = sum(done.seconds for done in told)
    print(f"\n{options.document}: {len(told)} pieces in {total:.0f} s, and {installed.seconds:.0f} s to install; "
          f"longest silence {max((done.silence for done in told), default=0):.1f} s; {len(failed)} failed")  # fmt: skip
    for done in silent:
        print(f"silent for {done.silence:.1f} s: {done.what}")
    return int(bool(failed) or (options.strict and (bool(silent) or total > 60 * MINUTES)))


if __name__ == "__main__":
    sys.exit(main())
