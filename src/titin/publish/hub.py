"""A repository on the Hub, of a dataset or of a Space."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from titin.errors import TitinError
from titin.extras import require
from titin.masking import HIDDEN, mask
from titin.progress import Progress
from titin.retry import ATTEMPTS, PAUSE, retry

Result = TypeVar("Result")
DATASET, SPACE = "dataset", "space"  # kinds of repositories
REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")  # name of one
KEPT = {".gitattributes", ".gitignore"}  # what the Hub puts there itself
_HUB = "https://huggingface.co"
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN to a token that may write"


class PublishError(TitinError):
    """The Hub refused, or could not be reached; what has been uploaded is kept, and another try goes on from there."""

    exit_code = 1


@dataclass(frozen=True)
class Remote:
    """A file on the Hub: its size, and its sha256 where it is a large one, else the id of its git blob."""

    size: int
    sha256: str | None
    blob: str


@dataclass(frozen=True)
class Sent:
    """What an upload came to.

    Attributes
    ----------
    commit
        That the revision is at.
    n_bytes
        Of the files that the Hub did not have.
    verified
        How many files' checksums were compared.
    """

    commit: str
    n_bytes: int
    verified: int


def hub_address(kind: str, repo_id: str) -> str:
    """Address of a repository's page, at the Hub that huggingface_hub is told to use (HF_ENDPOINT).

    Examples
    --------
    >>> hub_address("space", "me/atlas").endswith("/spaces/me/atlas")
    True
    """
    endpoint = (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")
    return f"{endpoint}/{kind}s/{repo_id}"


def require_hub() -> Any:
    """Import huggingface_hub, and see that what it is called with is there too.

    Raises
    ------
    TitinError
        If something is not installed.
    """
    return require("huggingface_hub", "the Hub")


class Repository:
    """One repository at one revision.

    Parameters
    ----------
    repo_id
        ``user/name``.
    kind
        ``dataset`` or ``space``.
    revision
        Branch.
    token
        As huggingface_hub finds it (its login, HF_TOKEN) where not given. It is never shown.
    progress
        Told of uploads and further attempts.
    attempts, pause
        As for `titin.retry.retry`.
    """

    def __init__(
        self, repo_id: str, *, kind: str = DATASET, revision: str = "main", token: str | None = None,
        progress: Progress | None = None, attempts: int = ATTEMPTS, pause: float = PAUSE,
    ) -> None:  # fmt: skip
        hub = require_hub()
        self.repo_id, self.kind, self.revision = repo_id, kind, revision
        self._token = token or hub.get_token()
        if self._token is None:
            raise TitinError("there is no token for the Hub", _LOGIN)
        self._api = hub.HfApi(token=self._token)
        self._progress = progress or Progress()
        self._attempts, self._pause = attempts, pause
        hub.utils.disable_progress_bars()

    def another(self, repo_id: str, kind: str) -> "Repository":
        """One more repository, reached in the same way."""
        return Repository(repo_id, kind=kind, token=self._token, progress=self._progress, attempts=self._attempts,
                          pause=self._pause)  # fmt: skip

    @property
    def url(self) -> str:
        """Address of its page."""
        return f"{self._api.endpoint}/{self.kind}s/{self.repo_id}"

    def create(self, *, private: bool) -> str:
        """Create the repository and the branch, if they are not there; return the commit that the branch is at.

        Raises
        ------
        PublishError
            If the Hub refuses, or the repository is there and public although a private one was asked for.
        """
        self._try("creating the repository", lambda: self._api.create_repo(
            self.repo_id, repo_type=self.kind, private=private, exist_ok=True))  # fmt: skip
        info = self._try("asking for the repository", lambda: self._api.repo_info(self.repo_id, repo_type=self.kind))
        if private and not info.private:
            raise PublishError(
                f"{self.repo_id} is there already and public", "publish without --private, or to another"
            )
        if self.revision != "main":
            self._try("creating the branch", lambda: self._api.create_branch(
                self.repo_id, repo_type=self.kind, branch=self.revision, exist_ok=True))  # fmt: skip
            info = self._try("asking for the branch", lambda: self._api.repo_info(
                self.repo_id, repo_type=self.kind, revision=self.revision))  # fmt: skip
        return str(info.sha)

    def create_static(self) -> str:
        """Create a static Space, if it is not there; return the commit that it is at.

        Raises
        ------
        PublishError
            If the Hub refuses, or the Space is there and runs a program.
        """
        self._try("creating the Space", lambda: self._api.create_repo(
            self.repo_id, repo_type=self.kind, space_sdk="static", exist_ok=True))  # fmt: skip
        info = self._try("asking for the Space", lambda: self._api.repo_info(self.repo_id, repo_type=self.kind))
        if info.sdk != "static":
            raise PublishError(f"the Space {self.repo_id} is there already, and its sdk is {info.sdk}, not static",
                               "name another one: --space USER/SPACE")  # fmt: skip
        return str(info.sha)

    def closed(self) -> str:
        """Why nobody reads it without a token: it is private or gated; nothing where everybody does."""
        info = self._try("asking for the repository", lambda: self._api.repo_info(self.repo_id, repo_type=self.kind))
        return "private" if info.private else "gated" if info.gated else ""

    def n_commits(self) -> int:
        """How many commits the revision has; one, where nobody has put anything there since it was created."""
        return len(self._try("listing the commits", lambda: self._api.list_repo_commits(
            self.repo_id, repo_type=self.kind, revision=self.revision)))  # fmt: skip

    def files(self) -> dict[str, Remote]:
        """Every file of the revision."""
        tree = self._try("listing the files", lambda: list(self._api.list_repo_tree(
            self.repo_id, repo_type=self.kind, revision=self.revision, recursive=True)))  # fmt: skip
        return {
            entry.path: Remote(entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
            for entry in tree if hasattr(entry, "blob_id")
        }  # fmt: skip

    def read(self, name: str) -> bytes | None:
        """Content of a small file; None if there is none."""
        from huggingface_hub import HfFileSystem
        from huggingface_hub.errors import EntryNotFoundError

        files = HfFileSystem(token=self._token)
        path = f"{self.kind}s/{self.repo_id}@{self.revision.replace('/', '%2F')}/{name}"
        try:
            return self._try(f"reading {name}", lambda: bytes(files.cat_file(path)))
        except (FileNotFoundError, EntryNotFoundError):
            return None

    def bring(
        self, folder: Path, files: Sequence[Mapping[str, Any]], remote: Mapping[str, Remote], stale: Sequence[str],
        message: str, head: str,
    ) -> Sent:  # fmt: skip
        """Upload what the Hub does not have of a folder, delete what is stale, and compare all checksums.

        Parameters
        ----------
        folder
            With the files.
        files
            Their names, bytes and sha256.
        remote
            Files of the revision.
        stale
            Of these, what goes.
        message
            Of the commit; there is none where nothing has changed.
        head
            The commit that the revision is at.

        Raises
        ------
        PublishError
            As for `upload` and `verify`.
        """
        changed = {entry["name"]: entry["bytes"] for entry in files if not _is_there(remote, folder, entry)}
        commit = self.upload(folder, changed, stale, message, head) if changed or stale else head
        return Sent(commit, sum(changed.values()), self.verify(folder, commit))

    def upload(self, folder: Path, names: Iterable[str], stale: Iterable[str], message: str, parent: str) -> str:
        """Upload files and delete stale ones, in one commit; return the commit.

        Large files are sent one by one before it, so that an interrupted upload goes on with the next one, and readers
        never see some files of one version and some of another.

        Parameters
        ----------
        parent
            The commit that the revision is at; if somebody else has pushed since, the Hub refuses.

        Raises
        ------
        PublishError
            If the Hub refuses, or cannot be reached after so many attempts.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        names = list(names)
        sizes = {name: (folder / name).stat().st_size for name in names}
        self._progress.start("uploading", sum(sizes.values()), "bytes")
        additions = []
        for name in names:
            addition = CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(folder / name))
            self._try(f"uploading {name}", partial(
                self._api.preupload_lfs_files, self.repo_id, [addition], repo_type=self.kind, revision=self.revision,
                num_threads=1, free_memory=False))  # fmt: skip
            additions.append(addition)
            self._progress.advance(sizes[name])
        operations = [*additions, *(CommitOperationDelete(path_in_repo=name) for name in stale)]
        commit = self._try("committing", lambda: self._api.create_commit(
            self.repo_id, operations, commit_message=message, repo_type=self.kind, revision=self.revision,
            parent_commit=parent))  # fmt: skip
        self._progress.finish()
        return str(commit.oid)

    def verify(self, folder: Path, commit: str) -> int:
        """Compare the checksums of all files of a folder with the commit's; return how many were compared.

        Raises
        ------
        PublishError
            If one differs or is not there.
        """
        result = self._try("verifying checksums", lambda: self._api.verify_repo_checksums(
            self.repo_id, repo_type=self.kind, revision=commit, local_dir=folder))  # fmt: skip
        if result.mismatches or result.extra_paths:
            wrong = [mismatch["path"] for mismatch in result.mismatches]
            wrong += [f"{path} (missing)" for path in result.extra_paths]
            raise PublishError(f"files on the Hub are not those that were sent: {', '.join(wrong)}", "publish again")
        return int(result.checked_count)

    def tag(self, name: str, commit: str, message: str) -> None:
        """Name a commit for good.

        Raises
        ------
        PublishError
            If there is such a tag already, on another commit.
        """
        there = self._try("listing tags", lambda: self._api.list_repo_refs(self.repo_id, repo_type=self.kind)).tags
        known = {tag.name: tag.target_commit for tag in there}
        if name in known and known[name] != commit:
            raise PublishError(f"the tag {name} is there already, on commit {known[name][:8]}", "take another --tag")
        if name not in known:
            self._try("tagging", partial(
                self._api.create_tag, self.repo_id, repo_type=self.kind, tag=name, tag_message=message, revision=commit,
                exist_ok=True))  # fmt: skip

    def _try(self, what: str, action: Callable[[], Result]) -> Result:
        """Call with retries; whatever goes wrong in the end is said in a line, without the token."""
        try:
            return retry(action, what, note=self._progress.note, attempts=self._attempts, pause=self._pause)
        except (KeyboardInterrupt, FileNotFoundError):
            raise
        except Exception as error:
            message, hint = explain(error, self.repo_id)
            raise PublishError(self._hide(f"{what}: {message}"), hint) from None  # the cause may hold the token

    def _hide(self, text: str) -> str:
        return mask(text.replace(str(self._token), HIDDEN))


