"""``titin card`` and ``titin publish``."""

from pathlib import Path

import click

from titin.options import (
    ByHand,
    choose_progress,
    dataset_argument,
    dataset_or_url_argument,
    dry_run_option,
    force_option,
    licence_option,
    limit_options,
    preset_option,
    print_result,
    shared_options,
)


@click.command()
@dataset_argument
@preset_option
@licence_option
@click.option(
    "--images/--no-images", default=None, help="Pictures of the cells.  [default: if matplotlib is installed]"
)
@click.option("--croissant/--no-croissant", default=True, show_default=True, help="Write croissant.json.")
@force_option
@shared_options
def card(
    dataset: Path, preset: str | None, licence: str | None, images: bool | None, croissant: bool, force: bool,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Write README.md, croissant.json, LICENSE and pictures into DATASET, every number computed from its files.

    They are written anew each time, as they follow from the dataset; one that was changed by hand is replaced with
    --force only.

    \b
    titin card dataset --license cc-by-4.0
    titin card dataset --preset mine.toml --no-images
    """  # noqa: D301 - \b is click's
    choose_progress(quiet)  # pictures take a moment
    from titin.publish import write_card
    from titin.publish.terminal import describe_card, document_of_card

    written = write_card(dataset, preset=preset, licence=licence, images=images, croissant=croissant, force=force)
    print_result(document_of_card(written), as_json, describe_card)


@click.command()
@dataset_or_url_argument
@click.argument("repo", metavar="USER/REPO")
@dry_run_option
@click.option("--private", is_flag=True, help="Create a private repository.")
@click.option("--revision", default="main", show_default=True, metavar="BRANCH", help="Branch to commit to.")
@click.option("--tag", metavar="NAME", help="Name for this version.")
@click.option("--message", metavar="TEXT", help="Of the commit.")
@licence_option
@click.option("--exact-ages", cls=ByHand, is_flag=True, help="Publish exact ages instead of bins of five years.")
@click.option(
    "--allow", cls=ByHand, multiple=True, metavar="COLUMN", help="A column that looks like an identifier and is none."
)
@click.option("--space", cls=ByHand, is_flag=False, flag_value="", metavar="[USER/SPACE]",
              help="Show it in the explorer, in a static Space, too.  [default name: USER/REPO]")  # fmt: skip
@limit_options
@shared_options
def publish(
    dataset: Path | str, repo: str, dry_run: bool, private: bool, revision: str, tag: str | None, message: str | None,
    licence: str | None, exact_ages: bool, allow: tuple[str, ...], space: str | None,
    threads: int | None, memory: str | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Check DATASET and put it on the Hub as USER/REPO; interrupted, the same command goes on.

    Refuses if the validation finds errors, if no licence is stated here or on the card, or if obs holds direct
    identifiers. DATASET itself is not changed, and the Hub keeps every earlier version. The token is that of
    `hf auth login`, or HF_TOKEN. --dry-run lists files, checksums, configs and findings, and does not reach for the
    Hub.

    \b
    titin publish dataset me/atlas --dry-run
    titin publish dataset me/atlas --license cc-by-4.0 --tag v1
    titin publish dataset me/atlas --space
    """  # noqa: D301 - \b is click's
    progress = choose_progress(quiet)
    from titin.ageing import write_ageing_tables
    from titin.explore import write_page
    from titin.publish import publish as publish_dataset
    from titin.publish.terminal import describe_publication, document_of_publication

    done = publish_dataset(
        dataset, repo, dry_run=dry_run, private=private, revision=revision, tag=tag, message=message, licence=licence,
        exact_ages=exact_ages, allow=allow, threads=threads, memory=memory, progress=progress,
        find_ageing=write_ageing_tables, space=repo if space == "" else space, write_page=write_page,
    )  # fmt: skip
    print_result(document_of_publication(done), as_json, describe_publication)
    if done.refusals:
        raise SystemExit(1)
