"""Options that several analyses of donors have, under the names that `titin.ageing.Analysis.run` takes."""

from typing import Any

import click

from titin import options

LEVEL = click.Option(["--cell-type-level"], show_default="coarsest; all takes all cells as one type", **options.LEVEL)
FORMULA = options.ByHand(
    ["--formula"], metavar="FORMULA",
    help='What to adjust for.  [default: "~ sex + study + chemistry + age", as far as the dataset has them]',
)  # fmt: skip
CONTRAST = click.Option(
    ["--contrast"], metavar="NAME", default="age", show_default=True,
    help="age (a decade), young_old, or a term or column of the design, such as bs(age, df=3).",
)  # fmt: skip
MIN_DONORS = click.Option(
    ["--min-donors"], type=click.IntRange(2), default=3, show_default=True, help="Fewest donors on either side."
)
MIN_CELLS = click.Option(
    ["--min-cells"], type=click.IntRange(1), default=10, show_default=True,
    help="Of a donor and type, for the donor to take part.",
)  # fmt: skip
DROP_CONFOUNDED = options.ByHand(
    ["--drop-confounded"], is_flag=True,
    help="Leave out a nuisance term that cannot be told from the contrast, and say so.",
)  # fmt: skip
MALES = "sex=M"
WHERE = click.Option(["--where"], **options.WHERE)
MALES_ONLY = click.Option(
    ["--males-only"], is_flag=True, help="The same as --where sex=M, to see what sex does to the results."
)
UNFLAGGED = click.Option(["--without-flagged"], **options.WITHOUT_FLAGGED)
CELL_TYPES = click.Option(
    ["--cell-type", "cell_types"], multiple=True, metavar="NAME", show_default="all",
    help="Show these types alone; all are tested. Repeat for several.",
)  # fmt: skip
LABELS = click.Option(
    ["--label", "labels"], multiple=True, metavar="NAME", show_default="those called so",
    help="Name of a cell type to take; repeat for several.",
)  # fmt: skip


def method_option(*methods: str, default: str | None, keyword: str = "method") -> click.Option:
    """Make the option of how something is computed; several methods can be named where there is no default."""
    settings: dict[str, Any] = {"default": default} if default else {"multiple": True}
    return click.Option(
        ["--method", keyword], type=click.Choice(methods), show_default=default is not None or "all",
        help="How it is computed.", **settings,
    )  # fmt: skip


SCORE = method_option("pseudobulk", "score_genes", "ucell", "ulm", default="pseudobulk")
SEED = click.Option(["--seed"], **options.SEED)
