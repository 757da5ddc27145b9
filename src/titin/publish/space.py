"""A static Space on the Hub, whose page shows a published dataset."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from titin.dataset.manifest import describe_file
from titin.errors import TitinError
from titin.markdown import code, escape, link
from titin.publish.facts import CardFacts
from titin.publish.front_matter import yaml_block
from titin.publish.hub import DATASET, KEPT, REPO, SPACE, PublishError, Repository, hub_address

WritePage = Callable[[Path, Path, str, str], object]  # of a dataset, into a folder, with an address and a name of it
_README = "README.md"
_SCRIPT = "explorer.js"  # by which an earlier page is known


@dataclass
class SpacePage:
    """The page of a Space that was published, or would be.

    Attributes
    ----------
    repo_id, url
        Where.
    reads
        Address from which the page reads the dataset.
    files
        Name, bytes and sha256 of each.
    kept
        Other files of the Space, left alone.
    commit, sent, verified
        The commit, the bytes that the Hub did not have, and how many files' checksums were compared; None and 0 for
        a dry run.
    """

    repo_id: str
    url: str
    reads: str
    files: list[dict[str, Any]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    commit: str | None = None
    sent: int = 0
    verified: int | None = None


def check_space(repo_id: str, write_page: WritePage | None, private: bool) -> WritePage:
    """Refuse a Space that cannot show the dataset, before anything is done.

    Raises
    ------
    TitinError
        If the name is none, the dataset is to be private, or nothing makes the page.
    """
    if not REPO.fullmatch(repo_id):
        raise TitinError(f"{repo_id!r} names no Space", "write it like user/name, after the other arguments")
    if private:
        raise TitinError("the page of a static Space reads without a token, so that it cannot show a private dataset",
                         "publish without --space, or without --private")  # fmt: skip
    if write_page is None:
        raise TitinError("nothing makes the page of the Space", "pass write_page=titin.explore.write_page")
    return write_page


def write_space(facts: CardFacts, target: Path, repo_id: str, revision: str, write_page: WritePage) -> SpacePage:
    """Write the files of a Space into a new folder.

    Parameters
    ----------
    facts
        Of the copy that is published, with its repository: the page shows no more than it holds.
    target
        The folder.
    repo_id
        ``user/name`` of the Space.
    revision
        Branch of the dataset that the page reads.
    write_page
        As for `titin.publish.publish`.

    Raises
    ------
    TitinError
        If the page is not built.
    """
    assert facts.repo_id is not None  # noqa: S101 - for the type checker
    reads = f"{hub_address(DATASET, facts.repo_id)}/resolve/{quote(revision, safe='')}"
    name = f"hf://datasets/{facts.repo_id}" + ("" if revision == "main" else f"@{quote(revision, safe='')}")
    target.mkdir()
    write_page(facts.folder, target, reads, name)
    (target / _README).write_text(space_card(facts), "utf-8")
    files = [{"name": path.name, **_described(path)} for path in sorted(target.iterdir())]
    return SpacePage(repo_id, hub_address(SPACE, repo_id), f"{reads}/", files)


def _described(path: Path) -> dict[str, Any]:
    entry = describe_file(path)
    return {"bytes": entry["bytes"], "sha256": entry["sha256"]}


def space_card(facts: CardFacts) -> str:
    """Return the ``README.md`` of the Space: what the Hub must know of it, and what it shows."""
    document = {
        "title": facts.title, "emoji": "🔬", "colorFrom": "blue", "colorTo": "green", "sdk": "static",
        "app_file": "index.html", "pinned": False, "short_description": "Explorer of a single-cell dataset",
        "datasets": [facts.repo_id], "tags": ["biology", "single-cell", "transcriptomics"],
    }  # fmt: skip
    manifest = facts.manifest
    donors = f", of {facts.n_donors:,} donor{'s' if facts.n_donors > 1 else ''}" if facts.n_donors else ""
    where = hub_address(DATASET, str(facts.repo_id))
    parts = [
        f"# {escape(facts.title)}",
        f"The explorer of the dataset {link(facts.repo_id, where)}: {manifest.n_cells:,} cells × "
        f"{manifest.n_genes:,} genes{donors}. The page reads the files of that repository, a part at a time, and holds "
        "nothing of them; what is not published there it does not show.",
    ]
    if facts.synthetic is not None:
        parts.append(f"> **These data are made up.** {escape(facts.synthetic)}")
    licence = f" ({code(facts.licence)})" if facts.licence else ""
    parts.append(f"For the data the licence of the dataset holds{licence}; those of the page's code are in "
                 "`LICENSES.txt`.")  # fmt: skip
    return yaml_block(document) + "\n" + "\n\n".join(parts) + "\n"


@dataclass
class HubSpace:
    """A Space on its way to the Hub.

    Attributes
    ----------
    page
        What goes up; told what became of it.
    folder
        With its files.
    repository
        Of the Space.
    """

    page: SpacePage
    folder: Path
    repository: Repository
    _head: str = ""
    _fresh: bool = False

    def prepare(self, dataset: Repository) -> None:
        """Create the Space, and see that its page will be able to read the dataset.

        Raises
        ------
        PublishError
            If the dataset is not open to everybody, the Hub refuses, or the Space is there and holds something else.
        """
        if closed := dataset.closed():
            raise PublishError(
                f"{dataset.repo_id} is there already and {closed}: the page of a static Space, which reads without a "
                "token, cannot show it", "publish without --space, or open the dataset in its settings on the Hub",
            )  # fmt: skip
        self._head = self.repository.create_static()
        remote = self.repository.files()
        self._fresh = self.repository.n_commits() == 1  # with the page of welcome that the Hub puts there
        if not self._fresh and _SCRIPT not in remote and "index.html" in remote:
            raise PublishError(f"the Space {self.page.repo_id} is there already, and its page is none of titin",
                               "name another one: --space USER/SPACE")  # fmt: skip

    def upload(self, message: str) -> None:
        """Upload what the Hub does not have of it, and compare all checksums; `prepare` comes first.

        Raises
        ------
        PublishError
            If the Hub refuses or cannot be reached.
        """
        remote = self.repository.files()
        others = sorted(set(remote) - {entry["name"] for entry in self.page.files} - KEPT)
        stale = others if self._fresh else []
        self.page.kept = [] if self._fresh else others
        sent = self.repository.bring(self.folder, self.page.files, remote, stale, message, self._head)
        self.page.commit, self.page.sent, self.page.verified = sent.commit, sent.n_bytes, sent.verified
