"""The copy of a dataset that is published: hard links, with what must differ from the dataset written anew."""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from titin.atlas import open_atlas
from titin.atlas.tables import read_obs
from titin.dataset import layout
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.own_files import refuse_links
from titin.dataset.replace import revise
from titin.dataset.store import Store
from titin.dataset.strict_json import parse_json
from titin.dataset.swap import put, scratch, write_json
from titin.dataset.transfer import fetched
from titin.errors import OutputError, TitinError
from titin.files import beside, local_folder
from titin.progress import Progress
from titin.publish import licence as licences
from titin.publish.card import can_draw, make_facts, write_into
from titin.publish.hub import KEPT, REPO, SPACE, PublishError, Repository
from titin.publish.privacy import (
    BIN_YEARS,
    ExactAges,
    Identifier,
    ages_in_uns,
    coarsen_ages,
    find_exact_ages,
    find_identifiers,
)
from titin.publish.processing import PublicCopy
from titin.publish.space import HubSpace, SpacePage, WritePage, check_space, write_space
from titin.retry import ATTEMPTS, PAUSE

if TYPE_CHECKING:
    from titin.check import ValidationReport


class FindAgeing(Protocol):
    """Puts the tables of what changes with age into a dataset, by levels of cell types."""

    def __call__(self, dataset: Path, /, *, levels: Sequence[str]) -> object:
        """Find them."""


@contextmanager
def public_copy(
    folder: Path, repo_id: str, licence: str | None, *, exact_ages: bool, progress: Progress | None = None,
    find_ageing: FindAgeing | None = None, space: str | None = None,
) -> Iterator[tuple[Path, str]]:  # fmt: skip
    """Make the copy that is published: hard links, with what must differ written anew; removed at the end.

    What changes with age is left out where it was found by exact ages that become bins; ``find_ageing`` finds it anew.

    Yields
    ------
    folder, ages
        The copy, and what was done with the ages; see `Publication`.
    """
    folder = folder.resolve()
    with scratch(folder) as place:
        copy = place / folder.name
        _link_files(folder, copy)
        manifest = Manifest.read(copy)
        found = ExactAges([], []) if exact_ages else find_exact_ages(read_obs(Store(copy)), manifest)
        ages = "bins" if found else ("exact" if exact_ages else "as they are")
        if found:
            (progress or Progress()).note(f"exact ages become bins of {BIN_YEARS} years ({found})")
            with revise(copy) as draft:
                coarsen_ages(draft, found)
            if find_ageing is not None and manifest.ageing:
                find_ageing(copy, levels=list(manifest.ageing))
        with revise(copy) as draft:
            pictures = any(name.startswith("preview_") for name in manifest.files)
            images = can_draw() if found and pictures else None  # drawn again: they may show the ages
            public = PublicCopy(repo_id, exact_ages, space)
            write_into(draft, copy, preset=None, licence=licence, images=images, croissant=True, public=public)
        yield copy, ages


def write_public_copy(
    dataset: str | Path, repo_id: str, *, exact_ages: bool = False, find_ageing: FindAgeing | None = None,
    space: str | None = None,
) -> Path:  # fmt: skip
    """Write what `publish` would put on the Hub, but for the report of its validation, beside the dataset.

    Parameters
    ----------
    dataset
        The folder.
    repo_id
        Where it would lie, which its card names.
    exact_ages, find_ageing, space
        As for `publish`; the page of a Space is not written.

    Returns
    -------
    Path
        ``DATASET.public``.

    Raises
    ------
    OutputError
        If that is there already.
    """
    folder = local_folder(dataset).resolve()
    target = beside(folder, ".public")
    if target.exists():
        raise OutputError(f"{target} is there already", "move it away")
    with public_copy(folder, repo_id, None, exact_ages=exact_ages, find_ageing=find_ageing, space=space) as (copy, _):
        put(copy, target)
    return target


