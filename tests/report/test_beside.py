"""What lies beside a dataset under the names of results: as the commands write it, or one sentence."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changed_documents import changed
from titin.errors import TitinError
from titin.report.beside import findings_of, read_pictures, read_result

VALIDATION = {
    "level": "full", "passed": True,
    "validation_summary": {"errors": 0, "warnings": 1, "notes": 0, "total_tests": 1, "timestamp": "2026-01-01"},
    "checks": [{"title": "All is well.", "status": "warning", "read": "2 files",
                "findings": [{"severity": "warning", "message": "A finding.", "where": None, "hint": None}]}],
}  # fmt: skip
BENCHMARK = {
    "scores": [{"task": "age", "split": "donors", "model": "ridge", "track": "inductive", "leaky": False,
                "baseline": False, "of": "donor", "metric": "mae", "value": 11.25, "low": None, "high": 14.0,
                "n_donors": 17}],
    "tasks": [{"name": "age", "description": "years of age", "not_evaluable": []}], "told": ["A sentence."],
}  # fmt: skip
GOOD = {"validation": ("validation_report.json", VALIDATION), "benchmark": ("scores.json", BENCHMARK)}


def place(folder: Path, command: str) -> Path:
    home = folder / f"dataset.{command}"
    home.mkdir(exist_ok=True)
    return home / GOOD[command][0]


@pytest.mark.parametrize("command", GOOD)
def test_what_the_commands_write_is_read(command: str, tmp_path: Path) -> None:
    assert read_result(tmp_path / "dataset", command) is None
    path = place(tmp_path, command)
    assert read_result(tmp_path / "dataset", command) is None
    path.write_text(json.dumps(GOOD[command][1]))
    assert read_result(tmp_path / "dataset", command) == GOOD[command][1]


@pytest.mark.parametrize("command", GOOD)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_a_changed_result_is_read_or_refused_with_its_place(command: str, tmp_path: Path, data: st.DataObject) -> None:
    path = place(tmp_path, command)
    path.write_text(json.dumps(data.draw(changed(GOOD[command][1]))))
    try:
        found, said = read_result(tmp_path / "dataset", command), None
    except TitinError as error:
        found, said = None, f"{error.args[0]} {error.hint}"
    if said is not None:
        assert path.name in said
        assert "remove it, or run" in said
    elif command == "validation":
        assert all(isinstance(part, str) for pair in findings_of(found) for part in pair)


@pytest.mark.parametrize("content", [
    b"", b"{", b"\xff", b'{"level": NaN}', b'{"level": 1, "level": 2}', b"[" * 100_000, b"9" * 5000, b"null",
    b'{"level": "\\ud800"}',
])  # fmt: skip
@pytest.mark.parametrize("command", GOOD)
def test_what_is_no_document_is_refused_in_a_sentence(command: str, content: bytes, tmp_path: Path) -> None:
    place(tmp_path, command).write_bytes(content)
    with pytest.raises(TitinError, match=r"is not as `titin \w+` writes it"):
        read_result(tmp_path / "dataset", command)


@pytest.mark.parametrize("command", GOOD)
def test_pipes_folders_links_and_giants_are_not_read(command: str, tmp_path: Path) -> None:
    path, other = place(tmp_path, command), tmp_path / "other.json"
    other.write_text(json.dumps(GOOD[command][1]))
    makers = [lambda: os.mkfifo(path), path.mkdir, lambda: path.symlink_to(other), lambda: path.symlink_to("/dev/zero"),
              lambda: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**31)]  # fmt: skip
    for make in makers:
        make()
        with pytest.raises(TitinError, match=GOOD[command][0]):
            read_result(tmp_path / "dataset", command)
        path.rmdir() if path.is_dir() else path.unlink()


def test_pictures_are_png_files_of_the_benchmark(tmp_path: Path) -> None:
    figures = tmp_path / "dataset.benchmark" / "figures"
    figures.mkdir(parents=True)
    png = b"\x89PNG\r\n\x1a\n and more"
    (tmp_path / "secret.png").write_bytes(png)
    (figures / "a_figure.png").write_bytes(png)
    (figures / "b.png").write_text("root:x:0:0")
    (figures / "c.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(figures / "d.png")
    assert list(read_pictures(tmp_path / "dataset")) == [("a_figure", png)]
