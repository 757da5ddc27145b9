"""Options of storage far away: where it is, who asks, who pays; as fsspec's file systems take them."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from titin.errors import TitinError
from titin.masking import conceal

_HINT = """write KEY=VALUE or a JSON object, such as endpoint=https://host:9000 or '{"anonymous": true}'"""
_SECRETS = ("key", "secret", "token", "password", "credential", "sas", "connection_string")
# words of titin's own for what every kind of storage calls otherwise
_WORDS: dict[str, dict[str, str]] = {
    "s3": {"endpoint": "endpoint_url", "anonymous": "anon", "requester_pays": "requester_pays"},
    "gs": {"endpoint": "endpoint_url", "anonymous": "token", "requester_pays": "requester_pays"},
    "az": {"anonymous": "anon"},
    "hf": {"endpoint": "endpoint"},
}
_SAME = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}
_ANYWHERE = {"use_listings_cache", "listings_expiry_time", "max_paths", "skip_instance_cache", "asynchronous", "loop",
             "batch_size"}  # fmt: skip

_ENDPOINT = re.compile(r"https?://[^/\s]", re.IGNORECASE)
_given: dict[str, Any] = {}


def read_storage_options(texts: Iterable[str]) -> dict[str, Any]:
    """Read what was given as ``KEY=VALUE`` or as JSON objects; of one key, the last counts.

    Returns
    -------
    dict
        ``true`` and ``false`` of ``KEY=VALUE`` are truth values, all else is text; JSON has its own types.

    Raises
    ------
    TitinError
        If one is neither; it may hold a secret, and is not repeated.

    Examples
    --------
    >>> read_storage_options(["endpoint=http://localhost:9000", "anonymous=true", '{"max_concurrency": 4}'])
    {'endpoint': 'http://localhost:9000', 'anonymous': True, 'max_concurrency': 4}
    """
    found: dict[str, Any] = {}
    for place, text in enumerate(texts, 1):
        if text.lstrip().startswith("{"):
            try:
                document = json.loads(text)
            except (ValueError, RecursionError):
                raise TitinError(f"storage option {place} begins like JSON and is none", _HINT) from None
            found |= document
            continue
        key, given, value = text.partition("=")
        if not given or not key.strip():
            raise TitinError(f"storage option {place} has no KEY=VALUE", _HINT)
        found[key.strip()] = {"true": True, "false": False}.get(value.strip().lower(), value.strip())
    return found


def give_storage_options(options: Mapping[str, Any] | None) -> None:
    """Set what holds for every URL that this process opens from here on, as a command was told; None for nothing."""
    _given.clear()
    _given.update(options or {})
    hide_secrets(_given)


def given_storage_options() -> dict[str, Any]:
    """What `give_storage_options` has set."""
    return dict(_given)


def hide_secrets(options: Mapping[str, Any]) -> None:
    """Have `titin.masking.mask` hide the keys, tokens and passwords among options, at any depth."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            hide_secrets(value)
        elif isinstance(value, str) and any(word in key.lower() for word in _SECRETS):
            conceal(value)


def translate(protocol: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Turn titin's own words into those of a kind of storage; others are its own already.

    Parameters
    ----------
    protocol
        Before the ``://``.

    Raises
    ------
    TitinError
        If this storage has no such thing.

    Examples
    --------
    >>> translate("s3", {"endpoint": "http://localhost:9000", "anonymous": True})
    {'endpoint_url': 'http://localhost:9000', 'anon': True}
    """
    words = _WORDS.get(_SAME.get(protocol, protocol), {})
    found: dict[str, Any] = {}
    for key, value in options.items():
        if key in ("endpoint", "anonymous", "requester_pays") and key not in words:
            raise TitinError(f"{protocol}:// has no storage option {key}", "leave it out")
        if key in ("anonymous", "requester_pays") and not isinstance(value, bool):
            raise TitinError(f"the storage option {key} is neither true nor false", f"write {key}=true")
        if key == "endpoint" and not (isinstance(value, str) and _ENDPOINT.match(value)):
            raise TitinError("the storage option endpoint is no address", "write endpoint=https://host:9000")
        if words.get(key) == "token":  # Google's
            found |= {"token": "anon"} if value else {}
        else:
            found[words.get(key, key)] = value
    return found


def check_known(protocol: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse an option that a file system of an object store would pass over in silence.

    Parameters
    ----------
    options
        Of `translate`.
    known
        Those that the file system names itself.

    Raises
    ------
    TitinError
    """
    kind = _SAME.get(protocol, protocol)
    if kind not in ("s3", "gs", "az"):
        return
    unknown = sorted(set(options) - set(known) - _ANYWHERE)
    if unknown:
        own = ", ".join(_WORDS[kind])
        raise TitinError(f"{protocol}:// has no storage option {unknown[0]}",
                         f"there are {own}, and those of the package that opens {protocol}://")  # fmt: skip
