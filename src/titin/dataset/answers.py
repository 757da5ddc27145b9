"""One request for part of a file far away, and what the answer says of the file it is from.

Which file an answer is from is in its headers. So a file needs no look at it before a read, nor a second one after it,
each of which would be a round trip: `titin.dataset.opened_files.OpenedFiles` compares what the answers say.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from importlib import import_module
from typing import Any, NamedTuple

from titin.dataset.folder import Mark

Part = tuple[int, int]  # first byte and end
_LENGTH = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PIECE = 1 << 20


class ServerAnswer(NamedTuple):
    """What a server has sent.

    Attributes
    ----------
    data
        As much of what was asked for as there is; one byte more than the most that was allowed, where there is more.
    mark
        Size of the whole file and what else tells it from one put in its place; None where the server does not say.
    """

    data: bytes
    mark: Mark | None


Asker = Callable[[str, Part | None, int], ServerAnswer]


def find_asker(protocol: str, fs: Any) -> Asker | None:
    """Return what sends one request for a file, or part of one; None for file systems whose answers say nothing.

    Takes the file's path as the file system has it, the part (None for all), and how many bytes are allowed. A file
    that is not there raises FileNotFoundError.

    Parameters
    ----------
    fs
        Of fsspec, for this protocol.
    """
    if protocol == "hf":
        return partial(_ask_hub, fs)
    ask = {"http": _ask_http, "https": _ask_http, "s3": _ask_s3, "s3a": _ask_s3}.get(protocol)
    if ask is None or not fs.async_impl:
        return None
    sync = import_module("fsspec.asyn").sync

    def asker(path: str, part: Part | None, most: int) -> ServerAnswer:
        answer: ServerAnswer = sync(fs.loop, ask, fs, path, part, most)
        return answer

    return asker


def mark_of(protocol: str, info: Mapping[str, Any]) -> Mark:
    """What the answers of `find_asker` say of a file, of what fsspec has found out about it."""
    if protocol.startswith("http"):
        return info["size"], info.get("ETag", ""), info.get("Last-Modified", "")
    if protocol == "hf":
        return (info["size"],)
    return info["size"], info.get("ETag", "")


async def _ask_http(fs: Any, url: str, part: Part | None, most: int) -> ServerAnswer:
    # the size that is announced is to be that of the file
    headers = {**fs.kwargs.get("headers", {}), "Accept-Encoding": "identity", **_range(part)}
    session = await fs.set_session()
    async with session.get(fs.encode_url(url), **{**fs.kwargs, "headers": headers}) as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            raise FileNotFoundError(url)
        length = _whole_length(answer.headers.get("Content-Range"))
        if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and length is not None:
            data = b""
        else:
            answer.raise_for_status()
            if answer.status != HTTPStatus.PARTIAL_CONTENT:  # a server that knows of no ranges sends all of it
                length = answer.content_length
                data = await _body(answer, most if part is None else part[1])
                data = data if part is None else data[part[0] :]
            else:
                data = await _body(answer, most)
        named = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
        return ServerAnswer(data, None if length is None else (length, *named))


async def _body(answer: Any, most: int) -> bytes:
    """The body, or what of it is more than is allowed by one byte; where that ends, the connection is given up."""
    if (answer.content_length or most + 1) <= most:
        whole: bytes = await answer.read()
        return whole
    pieces, left = [], most + 1
    while left and (piece := await answer.content.read(min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    if not left:
        answer.close()
    return b"".join(pieces)


async def _ask_s3(fs: Any, path: str, part: Part | None, most: int) -> ServerAnswer:
    bucket, key, version = fs.split_path(path)
    await fs.set_session()
    client = await fs.get_s3(bucket)
    asked = {"Bucket": bucket, "Key": key, **_range(part), **fs.req_kw} | ({"VersionId": version} if version else {})
    try:  # without s3fs's own attempts, of which there are as many again for each of titin's
        found = await client.get_object(**fs._get_s3_method_kwargs(client.get_object, **asked))
    except import_module("botocore.exceptions").ClientError as error:
        raise import_module("s3fs.errors").translate_boto_error(error) from error
    try:
        if part is None and found["ContentLength"] > most:
            data = bytes(await found["Body"].read(most + 1))
        else:
            data = bytes(await found["Body"].read())
    finally:
        found["Body"].close()
    length = _whole_length(found.get("ContentRange")) if part is not None else found["ContentLength"]
    return ServerAnswer(data, None if length is None else (length, found.get("ETag", "")))


class HubStart(NamedTuple):
    """The manifest of a dataset on the Hub, and the commit it was read from.

    Attributes
    ----------
    commit
        None where the Hub does not say.
    data
        None where there is no such file.
    """

    commit: str | None
    data: bytes | None


def start_on_hub(repo: str, revision: str, file: str, most: int, endpoint: Any, token: Any) -> HubStart:
    """Read a file at a branch, tag or commit of a dataset on the Hub, whose answer says which commit that is.

    Parameters
    ----------
    most
        Bytes of it; where it has more, one more is read.
    endpoint, token
        None for what huggingface_hub finds.
    """
    hub = import_module("huggingface_hub")
    hub.utils.validate_repo_id(repo)
    answer = _get_from_hub(repo, revision, file, (0, most + 1), endpoint, token)
    first = answer.history[0] if answer.history else answer  # large files are elsewhere
    commit = first.headers.get("X-Repo-Commit", "")
    there = answer.status_code != HTTPStatus.NOT_FOUND
    return HubStart(commit if _COMMIT.fullmatch(commit) else None, bytes(answer.content) if there else None)


def _ask_hub(fs: Any, path: str, part: Part | None, most: int) -> ServerAnswer:
    owner, name, file = path.removeprefix("datasets/").split("/", 2)
    name, _, revision = name.partition("@")
    answer = _get_from_hub(f"{owner}/{name}", revision, file, part or (0, most + 1), fs.endpoint, fs.token)
    if answer.status_code == HTTPStatus.NOT_FOUND:
        raise FileNotFoundError(path)
    length = _whole_length(answer.headers.get("Content-Range"))
    if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return ServerAnswer(b"", None if length is None else (length,))
    data = bytes(answer.content)
    if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
        length = len(data)
        data = data if part is None else data[part[0] : part[1]]
    return ServerAnswer(data, None if length is None else (length,))


def _get_from_hub(repo: str, revision: str, file: str, part: Part, endpoint: Any, token: Any) -> Any:
    """The answer to one request, which may have been sent on; of errors only that there is no such file, or part."""
    hub = import_module("huggingface_hub")
    url = hub.hf_hub_url(repo, file, repo_type="dataset", revision=revision, endpoint=endpoint)
    headers = hub.utils.build_hf_headers(token=token) | {"Accept-Encoding": "identity"} | _range(part)
    answer = hub.utils.get_session().get(url, headers=headers, timeout=hub.constants.HF_HUB_DOWNLOAD_TIMEOUT)
    none = answer.status_code == HTTPStatus.NOT_FOUND and answer.headers.get("X-Error-Code") == "EntryNotFound"
    if not none and answer.status_code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        hub.utils.hf_raise_for_status(answer)
    return answer


def _range(part: Part | None) -> dict[str, str]:
    return {} if part is None else {"Range": f"bytes={part[0]}-{part[1] - 1}"}


def _whole_length(content_range: str | None) -> int | None:
    found = _LENGTH.fullmatch(content_range or "")
    return int(found[1]) if found else None