def _is_there(remote: Mapping[str, Remote], folder: Path, entry: Mapping[str, Any]) -> bool:
    """Whether the Hub has a file with the same content."""
    there = remote.get(entry["name"])
    if there is None or there.size != entry["bytes"]:
        return False
    if there.sha256 is not None:
        return bool(there.sha256 == entry["sha256"])
    content = (folder / entry["name"]).read_bytes()
    return there.blob == hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


_HINTS: Mapping[str, tuple[str, str]] = {
    "LocalTokenNotFoundError": ("there is no token for the Hub", _LOGIN),
    "RepositoryNotFoundError": ("the Hub knows no such repository, or the token may not see it",
                                "check its name, and that the token may write to it"),
    "RevisionNotFoundError": ("there is no such revision", "check --revision"),
    "GatedRepoError": ("the token has no access to this gated repository", "ask for access on its page"),
    "HFValidationError": ("that is no name of a repository", "write it like user/name"),
    "OfflineModeIsEnabled": ("huggingface_hub is told to stay offline", "unset HF_HUB_OFFLINE"),
}  # fmt: skip
_STATUS = {
    401: ("the Hub does not accept the token", _LOGIN),
    403: ("the token may not write there", "take a token with write access to this repository"),
    409: ("the Hub is doing something else with the repository", "publish again in a minute"),
    412: ("somebody else has pushed in between", "publish again: what has been uploaded is kept"),
    413: ("the Hub finds it too large", "see the Hub's limits on storage"),
}


def explain(error: Exception, repo_id: str) -> tuple[str, str]:
    """Say what went wrong on the Hub, and what to do."""
    for cls in type(error).__mro__:
        if cls.__name__ in _HINTS:
            message, hint = _HINTS[cls.__name__]
            return f"{message} ({repo_id})", hint
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in _STATUS:
        message, hint = _STATUS[status]
        return f"{message} ({repo_id})", hint
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = getattr(error, "server_message", None)  # what the Hub answers, which may stand on a line of its own
    reason = f"{lines[0].rstrip(':')}: {said}" if said and said not in lines[0] else lines[0]
    return reason, "publish again: what has been uploaded is kept, and the upload goes on from there"
