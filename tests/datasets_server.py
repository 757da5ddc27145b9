"""A process that has imported `datasets` already, and is forked whenever validation asks that library.

Importing it takes seconds of a processor, which every full validation of a test would spend. A fork runs the very
script that validation runs, in an empty cache.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

SECONDS = 300  # after which a fork that hangs ends
README = "---\nconfigs:\n- config_name: one\n  data_files: one.parquet\n---\n"


class Server:
    """The client's end; the process is started when it is first asked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def run(self, script: str, asked: str, home: str) -> "subprocess.CompletedProcess[str]":
        """Run a script with this input in a fork whose working directory and cache is ``home``."""
        with self._lock:
            if self._process is None:
                self._process = _start()
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"script": script, "asked": asked, "home": home}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            assert answer, "the server of `datasets` has ended: see what it said on stderr"
            code = int(answer)
        said = [Path(home, name).read_text("utf-8") for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(["fork"], code, *said)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.communicate()


def _start() -> "subprocess.Popen[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "COV_"))}
    return subprocess.Popen([sys.executable, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)  # fmt: skip


def _execute(script: str, asked: str) -> None:
    sys.stdin = io.StringIO(asked)
    exec(compile(script, "<string>", "exec"), {"__name__": "__main__"})


def _answer(request: dict[str, str], home_of_server: str) -> NoReturn:
    """In the fork: what ``python -c`` would do there."""
    import datasets

    home = request["home"]
    signal.alarm(SECONDS)
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(home, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
    for name, value in list(vars(datasets.config).items()):  # where the caches are
        if isinstance(value, str | Path) and str(value).startswith(home_of_server):
            setattr(datasets.config, name, type(value)(str(value).replace(home_of_server, home, 1)))
    os.chdir(home)
    code = 0
    try:
        _execute(request["script"], request["asked"])
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _prepare(home: str) -> None:
    """Import all that opening a folder imports."""
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    datasets.disable_progress_bars()
    folder = Path(home, "folder")
    folder.mkdir()
    (folder / "README.md").write_text(README, "utf-8")
    pq.write_table(pa.table({"number": [1, 2, 3]}), folder / "one.parquet")
    for _ in datasets.load_dataset(str(folder), "one", split="train", streaming=True):
        pass
    datasets.load_dataset(str(folder), "one", split="train")


def _serve() -> None:
    sys.path[:] = [path for path in sys.path if Path(path) != Path(__file__).parent]  # as after ``python -c``
    with tempfile.TemporaryDirectory(prefix="titin-datasets-server-") as home:
        os.environ |= {
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": home,
            "HF_DATASETS_CACHE": home,
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        _prepare(home)
        for line in sys.stdin:
            request: dict[str, Any] = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _answer(request, home)
            _, status = os.waitpid(pid, 0)
            sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _serve()
