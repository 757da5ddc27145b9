"""Only regular files are read, whatever option of whatever command names them."""

import bz2
import gzip
import lzma
import os
import signal
import socket
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pandas as pd
import pytest

from demo_dataset import Demo, demo
from small_clock import write_small_clock
from test_shared_options import ALL
from titin.cli import main
from titin.errors import TitinError
from titin.files import NotRegularError, check_regular, open_regular, read_text
from titin.study import donor_tables
from titin.study.donor_tables import read_donor_table

__all__ = ["demo"]
WRITTEN = {"output", "report", "folder", "folders"}  # where a command writes, or looks for what it has written
BY_NAME = {"preset": "{}", "genes": "@{}", "regulators": "@{}"}  # files that are no click.Path


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Make what is no regular file."""
    sockets = []

    def make(kind: str) -> Path:
        path = tmp_path / kind
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            sockets.append(socket.socket(socket.AF_UNIX))
            sockets[-1].bind(os.path.relpath(path))
        elif kind == "folder":
            path.mkdir()
        elif kind == "link to a pipe":
            os.mkfifo(tmp_path / "behind")
            path.symlink_to(tmp_path / "behind")
        else:
            path = Path({"zeros": "/dev/zero", "terminal": "/dev/tty", "kernel": "/proc/self/mem",
                         "kernel's text": "/proc/self/maps"}[kind])  # fmt: skip
            if not path.exists():
                pytest.skip(f"this system has no {path}")
        return path

    yield make
    for one in sockets:
        one.close()


KINDS = ["pipe", "socket", "folder", "link to a pipe", "zeros", "terminal", "kernel", "kernel's text"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_refused_at_once(kind: str, odd: Callable[[str], Path]) -> None:
    path = odd(kind)
    for look in (check_regular, open_regular, read_text):
        with pytest.raises(NotRegularError, match="not a regular file"):
            look(path)


def test_a_regular_file_is_opened_and_text_is_read_to_a_size(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("é\r\nb\rc".encode())
    check_regular(path)
    with open_regular(path) as file:
        assert file.read() == path.read_bytes()
    assert read_text(path) == path.read_text("utf-8") == "é\nb\nc"
    assert read_text(path, 7) == "é\nb\nc"
    with pytest.raises(NotRegularError, match="too large"):
        read_text(path, 6)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")


def reading_options() -> list[tuple[str, str]]:
    """Command and parameter of everything that names a file or folder to read, found from the commands themselves."""
    return [
        (name, str(parameter.name))
        for name, command in ALL.items()
        for parameter in command.params
        if (
            isinstance(parameter.type, click.Path)
            or "dataset" in (parameter.type.name, parameter.name)
            or parameter.metavar in ("NAME|FILE", "GENES")
        )
        and parameter.name not in WRITTEN
    ]


def test_options_that_read_are_found() -> None:
    found = reading_options()
    assert {("build", "atlas"), ("build", "donors"), ("validate", "source"), ("export", "genes")} <= set(found)
    assert {("age de", "preset"), ("bench", "gmt"), ("info", "dataset"), ("publish", "dataset")} <= set(found)
    assert len(found) > 25


def outcome(arguments: list[str], folder: Path, seconds: float = 20) -> tuple[int | str, str]:
    """Exit code, or ``hangs``; and what was said on stderr, of the command in a process of its own."""
    said = folder / "said"
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 70
        try:
            with said.open("w") as file:
                os.dup2(os.open(os.devnull, os.O_RDWR), 0)
                os.dup2(0, 1)
                os.dup2(file.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                os.chdir(folder)
                try:
                    main(arguments)
                except SystemExit as done:
                    code = done.code if isinstance(done.code, int) else 0
                sys.stderr.flush()
        finally:
            os._exit(code)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), said.read_text("utf-8")
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs", said.read_text("utf-8")


def call(command: str, option: str, odd: Path, demo: Demo, folder: Path) -> list[str]:
    """The words of a call in which one option names a path, and all else is fine."""
    words, parameters = command.split(), ALL[command].params
    taken = {p.name for p in parameters}
    arguments = {name: path for name, path in (("atlas", demo.atlas), ("dataset", demo.dataset)) if name in taken}
    given = BY_NAME.get(option, "{}").format(odd)
    if command == "diff":
        arguments = {"a": demo.dataset, "b": demo.dataset}
    if command == "batch":
        arguments = {"manifest": demo.atlas}
    if command == "merge":  # takes several in the place of one
        arguments = {"dataset": demo.dataset, "sources": demo.atlas}
    if option in arguments:
        arguments[option] = odd
    else:
        words += [next(p for p in parameters if p.name == option).opts[-1], given]
    words += [str(argument) for argument in arguments.values()]
    if command == "build":
        words += ["-o", "built"]
    if command == "export" and option == "terms":
        words += ["--format", "cellxgene"]
    elif command == "export":
        words += ["--format", "csv"] if "csv" in str(ALL[command].params) else ["--format", "h5ad"]
    if option == "checkpoint":
        words += ["--backend", "scprint", "--regulators", "MYH7"]
    if command == "publish":
        words += ["owner/name", "--dry-run"]
    if command == "predict" and option != "clock":
        write_small_clock(folder / "mine.clock", ["MYH7"])
        words += ["--clock", str(folder / "mine.clock")]
    return words


@pytest.mark.parametrize(("command", "option"), reading_options())
def test_no_option_waits_for_what_is_no_file(
    command: str, option: str, odd: Callable[[str], Path], demo: Demo, tmp_path: Path
) -> None:
    for kind in ("pipe", "kernel's text"):
        path = odd(kind)
        code, said = outcome(call(command, option, path, demo, tmp_path), tmp_path)
        assert code == 2, (kind, code, said)
        assert said.startswith("error: ")
        assert "Traceback" not in said
        assert path.name in said


# tables of donors

TABLE = "donor,age\nD1,45\nD2,50\n"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip", ".tsv.gz", ".parquet"])
def test_a_table_of_donors_is_read_packed_or_not(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"donors{suffix}"
    write_table(path, TABLE.replace(",", "\t") if "tsv" in suffix else TABLE)
    assert read_donor_table(path).ages.to_dict() == {"D1": 45.0, "D2": 50.0}


def write_table(path: Path, text: str) -> None:
    content = text.encode()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("donors.csv", content)
    elif path.suffix == ".parquet":
        lines = [line.split(",") for line in text.splitlines()]
        pd.DataFrame(lines[1:], columns=lines[0]).to_parquet(path)
    else:
        packing = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
        path.write_bytes(packing.get(path.suffix, bytes)(content))


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip", ".csv", ".parquet"])
def test_a_table_of_donors_that_unpacks_to_more_than_a_table_is_refused(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(donor_tables, "_MOST_BYTES", 1 << 20)
    path = tmp_path / f"donors{suffix}"
    if suffix == ".parquet":
        pd.DataFrame({"donor": ["D" * 1000] * 10_000, "age": 45}).to_parquet(path)
    else:
        write_table(path, TABLE + "D3,51\n" * 200_000)
    with pytest.raises(TitinError, match="unpacks to more than 1 MiB"):
        read_donor_table(path)


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip", ".parquet"])
def test_a_damaged_table_of_donors_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"donors{suffix}"
    write_table(path, TABLE * 50)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:10], b"", content[:20] + b"\0\xff" * 9 + content[38:]):
        path.write_bytes(damaged)
        with pytest.raises(TitinError, match="donors"):
            read_donor_table(path)
