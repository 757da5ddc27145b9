"""What a task frees is kept for the next one while it is asked for, and given back afterwards."""

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import resource, threading
import numpy as np
from titin.heap import keep_freed

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        arrays = [np.ones(2**17) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def use():
    with keep_freed():
        pass

pages()
found = [pages()]
with keep_freed():
    pages()
    with keep_freed():
        found.append(pages())
    other = threading.Thread(target=use)
    other.start()
    other.join()
    found.append(pages())
found.append(pages())
print(*found)
"""


def pages_of(**environment: str) -> list[int]:
    """Pages asked for by the same arrays again and again: without it, within it twice, and afterwards."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", CODE], env=own | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory as they like")
def test_pages_are_asked_for_once_as_long_as_a_task_runs() -> None:
    before, *within, after = pages_of(MALLOC_TRIM_THRESHOLD_="65536")
    assert min(before, after) > 10_000  # 256 for each array
    assert max(within) < 1_000


@pytest.mark.parametrize(
    "environment",
    [{}, {"MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "131072"}, {"MALLOC_TRIM_THRESHOLD_": "?"}],
)
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory as they like")
def test_nothing_is_changed_where_it_was_chosen_or_not_asked_for(environment: dict[str, str]) -> None:
    before, *within, _ = pages_of(**environment)
    assert all(abs(count - before) < 1_000 for count in within)


SCATTERED = """
import numpy as np
from titin.heap import give_back, keep_freed
from titin.resources import current_memory

with keep_freed():
    arrays = [np.ones(2**(17 if i % 2 else 7)) for i in range(200)]
kept = arrays[::2]
del arrays
before = current_memory()
give_back()
print(before - current_memory())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory as they like")
def test_what_lies_free_between_other_things_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCATTERED], env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}, capture_output=True
    )
    assert int(done.stdout) > 50 * 2**20, done.stderr  # of 100 MiB
