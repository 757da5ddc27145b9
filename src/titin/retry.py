"""What may succeed the next time is tried again, a bounded number of times, and no call lasts for ever."""

import re
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from titin.masking import mask

Result = TypeVar("Result")

ATTEMPTS = 6
PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before the second attempt, doubled before each further one
_BUSY = {408, 425, 429, 500, 502, 503, 504}
# of the HTTP clients of huggingface_hub, fsspec and botocore: the connection failed, was lost, or took too long
_CONNECTION = {
    "TransportError", "NetworkError", "ConnectError", "ConnectionError", "Timeout", "TimeoutException", "ProtocolError",
    "ChunkedEncodingError", "ClientConnectionError", "ClientPayloadError", "HTTPClientError", "IncompleteRead",
    "ResponseStreamingError", "IncompleteReadError", "RequestError",
}  # fmt: skip
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
                   "LocalTokenNotFoundError", "DefaultCredentialsError"}  # fmt: skip


class CutError(ConnectionError):
    """A server has sent less, or more, than it was asked for."""


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error carries, whichever library raised it."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        found = getattr(response, "status_code", None)
    for name in ("status", "code"):  # aiohttp's and gcsfs's; aiohttp warns of the second
        if found is None:
            found = getattr(error, name, None)
    if re.fullmatch(r"[1-5]\d\d", str(found)):
        return int(found)
    if isinstance(error, OSError) and isinstance(error.__cause__, Exception):  # s3fs's, of one of botocore
        return status_of(error.__cause__)
    return None


def is_passing(error: BaseException) -> bool:
    """Whether an error may not come again: the server is busy, or the connection was lost."""
    status = status_of(error)
    if status is not None:
        return status in _BUSY
    return isinstance(error, ConnectionError | TimeoutError) or _is_any(error, _CONNECTION)


def explain_reading(error: BaseException) -> tuple[str, str]:
    """Say why a server could not be read, and what to do; of what the server says, no secret."""
    status = status_of(error)
    if status is None and _is_any(error, _NO_CREDENTIALS):
        return "no credentials were found that the server could know you by", (
            "log in with the storage's own tools, or say with --storage-options anonymous=true that anybody may read it"
        )
    if status in (401, 403) or (status is None and isinstance(error, PermissionError)):
        answered = f" (status {status})" if status else ""
        return (
            f"the server does not let you read it{answered}",
            "check your token or credentials, and what they may read",
        )
    if status == 404:
        return "the server has no such file (status 404)", "check the URL"
    if status is not None:
        hint = "try again in some minutes" if status in _BUSY else "check the URL"
        return f"the server answered with status {status}", hint
    if isinstance(error, CutError):
        return mask(error), "check the connection, and try again"
    if isinstance(error, TimeoutError) or "timeout" in type(error).__name__.lower():
        return mask(error) or "the server did not answer in time", "check the connection, and try again"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = f"{type(error).__name__}: {mask(lines[0])}" if lines else type(error).__name__
    if is_passing(error):
        return f"the connection failed ({said})", "check the connection, and try again"
    return said, "check the URL and the connection"


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
    for attempt in range(1, attempts):
        try:
            return action()
        except Exception as error:
            if not is_passing(error):
                raise
            wished = _wished(error)
            seconds = min(pause * 2 ** (attempt - 1) if wished is None else wished, LONGEST_PAUSE)
            note(f"{what}: {_reason(error)}; attempt {attempt + 1} of {attempts} in {seconds:.0f} s")
        time.sleep(seconds)
    return action()


def within(seconds: float, action: Callable[[], Result]) -> Result:
    """Call on a thread of its own, and wait no longer than this: some libraries wait for ever.

    Raises
    ------
    TimeoutError
        If it has not come to its end by then; the thread is left to itself.
    """
    done: list[tuple[Any, BaseException | None]] = []

    def work() -> None:
        try:
            done.append((action(), None))
        except BaseException as error:
            done.append((None, error))

    thread = threading.Thread(target=work, daemon=True, name="titin-read")
    thread.start()
    thread.join(seconds)
    if not done:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    result, error = done[0]
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def _is_any(error: BaseException, names: set[str]) -> bool:
    return any(cls.__name__ in names for cls in type(error).__mro__)


def _wished(error: BaseException) -> float | None:
    """Seconds that the server asks to wait."""
    for holder in (getattr(error, "response", None), error):
        headers = getattr(holder, "headers", None)
        if headers:
            text = str(headers.get("Retry-After", ""))
            if text.replace(".", "", 1).isdigit():
                return float(text)
    return None


def _reason(error: BaseException) -> str:
    status = status_of(error)
    return f"the server answered {status}" if status is not None else f"the connection failed ({type(error).__name__})"