def _link_files(folder: Path, copy: Path) -> None:
    """The files of the manifest, and the manifest; nothing else that lies there."""
    refuse_links(folder)
    copy.mkdir()
    for name in [*Manifest.read(folder).files, layout.MANIFEST]:
        try:
            os.link(folder / name, copy / name)
        except FileNotFoundError:
            continue  # the validation says so
        except OSError:
            shutil.copy2(folder / name, copy / name)


_SHOWN = 5


class PublicationRefusedError(PublishError):
    """The dataset is not to be published as it is."""


@dataclass
class Publication:
    """What was published, or would be.

    Attributes
    ----------
    repo_id, revision, url
        Where.
    files
        Name, bytes, sha256 and config of each.
    stale
        Files of an earlier version that were deleted.
    kept
        Other files of the repository, left alone.
    ages
        ``exact``, ``bins`` (what was exact is coarsened), or ``as they are`` (none was exact).
    validation
        Numbers of errors, warnings and notes; the findings.
    licence
        Identifier.
    sent
        Bytes of the files that the Hub did not have.
    commit, verified
        The commit, and how many files' checksums were compared after it; None for a dry run.
    space
        The page of a Space that went up with it, or would; None where none was asked for.
    """

    repo_id: str
    revision: str
    licence: str | None
    ages: str = "as they are"
    files: list[dict[str, Any]] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)
    validation: dict[str, Any] = field(default_factory=dict)
    refusals: list[dict[str, str]] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    url: str | None = None
    commit: str | None = None
    sent: int = 0
    verified: int | None = None
    tag: str | None = None
    space: SpacePage | None = None

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(entry["bytes"] for entry in self.files)


