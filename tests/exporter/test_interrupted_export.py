"""What is begun in a zarr folder has ended when the command ends: zarr writes in a thread of its own."""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.core.sync import sync

from titin.exporter.zarr_store import StoppableStore, stoppable_store


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_written_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    known = StoppableStore.set

    async def watched(self: StoppableStore, key: str, value: object) -> None:
        begun.set()
        await known(self, key, value)

    monkeypatch.setattr(StoppableStore, "set", watched)
    path = tmp_path / "x.zarr"
    with pytest.raises(KeyboardInterrupt), stoppable_store(path) as store:  # noqa: PT012
        group = zarr.open_group(store, mode="w", zarr_format=2)
        array = group.create_array("X", shape=(3000,), chunks=(1,), dtype="i4")
        begun.clear()

        def write() -> None:
            with contextlib.suppress(concurrent.futures.CancelledError, asyncio.CancelledError):
                array[:] = np.arange(1, 3001)

        threading.Thread(target=write, daemon=True).start()
        begun.wait()
        raise KeyboardInterrupt
    left = files(path)
    assert 1 <= len(left) < 3000
    time.sleep(0.3)
    assert files(path) == left


def test_what_is_not_interrupted_is_whole(tmp_path: Path) -> None:
    with stoppable_store(tmp_path / "x.zarr") as store:
        zarr.open_group(store, mode="w", zarr_format=2).create_array("X", data=np.arange(1, 8), chunks=(2,))
    assert zarr.open_group(str(tmp_path / "x.zarr"), mode="r")["X"][:].tolist() == list(range(1, 8))


@pytest.mark.parametrize("way", ["set", "set_if_not_exists"])
def test_a_store_that_is_stopped_takes_no_file(tmp_path: Path, way: str) -> None:
    store = StoppableStore(tmp_path / "x.zarr")
    value = zarr.core.buffer.default_buffer_prototype().buffer.from_bytes(b"x")
    sync(getattr(store, way)("before", value))
    store.stop()
    with pytest.raises(concurrent.futures.CancelledError):
        sync(getattr(store, way)("after", value))
    assert [path.name for path in (tmp_path / "x.zarr").iterdir()] == ["before"]
