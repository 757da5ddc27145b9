"""An analysis as a record: what it is called, what it needs, how it is run and shown, what can be asked of it."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
import pandas as pd

from titin import options
from titin.ageing.comparison import Comparisons
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk
from titin.atlas import Atlas
from titin.errors import TitinError
from titin.features import GeneSetScores, read_gene_set_scores, score_gene_sets
from titin.presets import Preset
from titin.progress import Progress
from titin.results import Result
from titin.section import Section
from titin.study.design import Study, choose_level, level_columns, need
from titin.study.vocabulary import sex_of

ALPHA = 0.05
_T = TypeVar("_T")


@dataclass
class Inputs:
    """A dataset, and what several analyses take from it, computed once.

    Attributes
    ----------
    atlas
        The dataset.
    seed, threads, progress
        For everything that is computed.
    """

    atlas: Atlas
    seed: int = 0
    threads: int | None = None
    progress: Progress = field(default_factory=Progress)
    _kept: dict[Hashable, Any] = field(default_factory=dict)

    def once(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return what was made under this key, or make it."""
        if key not in self._kept:
            self._kept[key] = make()
        found: _T = self._kept[key]
        return found

    def pseudobulk(self, extra: Sequence[str] = ()) -> Pseudobulk:
        """Counts by donor and type, and further columns of obs."""
        return self.once(
            ("pseudobulk", *extra),
            lambda: pseudobulk(self.atlas, extra=list(extra), threads=self.threads, progress=self.progress),
        )

    def scores(self) -> GeneSetScores:
        """Scores of the bundled programmes: those that the dataset has, or computed."""

        def make() -> GeneSetScores:
            stored = read_gene_set_scores(self.atlas)
            if stored is not None:
                return stored
            return score_gene_sets(self.atlas, seed=self.seed, threads=self.threads, progress=self.progress)

        return self.once("scores", make)

    def level(self, chosen: int | str | None = None) -> str | None:
        """Name of a level of cell types, the coarsest where none is chosen; None where the dataset has none."""
        levels = list(level_columns(self.atlas.roles))
        return choose_level(levels, chosen) if levels or chosen is not None else None

    def males(self) -> dict[str, Any]:
        """The condition that only males take part.

        Raises
        ------
        TitinError
            If the dataset does not tell them.
        """
        need([role for role, column in self.atlas.roles.items() if column], "sex", "only males are asked for")
        sexes = Study.of(self.atlas).keys(["sex"])["sex"].dropna().unique()
        males = [str(sex) for sex in sexes if sex_of(sex) == "M"]
        if not males:
            raise TitinError(f"no donor is male: the sexes are {', '.join(map(str, sexes))}", "leave --males-only out")
        return {"sex": males}


@dataclass(frozen=True)
class Findings:
    """What an analysis found.

    Attributes
    ----------
    results
        By part; the first is what the analysis is about, and its name may be empty.
    missing
        Parts that could not be computed, with the reason.
    files
        What was written into the dataset, where that was asked for.
    """

    results: dict[str, Result]
    missing: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)


def _nothing_more(inputs: Inputs) -> dict[str, Any]:  # noqa: ARG001 - of all analyses alike
    return {}


def _no_statements(findings: Findings) -> list[str]:  # noqa: ARG001 - of all analyses alike
    return []