def publish(
    dataset: str | Path, repo_id: str, *, dry_run: bool = False, private: bool = False, revision: str = "main",
    tag: str | None = None, message: str | None = None, licence: str | None = None, exact_ages: bool = False,
    allow: Collection[str] = (), token: str | None = None, threads: int | None = None,
    memory: int | str | None = None, progress: Progress | None = None, attempts: int = ATTEMPTS, pause: float = PAUSE,
    find_ageing: FindAgeing | None = None, space: str | None = None, write_page: WritePage | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Publication:  # fmt: skip
    """Put a dataset on the Hugging Face Hub.

    The dataset itself is not changed: what goes up is a copy of hard links beside it, with exact ages in bins, and a
    card for the place that it goes to.

    Parameters
    ----------
    dataset
        The folder, or a URL as `titin.open` takes it, of which a copy is fetched.
    repo_id
        ``user/name``; created if it is not there.
    dry_run
        Do everything but reach for the Hub.
    private
        Create a private repository.
    revision
        Branch to commit to; created if it is not there.
    tag
        Name for the commit.
    message
        Of the commit.
    licence
        Identifier as the Hub has it; where not given, the one that the card was last written with.
    exact_ages
        Publish exact ages instead of bins of five years.
    allow
        Columns that look like direct identifiers and are none, by name.
    token
        As huggingface_hub finds it where not given.
    threads, memory
        For the validation.
    attempts, pause
        For what may succeed the next time.
    find_ageing
        `titin.ageing.write_ageing_tables`, which is called where the dataset holds these tables and its exact ages
        become bins: found anew by the bins. Without it they are left out.
    space
        ``user/name`` of a static Space that shows the dataset; created if it is not there.
    write_page
        `titin.explore.write_page`, which makes its page.
    storage_options
        As for `titin.open`.

    Raises
    ------
    PublicationRefusedError
        If the validation finds errors, no licence is stated, or there are direct identifiers.
    PublishError
        If the Hub refuses or cannot be reached; what has been uploaded is kept there.
    DatasetError
        If the folder is no dataset.
    """
    progress = progress or Progress()
    if not REPO.fullmatch(repo_id):
        raise TitinError(f"{repo_id!r} names no repository", "write it like user/name")
    if space is not None:
        write_page = check_space(space, write_page, private)
    licence = licences.check_licence(licence) if licence else None
    with fetched(dataset, storage_options, progress) as folder:
        return _publish(
            folder, repo_id, dry_run=dry_run, private=private, revision=revision, tag=tag, message=message,
            licence=licence, exact_ages=exact_ages, allow=allow, token=token, threads=threads, memory=memory,
            progress=progress, attempts=attempts, pause=pause, find_ageing=find_ageing, space=space,
            write_page=write_page,
        )  # fmt: skip


def _publish(
    folder: Path, repo_id: str, *, dry_run: bool, private: bool, revision: str, tag: str | None, message: str | None,
    licence: str | None, exact_ages: bool, allow: Collection[str], token: str | None, threads: int | None,
    memory: int | str | None, progress: Progress, attempts: int, pause: float, find_ageing: FindAgeing | None,
    space: str | None, write_page: WritePage | None,
) -> Publication:  # fmt: skip
    """Publish a folder of this machine; what was given has been checked."""
    facts = make_facts(folder, licence=licence)
    repository = None if dry_run else Repository(
        repo_id, revision=revision, token=token, progress=progress, attempts=attempts, pause=pause
    )  # fmt: skip
    refusals = _refusals(folder, facts.licence, facts.uns, allow, exact_ages)
    if refusals and not dry_run:
        raise PublicationRefusedError(refusals[0]["message"], refusals[0]["hint"])
    with public_copy(folder, repo_id, facts.licence, exact_ages=exact_ages, progress=progress,
                     find_ageing=find_ageing, space=space) as (copy, ages):  # fmt: skip
        beside_it = copy.with_name(f"{copy.name}.space")
        page = None
        if space is not None and write_page is not None:  # before the validation, which takes long
            page = write_space(make_facts(copy, repo_id=repo_id), beside_it, space, revision, write_page)
        report = _validate(copy, threads, memory, progress)
        _add_report(copy, report)
        manifest = Manifest.read(copy)
        publication = Publication(repo_id, revision, facts.licence, ages, refusals=refusals, space=page)
        publication.validation = _summary(report)
        publication.configs = [config.name for config in make_facts(copy, manifest).configs]
        publication.files = _files(copy, manifest)
        if not report.passed:
            refusals.append(_validation_refusal(report))
        if repository is None:
            return publication
        if refusals:
            raise PublicationRefusedError(refusals[0]["message"], refusals[0]["hint"])
        shown = None if page is None else HubSpace(page, beside_it, repository.another(page.repo_id, SPACE))
        _upload(repository, publication, copy, private, message or _message(manifest), tag, shown)
    return publication


def _upload(
    repository: Repository, publication: Publication, copy: Path, private: bool, message: str, tag: str | None,
    space: HubSpace | None,
) -> None:  # fmt: skip
    head = repository.create(private=private)
    if space is not None:  # whatever may be refused is, before anything is sent
        space.prepare(repository)
    remote = repository.files()
    names = [entry["name"] for entry in publication.files]
    earlier = repository.read(layout.MANIFEST) if layout.MANIFEST in remote else None
    publication.stale = stale_files(remote, names, earlier)
    publication.kept = sorted(set(remote) - set(names) - set(publication.stale) - KEPT)
    publication.url = repository.url
    sent = repository.bring(copy, publication.files, remote, publication.stale, message, head)
    publication.commit, publication.sent, publication.verified = sent.commit, sent.n_bytes, sent.verified
    if tag is not None:
        repository.tag(tag, publication.commit, message)
        publication.tag = tag
    if space is not None:
        space.upload(message)


def stale_files(remote: Collection[str], names: Collection[str], earlier: bytes | None) -> list[str]:
    """Files on the Hub that an earlier version of a dataset has left: those of its manifest, and every Parquet file.

    Every Parquet file must be in a config; what else somebody has put there is left alone.
    """
    owned = {name for name in remote if name.endswith(".parquet")}
    try:
        files = parse_json(earlier).get("files") if earlier is not None else None
        owned |= set(files) if isinstance(files, dict) else set()
    except (ValueError, AttributeError):
        pass
    return sorted((owned & set(remote)) - set(names) - KEPT)


def _refusals(
    folder: Path, licence: str | None, uns: dict[str, Any], allow: Collection[str], exact_ages: bool
) -> list[dict[str, str]]:
    """Why the dataset is not to be published, before any of it is validated."""
    refusals = []
    if not licence:
        refusals.append({"message": "no licence is stated for these data",
                         "hint": "--license ID states one; ask whoever owns the data, and do not guess"})  # fmt: skip
    atlas = open_atlas(folder)
    found = find_identifiers(atlas.obs, uns, donor=atlas.manifest.roles.get("donor"), allow=allow)
    refusals += [_identifier_refusal(identifier) for identifier in found]
    if not exact_ages:
        refusals += [
            {"message": f"{where} is named as ages are, and titin cannot put it into bins",
             "hint": f"--exact-ages publishes ages as they are, --allow {where} this one; or remove it and build again"}
            for where in ages_in_uns(uns) if where not in allow
        ]  # fmt: skip
    return refusals


def _identifier_refusal(identifier: Identifier) -> dict[str, str]:
    return {
        "message": f"{identifier.where} looks like direct identifiers: {identifier.what} ({identifier.why})",
        "hint": f"remove it from the source and build again; if it identifies nobody: --allow {identifier.where}",
    }


def _validate(copy: Path, threads: int | None, memory: int | str | None, progress: Progress) -> "ValidationReport":
    from titin.check import validate

    progress.note("validating what is to be published")
    return validate(copy, level="full", threads=threads, memory=memory, progress=progress)


def _add_report(copy: Path, report: "ValidationReport") -> None:
    """Put what was checked and found into the copy: the same for the same dataset, whenever it is checked."""
    from titin.check.report import JSON_NAME

    document = report.document()
    kept = {key: document[key] for key in ("schema_version", "titin", "level", "passed", "verdict")}
    summary = _without(document["validation_summary"], "timestamp", "seconds")
    checks = [_without(check, "seconds", "crash") for check in document["checks"]]
    with revise(copy) as draft:
        write_json(draft.replace(JSON_NAME), {**kept, "validation_summary": summary, "checks": checks})


def _without(table: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def _validation_refusal(report: "ValidationReport") -> dict[str, str]:
    from titin.check.report import BUG_HINT

    errors = [finding for _, finding in report.findings("error")]
    if not errors:
        names = ", ".join(result.check.name for result in report.crashed[:_SHOWN])
        return {"message": f"{len(report.crashed)} checks crashed, so that the dataset is not validated: {names}",
                "hint": BUG_HINT}  # fmt: skip
    shown = "; ".join(finding.message for finding in errors[:_SHOWN])
    more = f" and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
    return {"message": f"the validation found {len(errors)} errors: {shown}{more}",
            "hint": "titin validate DATASET says what and where; mend it, or build again"}  # fmt: skip


def _summary(report: "ValidationReport") -> dict[str, Any]:
    return {
        "passed": report.passed, **{f"{s}s": report.count(s) for s in ("error", "warning", "note")},
        "findings": [
            {"check": result.check.name, "severity": result.severity(finding), "message": finding.message,
             "where": finding.where, "hint": finding.hint}
            for result, finding in report.findings()
        ],
    }  # fmt: skip


def _files(copy: Path, manifest: Manifest) -> list[dict[str, Any]]:
    """Every file that goes up; the manifest describes all but itself."""
    configs = {shard: config.name for config in make_facts(copy, manifest).configs for shard in config.shards}
    entries = {**manifest.files, layout.MANIFEST: describe_file(copy / layout.MANIFEST)}
    return [
        {"name": name, "bytes": entry["bytes"], "sha256": entry["sha256"], "config": configs.get(name)}
        for name, entry in sorted(entries.items())
    ]


def _message(manifest: Manifest) -> str:
    return f"{manifest.n_cells:,} cells × {manifest.n_genes:,} genes, by titin {manifest.libraries.get('titin', '')}"
