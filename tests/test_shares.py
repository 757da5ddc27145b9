"""Who of a cluster is sent the next task of a pass, and how much is one."""

import pytest

from titin.shares import Shares, TaskSize


class Sent:
    """A future, as far as it is looked at here."""

    status = "pending"


def test_the_next_task_is_for_who_has_the_fewest_for_each_thread() -> None:
    threads = {"a": 1, "b": 3}
    shares = Shares(lambda: dict(threads))
    assert shares.n_threads == 4
    sent: list[tuple[str | None, Sent]] = []
    for _ in range(8):
        sent.append((shares.next(), Sent()))
        shares.note(*sent[-1])
    assert [worker for worker, _ in sent].count("a") == 2
    next(future for worker, future in sent if worker == "a").status = "finished"
    assert shares.next() == "a"


def test_whom_a_pass_finds_changes_with_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titin.shares._LOOK", 0.0)
    threads = {"a": 1}
    shares = Shares(lambda: dict(threads))
    assert shares.next() == "a"
    shares.note("a", Sent())
    threads["b"] = 1
    assert shares.next() == "b"
    del threads["a"]
    shares.note("b", Sent())
    assert shares.next() == "b"
    threads.clear()
    assert shares.next() is None
    assert shares.n_threads == 0


def test_short_items_travel_together_and_the_last_apart() -> None:
    size = TaskSize(range(60), Shares(lambda: {"a": 1, "b": 1}))
    assert size.next() == 1  # nobody knows yet
    size.learn(0.1, 1)
    assert size.next() == 2
    size.learn(10.0, 2)
    assert size.next() == 1
    size.learn(0.0, 1)
    sizes = [size.next() for _ in range(20)]
    assert sizes[0] == 8
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    endless = TaskSize(iter(int, 1), Shares(dict))
    endless.learn(0.01, 1)
    assert endless.next() == 8
