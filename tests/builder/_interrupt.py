"""A server of builds that die: ``python _interrupt.py`` runs one ``titin`` command a line of JSON, each in a fork.

A request has ``arguments``, ``folder`` (the working directory), ``patch`` (things to put in a module's place) and
``kill``: which call of which function ends the process, as SIGKILL would at that moment. Forking after the imports
makes a run take a fraction of a second; what the child does is what ``python -m titin`` does.
A request may also be a ``shell`` command, which sees the server's own mounts.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kill:
    """The moment before or after the ``call``-th call of ``where`` (module:attribute) that mentions ``match``."""

    where: str
    call: int = 1
    match: str = ""
    after: bool = False

    def arm(self) -> None:
        module, _, attribute = self.where.partition(":")
        *path, name = attribute.split(".")
        owner: Any = importlib.import_module(module)
        for step in path:
            owner = getattr(owner, step)
        original, seen = getattr(owner, name), 0

        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            told = f"{args} {[vars(a) for a in args[:1] if hasattr(a, '__dict__')]}" if self.match else ""
            seen += self.match in told
            now = seen == self.call and self.match in told
            if now and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **kwargs)
            if now:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, counted)


def kill_cases(kills: dict[str, Kill], quick: Sequence[str]) -> list[Any]:
    """Give moments as test cases with their names; all but the ``quick`` ones are marked slow."""
    import pytest  # which the server has no use for

    assert set(quick) <= set(kills)
    return [pytest.param(kills[k], id=k, marks=[] if k in quick else [pytest.mark.slow]) for k in kills]


def small_blocks() -> None:
    """Make blocks, buckets, strips and runs so small that a small atlas has several of each, and put columns away."""
    from titin import shelf
    from titin.dataset import sorted_rows
    from titin.dataset.spill import Spill
    from titin.resources import Resources

    shelf._LEAST = sorted_rows._LEAST = 0
    sorted_rows.RUN = 1_000

    Resources.scan_values = property(lambda _: 60_000)
    Resources.bucket_values = property(lambda _: 60_000)
    Spill.__init__.__defaults__ = (100_000,)


def no_exchange() -> None:
    """A system that cannot swap two folders in one step."""
    from titin.dataset import swap

    def missing(*_: Any, **__: Any) -> Any:
        raise OSError("no C library here")

    swap.ctypes.CDLL = missing  # type: ignore[misc, assignment]


def watched_for_power_cuts() -> None:
    """Write down beside the folder what is flushed and renamed."""
    sys.path.insert(0, str(Path(__file__).parent))  # which Python may have been told to leave out
    import power

    power.watch(Path.cwd().parent / "journal" / "events")


PATCHES = {"small_blocks": small_blocks, "no_exchange": no_exchange, "power": watched_for_power_cuts}


def _child(request: dict[str, Any]) -> None:
    os.chdir(request["folder"])
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
    for name in request["patch"]:
        PATCHES[name]()
    if request["kill"]:
        Kill(**request["kill"]).arm()
    from titin.cli import main

    try:
        main(request["arguments"])
        code: Any = 0
    except SystemExit as done:
        code = done.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Server:
    """The client's end; ``wrapper`` begins the command that starts the other."""

    def __init__(self, *wrapper: str) -> None:
        self._process = subprocess.Popen(
            [*wrapper, sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def shell(self, folder: Path, command: str) -> int:
        """Run a shell command in a folder; return its exit code."""
        return self._ask({"folder": str(folder), "shell": command})

    def run(
        self,
        folder: Path,
        *arguments: str | Path,
        kill: Kill | None = None,
        kill_after: float | None = None,
        patch: Sequence[str] = (),
    ) -> int:
        """Run one command in a folder, where it leaves ``stdout`` and ``stderr``; return its exit code."""
        request = {
            "folder": str(folder), "arguments": [str(a) for a in arguments], "patch": list(patch),
            "kill": asdict(kill) if kill else None, "kill_after": kill_after,
        }  # fmt: skip
        return self._ask(request)

    def _ask(self, request: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def _answer(code: int) -> None:
    sys.stdout.write(f"{code}\n")
    sys.stdout.flush()


def _serve() -> None:
    from titin.builder import build
    from titin.dataset import layout
    from titin.demo import write_demo_atlas

    layout.ROW_GROUP_NONZEROS = 250_000  # so that a small atlas has several row groups of genes
    importlib.import_module("openTSNE")
    with tempfile.TemporaryDirectory() as folder:  # imports everything and loads the kernels, once for all forks
        atlas = write_demo_atlas(Path(folder) / "atlas.h5ad", n_cells=200, n_genes=150)
        build(atlas, Path(folder) / "dataset", threads=2, project=())
    for line in sys.stdin:
        request = json.loads(line)
        if "shell" in request:
            command = ["sh", "-c", request["shell"]]
            _answer(subprocess.run(command, cwd=request["folder"], stderr=subprocess.DEVNULL, check=False).returncode)
            continue
        pid = os.fork()
        if pid == 0:
            _child(request)
        if request["kill_after"] is not None:
            time.sleep(request["kill_after"])
            os.kill(pid, signal.SIGKILL)  # at worst it is a zombie by now
        _, status = os.waitpid(pid, 0)
        _answer(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    _serve()
