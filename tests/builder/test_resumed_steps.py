"""However often a build is stopped and resumed, each step is recorded once, and as if nothing had stopped it."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titin.builder import build
from titin.builder.workspace import Workspace
from titin.demo import write_demo_atlas
from titin.errors import OutputError
from titin.source import Source

STEPS = ("scan", "cells", "genes", "metadata", "checksum", "manifest")


@dataclass
class Watched:
    """What is seen of one build, until it stops just before or after a step is recorded."""

    stop: tuple[str, bool] | None = None  # the step, and whether after it is recorded
    recorded: list[str] = field(default_factory=list)
    hashed: int = 0
    steps: dict[str, Any] | None = None  # as they were recorded, if it came to its end

    def build(self, atlas: Path, target: Path) -> bool:
        """Build or go on building; give whether it came to its end."""
        record, publish, sha256 = Workspace.record, Workspace.publish, Source.sha256

        def recording(workspace: Workspace, step: str, *told: Any) -> None:
            if self.stop == (step, False):
                raise KeyboardInterrupt
            record(workspace, step, *told)
            self.recorded.append(step)
            if self.stop == (step, True):
                raise KeyboardInterrupt

        def publishing(workspace: Workspace) -> None:
            self.steps = json.loads((workspace.folder / "state.json").read_text("utf-8"))["steps"]
            publish(workspace)

        def hashing(source: Source) -> str:
            self.hashed += 1
            return sha256(source)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Workspace, "record", recording)
            patch.setattr(Workspace, "publish", publishing)
            patch.setattr(Source, "sha256", hashing)
            try:
                build(atlas, target, resume=True, threads=1)
            except KeyboardInterrupt:
                return False
        return True


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_atlas(tmp_path_factory.mktemp("atlas") / "atlas.h5ad", n_cells=120, n_genes=150)


@pytest.fixture(scope="module")
def undisturbed(atlas: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The steps and the files of a build that nothing stops."""
    target = tmp_path_factory.mktemp("undisturbed") / "dataset"
    watched = Watched()
    assert watched.build(atlas, target)
    assert tuple(watched.recorded) == STEPS
    assert watched.steps is not None
    return watched.steps, tree(target)


@settings(max_examples=6)
@given(stops=st.lists(st.tuples(st.sampled_from(STEPS), st.booleans()), min_size=1, max_size=5))
def test_steps_are_the_same_however_often_a_build_is_resumed(
    stops: list[tuple[str, bool]], atlas: Path, undisturbed: tuple[dict[str, Any], dict[str, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    target = tmp_path_factory.mktemp("stopped") / "dataset"
    recorded: list[str] = []
    for stop in [*sorted(stops, key=lambda s: (STEPS.index(s[0]), s[1])), None]:
        known = "checksum" in recorded
        watched = Watched(stop)
        done = watched.build(atlas, target)
        assert watched.hashed <= (not known)
        recorded += watched.recorded
        if done:
            break
    assert done
    assert tuple(recorded) == STEPS
    assert watched.steps == undisturbed[0]
    assert tree(target) == undisturbed[1]


def test_another_file_of_the_same_size_and_time_is_another_source(atlas: Path, tmp_path: Path) -> None:
    source, other = tmp_path / "atlas.h5ad", tmp_path / "other.h5ad"
    shutil.copy2(atlas, source)
    shutil.copy2(atlas, other)
    assert not Watched(("cells", True)).build(source, tmp_path / "dataset")
    os.replace(other, source)  # noqa: PTH105
    with pytest.raises(OutputError, match="cannot be resumed: source changed since"):
        Watched().build(source, tmp_path / "dataset")
