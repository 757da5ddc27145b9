"""What may pass is tried again, so often and no more, after the pause that is due."""

import pytest

from titin.retry import LONGEST_PAUSE, retry


class HubError(Exception):
    """As the clients raise it."""

    def __init__(self, status: int, after: str | None = None) -> None:
        headers = {"Retry-After": after} if after is not None else {}
        self.response = type("Response", (), {"status_code": status, "headers": headers})()


class Action:
    """Fails as told, then succeeds."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures, self.calls = list(failures), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


@pytest.mark.parametrize(
    ("failures", "pauses"),
    [
        ([], []),
        ([HubError(503)], [1]),
        ([HubError(429), TimeoutError(), ConnectionResetError()], [1, 2, 4]),
        ([HubError(429, "7")], [7]),
        ([HubError(429, "7.5"), HubError(500)], [7.5, 2]),
        ([HubError(503, "3600")], [LONGEST_PAUSE]),
        ([HubError(503, "Wed, 21 Oct 2026 07:28:00 GMT")], [1]),
        ([HubError(500)] * 7, [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE]),
    ],
)
def test_passing_failures_are_waited_for(failures, pauses, slept):
    told: list[str] = []
    action = Action(*failures)
    assert retry(action, "asking", note=told.append, attempts=8) == "done"
    assert slept == pauses
    assert action.calls == len(failures) + 1
    assert len(told) == len(failures)
    assert all(line.startswith("asking: ") and f"attempt {i} of 8 in" in line for i, line in enumerate(told, 2))


@pytest.mark.parametrize(
    "failure", [HubError(403), HubError(404), ValueError("no"), KeyboardInterrupt(), FileNotFoundError()]
)
def test_lasting_failures_are_raised_as_they_are_at_once(failure, slept):
    action = Action(failure)
    with pytest.raises(type(failure)) as raised:
        retry(action, "asking", note=pytest.fail)
    assert raised.value is failure
    assert (action.calls, slept) == (1, [])


@pytest.mark.parametrize("attempts", [1, 3])
def test_the_last_failure_is_raised_after_so_many_attempts(attempts, slept):
    failures = [HubError(503) for _ in range(9)]
    last = failures[attempts - 1]
    action = Action(*failures)
    with pytest.raises(HubError) as raised:
        retry(action, "asking", note=lambda _: None, attempts=attempts, pause=0.5)
    assert raised.value is last
    assert action.calls == attempts
    assert slept == [0.5, 1.0][: attempts - 1]
