"""Threads that keep order, hand on exceptions, and stop when they are told to."""

import gc
import random
import threading
import time
from itertools import count

import pytest

from titin.parallel import map_ahead, ordered_map, read_ahead


def running():
    return [t.name for t in threading.enumerate() if t.name.startswith("titin")]


def test_read_ahead_gives_everything_in_order():
    assert list(read_ahead(range(100))) == list(range(100))
    assert list(read_ahead([])) == []
    items = [None, ValueError("an item like any other")]
    assert list(read_ahead(items, depth=5)) == items


def test_the_producer_runs_in_a_thread_of_its_own():
    (thread,) = read_ahead(threading.current_thread() for _ in range(1))
    assert thread is not threading.current_thread()


def test_read_ahead_raises_what_the_producer_raised_after_what_it_had_made():
    def producer():
        yield 1
        yield 2
        raise ValueError("no third")

    items = read_ahead(producer(), depth=5)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="no third"):
        next(items)
    assert not running()


def test_a_source_that_cannot_begin_raises_instead_of_waiting():
    class Unreadable:
        def __iter__(self):
            raise ValueError("cannot begin")

    with pytest.raises(ValueError, match="cannot begin"):
        next(read_ahead(Unreadable()))
    assert not running()


@pytest.mark.parametrize("depth", [1, 3])
def test_read_ahead_is_no_further_ahead_than_asked(depth):
    made = []

    def producer():
        for i in count():
            made.append(i)
            yield i

    items = read_ahead(producer(), depth)
    for i in range(5):
        assert next(items) == i
        time.sleep(0.02)
        assert len(made) <= i + depth + 2  # in the consumer's hands, waiting, and in the producer's
    items.close()


def test_closing_early_stops_and_closes_the_producer():
    finished = threading.Event()

    def producer():
        try:
            yield from count()
        finally:
            finished.set()

    items = read_ahead(producer())
    assert next(items) == 0
    items.close()
    assert finished.is_set()
    assert not running()


def test_leaving_a_loop_by_an_exception_stops_the_producer():
    finished = threading.Event()

    def producer():
        try:
            yield from count()
        finally:
            finished.set()

    def consumer():
        for _ in read_ahead(producer()):
            raise KeyError

    with pytest.raises(KeyError) as error:
        consumer()
    error.value.__traceback__ = None  # which held the loop's iterator
    del error
    gc.collect()
    assert finished.is_set()
    assert not running()


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_ordered_map_keeps_the_order(threads):
    rng = random.Random(0)
    naps = [rng.random() / 500 for _ in range(60)]

    def work(i):
        time.sleep(naps[i])
        return i

    assert list(ordered_map(work, range(60), threads)) == list(range(60))
    assert not running()


def test_ordered_map_works_in_many_threads_at_once():
    together = threading.Barrier(3, timeout=20)
    assert list(ordered_map(lambda _: together.wait() >= 0, range(3), 3)) == [True] * 3


@pytest.mark.parametrize("threads", [1, 4])
def test_ordered_map_keeps_few_in_flight(threads):
    taken = []

    def items():
        for i in range(50):
            taken.append(i)
            yield i

    for n_seen, _ in enumerate(ordered_map(lambda i: i, items(), threads)):
        assert len(taken) <= n_seen + threads + 1


@pytest.mark.parametrize("failing", [0, 5, 19])
def test_ordered_map_raises_what_the_function_raised(failing):
    def work(i):
        if i == failing:
            raise ValueError(f"item {i}")
        return i

    seen = []
    with pytest.raises(ValueError, match=f"item {failing}"):
        seen.extend(ordered_map(work, range(20), 3))
    results = ordered_map(work, range(20), 3)
    for i in range(failing):
        assert next(results) == i
    with pytest.raises(ValueError, match=f"item {failing}"):
        next(results)
    assert not running()


def test_ordered_map_raises_what_the_items_raised():
    def items():
        yield 1
        raise ValueError("no second")

    with pytest.raises(ValueError, match="no second"):
        list(ordered_map(lambda i: i, items(), 2))
    assert not running()


def test_ordered_map_closed_early_does_no_further_work():
    done = []
    results = ordered_map(done.append, count(), 2)
    next(results)
    results.close()
    assert len(done) <= 4
    assert not running()


def test_one_inside_the_other_stops_as_a_whole():
    results = read_ahead(ordered_map(lambda i: i * i, count(), 2))
    assert [next(results) for _ in range(4)] == [0, 1, 4, 9]
    results.close()
    assert not running()


@pytest.mark.parametrize(("most", "ahead"), [(0, 1), (5, 1), (20, 4), (1000, 8)])
def test_map_ahead_works_as_far_ahead_as_the_weight_allows(most, ahead):
    taken = []

    def items():
        for i in range(9):
            taken.append(i)
            yield i

    seen = []
    for found in map_ahead(lambda i: 2 * i, items(), 3, weigh=lambda _: 5, most=most):
        seen.append(found)
        assert len(taken) <= len(seen) + ahead
    assert seen == [2 * i for i in range(9)]
    assert not running()


def test_map_ahead_works_in_many_threads_at_once():
    together = threading.Barrier(3, timeout=20)
    found = map_ahead(lambda _: together.wait() >= 0, range(3), 3, weigh=lambda _: 1, most=3)
    assert list(found) == [True] * 3


def test_map_ahead_raises_in_its_turn_and_stops_when_closed():
    results = map_ahead(lambda i: 1 // (2 - i), count(), 2, weigh=lambda _: 1, most=4)
    assert next(results) == 0
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    done = []
    results = map_ahead(done.append, count(), 2, weigh=lambda _: 1, most=4)
    next(results)
    results.close()
    assert not running()
    n = len(done)
    time.sleep(0.05)
    assert len(done) == n <= 6
