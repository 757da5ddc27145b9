"""``titin explore`` and ``titin site``."""

from pathlib import Path

import click

from titin.options import (
    ByHand,
    choose_progress,
    dataset_argument,
    dataset_or_url_argument,
    force_option,
    output_option,
    print_result,
    shared_options,
)


@click.command()
@dataset_or_url_argument
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="PORT", show_default="a free one",
              help="Port to listen on.")  # fmt: skip
@click.option("--host", cls=ByHand, default="127.0.0.1", metavar="ADDRESS", show_default=True,
              help="Address to listen on; one that other machines reach needs the token that is printed.")  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
@shared_options
def explore(dataset: Path | str, port: int, host: str, no_browser: bool, as_json: bool, quiet: bool) -> None:
    """Open DATASET in the browser: its projections, labels and genes. Ctrl-C ends it.

    \b
    titin explore dataset
    titin explore hf://datasets/user/repo --no-browser
    """  # noqa: D301 - \b is click's
    from titin.explore.server import ExplorerServer

    server = ExplorerServer(dataset, host, port)
    try:
        print_result({"schema_version": 1, "address": server.address}, as_json, lambda found: _told(found, quiet))
        if not no_browser:
            import webbrowser

            webbrowser.open(server.address)
        server.run()
    except KeyboardInterrupt:  # how it is meant to end
        return


def _told(found: dict[str, str], quiet: bool) -> str:
    return f"exploring at {found['address']}" + ("" if quiet else "\nCtrl-C ends it")


@click.command()
@dataset_argument
@output_option("DATASET.site")
@click.option("--data", cls=ByHand, metavar="URL",
              help="Where the page finds the dataset, instead of a copy beside it: https://… or "
                   "hf://datasets/user/repo.")  # fmt: skip
@force_option
@shared_options
def site(dataset: Path, output: Path | None, data: str | None, force: bool, as_json: bool, quiet: bool) -> None:
    """Write the explorer of DATASET as a folder of files for any static host, with the dataset in it or elsewhere.

    What changes with age is found for its pages, where the dataset does not hold it (`titin age tables`), and what
    `titin network` has left beside the dataset is put into them.

    \b
    titin site dataset -o site
    titin site dataset -o site --data hf://datasets/user/repo
    """  # noqa: D301 - \b is click's
    from titin.explore.site import write_site
    from titin.text import size

    done = write_site(dataset, output, data=data, force=force, progress=choose_progress(quiet))
    document = {"schema_version": 1, "path": str(done.path), "data": done.data, "bytes": done.n_bytes,
                "no_ageing": done.no_ageing or None, "no_regulators": done.no_regulators or None}  # fmt: skip
    without = f"; its pages say nothing of ageing: {done.no_ageing}" if done.no_ageing else ""
    without += f"; its pages do not show the regulators: {done.no_regulators}" if done.no_regulators else ""
    print_result(document, as_json, lambda found: f"wrote {found['path']} ({size(found['bytes'])}), "
                                                  f"which reads the dataset from {found['data']}{without}")  # fmt: skip
