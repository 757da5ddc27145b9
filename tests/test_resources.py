"""Amounts of memory, numbers of threads, and the sizes that follow from them."""

import os
import sys

import pytest

import titin
from titin.builder import plan
from titin.errors import TitinError
from titin.resources import DEFAULT_MEMORY, MIN_MEMORY, Resources, available_threads, make_resources, parse_memory


@pytest.mark.parametrize(("text", "size"), [
    ("1GiB", 2**30),
    ("1gib", 2**30),
    ("1 GB", 10**9),
    (" 2G ", 2 * 10**9),
    ("1.5GiB", 3 * 2**29),
    ("800MB", 800 * 10**6),
    ("600Mi", 600 * 2**20),
    ("512MiB", MIN_MEMORY),
    ("1TiB", 2**40),
    (".75T", 75 * 10**10),
    ("1073741824", 2**30),
    ("1073741824B", 2**30),
])  # fmt: skip
def test_amounts_of_memory(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "much", "GiB", "1GiBi", "1 X", "-2G", "1e9", "1,5GiB", "I", "5I"])
def test_what_is_no_amount(text):
    with pytest.raises(TitinError, match="is not an amount of memory") as error:
        parse_memory(text)
    assert error.value.hint == "write it like 1GiB, 800MB or 2G"


@pytest.mark.parametrize("memory", ["511MiB", "512MB", "0", "1", 511 * 2**20, 0])
def test_too_little_memory_to_write_all_cells(memory, tmp_path):
    asked = [
        lambda: make_resources(memory=memory, least=MIN_MEMORY),
        lambda: titin.build(tmp_path / "none.h5ad", tmp_path / "out", memory=memory),
        lambda: plan(tmp_path / "none.h5ad", memory=memory),
    ]
    for ask in asked:
        with pytest.raises(TitinError, match="is too little memory") as error:
            ask()
        assert error.value.hint == "give at least 512MiB"


@pytest.mark.parametrize("memory", ["256MiB", 256 * 2**20, "1", 1])
def test_text_and_number_of_one_size_mean_the_same(memory):
    size = parse_memory(memory) if isinstance(memory, str) else memory
    assert make_resources(memory=memory).memory == size


@pytest.mark.parametrize("memory", ["0", 0, -1])
def test_no_memory_at_all(memory):
    with pytest.raises(TitinError, match="is too little memory"):
        make_resources(memory=memory)


def test_defaults():
    assert 1 <= available_threads() <= os.cpu_count()
    assert make_resources() == Resources(available_threads(), DEFAULT_MEMORY)
    assert make_resources(3, 2 * 2**30) == Resources(3, 2 * 2**30, 2 * 2**30)


def test_a_result_may_take_what_is_allowed_or_half_of_what_is_left(monkeypatch):
    monkeypatch.setattr("titin.resources.available_memory", lambda: 10 * 2**30)
    assert make_resources().result == 5 * 2**30
    assert make_resources(memory="3GiB").result == 3 * 2**30
    monkeypatch.setattr("titin.resources.available_memory", lambda: sys.maxsize)  # not known
    assert make_resources().result == DEFAULT_MEMORY


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads(threads):
    with pytest.raises(TitinError, match=f"^{threads} threads cannot build anything"):
        make_resources(threads)


@pytest.mark.parametrize("threads", [1, 2, 16, 64])
def test_sizes_grow_with_memory_and_stay_within_it(threads):
    before = Resources(threads, MIN_MEMORY)
    for memory in (2**30, 2**32, 2**35):
        after = Resources(threads, memory)
        assert before.scan_values <= after.scan_values
        assert before.bucket_values <= after.bucket_values
        assert max(after.scan_values, after.bucket_values) * 4 * threads < memory
        before = after


def test_more_threads_share_the_memory():
    assert Resources(64, 2**30).scan_values < Resources(2, 2**30).scan_values
    assert Resources(64, 2**30).bucket_values < Resources(2, 2**30).bucket_values


@pytest.mark.parametrize("memory", [MIN_MEMORY, 2**30, 2**33])
def test_blocks_keep_their_part_however_many_cells_there_are(memory):
    whole = Resources(2, memory)
    sizes = [whole.beside(n).bucket_values for n in (0, 10**5, 10**6, 10**7, 10**9)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == whole.bucket_values
    assert sizes[-1] >= whole.bucket_values // 4
    needed = [whole.needed(n) for n in (0, 10**5, 10**9, 2 * 10**9)]
    assert needed[:2] == [memory, memory]
    assert needed[3] - needed[2] == 24 * 10**9


def test_a_block_is_never_tiny():
    assert Resources(1000, MIN_MEMORY).scan_values == Resources(1000, MIN_MEMORY).bucket_values == 50_000