@dataclass(frozen=True)
class Analysis:
    """One analysis of what changes with age.

    Attributes
    ----------
    name
        ``titin age NAME``; tables are called so.
    title
        Heading of its section in the report.
    summary
        One line: what it answers.
    help
        More of it, for the command.
    needs
        Roles of obs (``donor``, ``age``, ``cell_type``), and ``counts`` where these have to be known.
    preset
        Section of the preset (`titin.presets.Preset`) that it cannot do without; empty for none.
    result
        Kind of its main result; says which tables there are.
    run
        ``run(inputs, **options)``: compute.
    show
        ``show(section, findings, inputs)``: fill its section with sentences, tables and figures.
    options
        What can be asked of it, by the names of the keywords of ``run``.
    parts
        Names of its results; see `Findings`.
    section
        Anchor of its section in the report.
    refuses_empty
        Whether the command fails where no type could be compared.
    in_report
        What ``run`` is asked in the report.
    statements
        What is to be said first of all, in sentences.
    """

    name: str
    title: str
    summary: str
    needs: tuple[str, ...]
    result: type[Result]
    run: Callable[..., Findings]
    show: Callable[[Section, Findings, Inputs], None]
    help: str = ""
    preset: str = ""
    options: tuple[click.Option, ...] = ()
    parts: tuple[str, ...] = ("",)
    section: str = ""
    refuses_empty: bool = False
    in_report: Callable[[Inputs], dict[str, Any]] = _nothing_more
    statements: Callable[[Findings], list[str]] = _no_statements

    @property
    def anchor(self) -> str:
        """Anchor of its section in the report."""
        return self.section or self.name

    def offered(self, preset: Preset) -> bool:
        """Whether a dataset of this preset can be asked for it."""
        return not self.preset or getattr(preset, self.preset) is not None

    def fill(self, section: Section, inputs: Inputs) -> dict[str, Any]:
        """Run as the report does, fill a section, and return what was computed with."""
        findings = self.run(inputs, **self.in_report(inputs))
        self.show(section, findings, inputs)
        main = main_result(findings, Result)
        if isinstance(main, Comparisons):
            say_skipped(section, main)
        return main.settings


_R = TypeVar("_R", bound=Result)


def main_result(findings: Findings, kind: type[_R]) -> _R:
    """The result that an analysis is about, known to be of a kind."""
    first = next(iter(findings.results.values()))
    if not isinstance(first, kind):
        raise TypeError(f"the analysis gave {type(first).__name__}, not {kind.__name__}")
    return first


def hits(table: pd.DataFrame) -> int:
    """Rows with an adjusted p below 0.05."""
    return int((table["adj_p_value"] < ALPHA).sum()) if "adj_p_value" in table else 0


def refuse_untested(found: Comparisons) -> None:
    """Refuse when there is no comparison, with the reason that most have.

    Raises
    ------
    TitinError
        In one sentence.
    """
    if not len(found.table):
        reasons = [str(skipped["reason"]) for skipped in found.skipped] or ["there is no cell type"]
        raise TitinError(
            f"no cell type could be compared: {max(reasons, key=reasons.count)}",
            "see --min-donors, --min-cells and --formula",
        )


def by_reason(skipped: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """What was not compared, by reason."""
    found: dict[str, list[str]] = {}
    for entry in skipped:
        where = " in ".join(str(entry[k]) for k in ("cell_type", "protocol") if entry.get(k))
        found.setdefault(str(entry["reason"]), []).append(where or "all")
    return found


def say_skipped(section: Section, found: Comparisons) -> None:
    """Add what was not compared, by reason."""
    lines = [f"{reason}: {', '.join(names)}" for reason, names in by_reason(found.skipped).items()]
    section.list(lines, title=f"Not compared ({len(found.skipped)})", folded=True)


def unstack(column: pd.Series, level: str) -> pd.DataFrame:
    """A column with two levels of index as a table, that level across."""
    table: pd.DataFrame = column.unstack(level)  # noqa: PD010
    return table


# Options that several analyses have, under the names that ``run`` takes.
LEVEL = click.Option(
    ["--cell-type-level"],
    metavar="LEVEL",
    show_default="coarsest",
    help="Level of cell types, by column or place.",
)
FORMULA = click.Option(
    ["--formula"], metavar="FORMULA",
    help='What to adjust for.  [default: "~ sex + chemistry + age", as far as the dataset has them]',
)  # fmt: skip
CONTRAST = click.Option(
    ["--contrast"], metavar="NAME", default="age", show_default=True,
    help="age (a decade), young_old, or a variable or column of the design.",
)  # fmt: skip
MIN_DONORS = click.Option(
    ["--min-donors"], type=click.IntRange(2), default=3, show_default=True, help="Fewest donors on either side."
)
MIN_CELLS = click.Option(
    ["--min-cells"], type=click.IntRange(1), default=10, show_default=True,
    help="Of a donor and type, for the donor to take part.",
)  # fmt: skip
DROP_CONFOUNDED = click.Option(
    ["--drop-confounded"], is_flag=True,
    help="Leave out a nuisance term that cannot be told from the contrast, and say so.",
)  # fmt: skip
MALES_ONLY = click.Option(["--males-only"], is_flag=True, help="Only male donors, to see what sex does to the results.")
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


SCORE = method_option("score_genes", "ucell", "ulm", default="score_genes")
SEED = click.Option(["--seed"], **options.SEED)
