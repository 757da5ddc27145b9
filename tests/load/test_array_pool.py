"""The pool of arrays: memory is used again as soon as nobody can reach it, and never before."""

import gc
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from titin.load.buffers import ArrayPool

HOLDERS: dict[str, Any] = {
    "itself": lambda array: array,
    "a slice": lambda array: array[3:7],
    "a slice of a slice": lambda array: array[2:9][1:3],
    "a reshape": lambda array: array.reshape(2, 5).T,
    "other bytes": lambda array: array.view(np.uint8)[::3],
    "a memoryview": lambda array: memoryview(array)[2:],
    "numpy over a memoryview": lambda array: np.asarray(memoryview(array[1:])),
    "a CSR matrix": lambda array: sparse.csr_matrix((array, np.arange(10), [0, 10]), (1, 10), copy=False),
    "a closure": lambda array: lambda: array,
}


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("holder", HOLDERS)
def test_memory_is_not_handed_out_while_anything_reaches_it(holder):
    pool = ArrayPool()
    array = pool.take(10, np.float32)
    array[:] = np.arange(10)
    first, held = address(array), HOLDERS[holder](array)
    del array
    gc.collect()
    others = [pool.take(10, np.float32) for _ in range(5)]
    for other in others:
        other[:] = -1
        assert address(other) != first
    del held
    gc.collect()
    assert address(pool.take(10, np.float32)) == first


def test_free_memory_is_used_again_where_it_is_large_enough():
    pool = ArrayPool()
    large = pool.take(1000, np.float64)
    at = address(large)
    del large
    assert address(pool.take(5, np.int32)) == at
    assert pool.take(0, np.int32).shape == (0,)
    assert address(pool.take(10_000, np.float64)) != at


def test_what_is_kept_is_bounded():
    pool = ArrayPool()
    arrays = [pool.take(100, np.int64) for _ in range(100)]
    del arrays
    assert 0 < len(pool._free) < 20


def test_threads_never_share_memory():
    pool = ArrayPool()

    def work(number: int) -> bool:
        for _ in range(300):
            array = pool.take(500, np.int64)
            array[:] = number
            part = array[100:200]
            del array
            if not (part == number).all():
                return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))


def test_in_another_process_it_begins_empty():
    pool = ArrayPool()
    pool.take(10, np.int32)
    assert len(pickle.loads(pickle.dumps(pool))._free) == 0
