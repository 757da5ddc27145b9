"""Where the system refuses memory or threads, that is said, with the limit there is; nothing hangs or shows code."""

import errno
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from demo_dataset import Demo, demo
from titin.shortage import shortage

__all__ = ["demo"]

REFUSED = [
    MemoryError(), MemoryError("Unable to allocate 8.0 GiB"), OSError(errno.ENOMEM, "Cannot allocate memory"),
    ImportError("_sparsetools.so: failed to map segment from shared object"), RuntimeError("can't start new thread"),
    RuntimeError("std::bad_alloc"), OSError("Unable to read (memory allocation failed for raw data chunk)"),
]  # fmt: skip


@pytest.mark.parametrize("error", REFUSED, ids=lambda error: str(error)[:20])
def test_what_libraries_say_of_memory_is_known(error: Exception) -> None:
    told = shortage(error)
    assert told is not None
    assert told.hint
    outer = ValueError("something else")
    outer.__cause__ = error
    assert str(shortage(outer)) == str(told)


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.ENOENT, "No such file"), KeyError("memory")])
def test_other_errors_are_none_of_memory(error: Exception) -> None:
    assert shortage(error) is None


def limited(gib: float, *words: str | Path) -> tuple[int, str]:
    """Exit code and stderr of a command that may have so many addresses."""
    most = int(gib * 2**30)
    done = subprocess.run(
        [sys.executable, "-m", "titin", *map(str, words)], capture_output=True, text=True, timeout=300, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
    )  # fmt: skip
    return done.returncode, done.stderr


def check(code: int, said: str, gib: float) -> None:
    assert "Traceback" not in said
    if code:
        assert code == 2, said
        assert "error: " in said
        assert f"{gib:.1f} GiB of addresses" in said or "memory" in said


@pytest.mark.parametrize("gib", [0.3, 1.0])
def test_a_build_with_few_addresses_says_so(gib: float, demo: Demo, tmp_path: Path) -> None:
    code, said = limited(gib, "build", demo.atlas, "-o", tmp_path / "out", "--no-project", "-q")
    check(code, said, gib)
    assert code == 2 or (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("gib", [0.3, 0.6, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("command", ["build", "validate", "info", "report", "export"])
def test_commands_with_few_addresses_end_in_words(command: str, gib: float, demo: Demo, tmp_path: Path) -> None:
    words = {
        "build": [demo.atlas, "-o", tmp_path / "out", "--no-project"], "validate": [demo.dataset, "--level", "quick"],
        "info": [demo.dataset], "report": [demo.dataset, "-o", tmp_path / "report.html", "--force"],
        "export": [demo.dataset, "--format", "h5ad", "-o", tmp_path / "out.h5ad"],
    }[command]  # fmt: skip
    code, said = limited(gib, command, *words)
    if code != 1 or command != "validate":  # findings are findings
        check(code, said, gib)
