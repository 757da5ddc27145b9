"""Try again what may succeed the next time, a bounded number of times."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

ATTEMPTS = 6
PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before the second attempt, doubled before each further one
_BUSY = {408, 425, 429, 500, 502, 503, 504}
# of the HTTP clients that huggingface_hub has had: the connection failed, was lost, or took too long
_CONNECTION = {"TransportError", "NetworkError", "ConnectError", "ConnectionError", "Timeout", "TimeoutException",
               "ProtocolError", "ChunkedEncodingError"}  # fmt: skip


def is_passing(error: BaseException) -> bool:
    """Whether an error may not come again: the server is busy, or the connection was lost."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return status in _BUSY
    return isinstance(error, ConnectionError | TimeoutError) or any(
        cls.__name__ in _CONNECTION for cls in type(error).__mro__
    )


def retry(
    action: Callable[[], Result], what: str, *, note: Callable[[str], None], attempts: int = ATTEMPTS,
    pause: float = PAUSE,
) -> Result:  # fmt: skip
    """Call until it succeeds, fails for good, or has failed so many times.

    Parameters
    ----------
    action
        Safe to repeat.
    what
        For the messages.
    note
        Told of each attempt that failed.
    attempts
        Most calls.
    pause
        Seconds before the second; the server's own wish (``Retry-After``) comes first.
    """
    for attempt in range(1, attempts + 1):
        try:
            return action()
        except Exception as error:
            if attempt == attempts or not is_passing(error):
                raise
            wait = _wait(error, pause * 2 ** (attempt - 1))
            note(f"{what}: {_reason(error)}; attempt {attempt + 1} of {attempts} in {wait:.0f} s")
            time.sleep(wait)
    raise AssertionError("unreachable")


def _wait(error: Exception, planned: float) -> float:
    wished = getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", "")
    return min(float(wished) if wished.replace(".", "", 1).isdigit() else planned, LONGEST_PAUSE)


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"the Hub answered {status}" if status is not None else f"the connection failed ({type(error).__name__})"
