"""An analysis as a record: what it is called, what it needs, how it is run and shown, what can be asked of it."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
import pandas as pd

from titin.ageing.comparison import Comparisons, Contrast, OverDonors, extra_columns
from titin.ageing.donor_means import cells_that_take_part
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk, write_pseudobulk
from titin.ageing.questions import by_roles, check_question
from titin.atlas import Atlas
from titin.errors import TitinError
from titin.features import GeneSetScores, read_gene_set_scores, score_gene_sets
from titin.presets import Preset
from titin.progress import Progress
from titin.results import Result
from titin.section import Section
from titin.study.conditions import Where
from titin.study.design import AGE, Study, choose_level, level_columns

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
    where
        Cells that take part; the others are counted as left out. A column of numbers a cell will do as well as one of
        donors.

    Raises
    ------
    TitinError
        If a condition names no column, or leaves no cell.
    """

    atlas: Atlas
    seed: int = 0
    threads: int | None = None
    progress: Progress = field(default_factory=Progress)
    where: Where = field(default_factory=Where)
    _kept: dict[Hashable, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.where:
            study = Study.of(self.atlas, self.where.columns)
            self.atlas.cells.chosen = self.where.holds(study.keys(self.where.columns))

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

    def sums(self, contrast: Contrast = AGE, formula: str | None = None, **_: Any) -> Pseudobulk | None:
        """Counts by donor and type and what a formula names; None where the dataset has no counts or donors."""
        if not self.atlas.manifest.value_kind.has_counts or not self.atlas.roles.get("donor"):
            return None
        return self.pseudobulk(extra_columns(contrast, formula, None))

    def save_pseudobulk(self) -> None:
        """Put the counts of all groups into the dataset, whoever takes part here."""
        chosen, self.atlas.cells.chosen = self.atlas.cells.chosen, None
        self.atlas = write_pseudobulk(self.atlas, progress=self.progress)
        self.atlas.cells.chosen = chosen

    def scores(self) -> GeneSetScores:
        """Scores of the bundled programmes: those that the dataset has, or computed for the cells that take part."""

        def make() -> GeneSetScores:
            stored = read_gene_set_scores(self.atlas)
            if stored is not None:
                return stored
            return score_gene_sets(self.atlas, cells=cells_that_take_part(self.atlas).chosen, seed=self.seed,
                                   threads=self.threads, progress=self.progress)  # fmt: skip

        return self.once("scores", make)

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the donors as they are counted (`Study.warnings`), and which genes cannot be compared."""
        return self.once("warnings", lambda: [*Study.of(self.atlas).warnings, *self.atlas.not_comparable])

    def level(self, chosen: int | str | None = None) -> str | None:
        """Name of a level of cell types, the coarsest where none is chosen; None where the dataset has none."""
        levels = list(level_columns(self.atlas.roles))
        return choose_level(levels, chosen, whole=True) if levels or chosen is not None else None


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


def _no_verdict(findings: Findings) -> str:  # noqa: ARG001 - of all analyses alike
    return ""


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
    verdict
        The answer in one sentence without its full stop; p is adjusted over all that it speaks of.
    statements
        What is to be said next, in sentences.
    headline
        Whether its verdict stands at the head of every report; a preset asks for more of them.
    narrowed_by
        What the command can be asked to show alone of what was found: ``gene``, ``cell_type``.
    reads_all
        Whether it goes through the whole matrix, which the workers of a cluster can do.
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
    verdict: Callable[[Findings], str] = _no_verdict
    statements: Callable[[Findings], list[str]] = _no_statements
    headline: bool = False
    narrowed_by: tuple[str, ...] = ()
    reads_all: bool = False

    @property
    def anchor(self) -> str:
        """Anchor of its section in the report."""
        return self.section or self.name

    def offered(self, preset: Preset) -> bool:
        """Whether a dataset of this preset can be asked for it."""
        return not self.preset or getattr(preset, self.preset) is not None

    def compute(self, inputs: Inputs, **options: Any) -> Findings:
        """Run it; the settings of every result keep who was chosen, and what is wrong with the donors as counted.

        Raises
        ------
        TitinError
            If the dataset lacks what is asked for, which is said before anything is computed.
        """
        if isinstance(options.get("contrast"), str) and options.get("formula") is None:
            options["contrast"] = by_roles(inputs.atlas.roles, options["contrast"])
        check_question(inputs.atlas, self.needs, options)
        findings = self.run(inputs, **options)
        for result in findings.results.values() if inputs.where else ():
            result.settings["where"] = [str(condition) for condition in inputs.where.conditions]
        if inputs.warnings:
            for result in findings.results.values():
                result.settings["warnings"] = list(inputs.warnings)
        return findings

    def fill(self, section: Section, inputs: Inputs) -> Findings:
        """Run as the report does, fill a section that begins with the verdict, and return what was found."""
        findings = self.compute(inputs, **self.in_report(inputs))
        if verdict := self.verdict(findings):
            section.say(f"{verdict}.")
        self.show(section, findings, inputs)
        main = main_result(findings, Result)
        if isinstance(main, OverDonors):
            for sentence in main.left_out_sentences:
                section.say(f"{sentence}.", kind="soft")
            if main.cells_left_out:
                section.facts |= {"cells_left_out": main.cells_left_out, "donors_left_out": main.donors_left_out}
        for said in main.settings.get("depth_warnings", []):
            section.say(f"Warning: {said}.")
        if isinstance(main, Comparisons):
            say_overlaps(section, main)
            say_skipped(section, main)
        return findings


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
    """Refuse when there is no comparison, with the reason of the largest: rare types lack donors whatever is asked.

    Raises
    ------
    TitinError
        In one sentence.
    """
    if not len(found.table):
        largest = max(found.skipped, key=lambda entry: entry.get("n_cells") or 0, default=None)
        if largest is None:
            raise TitinError("not evaluable: there is no cell type", "see --cell-type-level")
        where, n = by_reason([largest])[str(largest["reason"])][0], len(found.skipped)
        of = f" ({where}, the largest of {n})" if n > 1 else ""
        raise TitinError(f"not evaluable in any cell type: {largest['reason']}{of}",
                         "see --min-donors, --min-cells and --formula")  # fmt: skip


def by_reason(skipped: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """What was not compared, by reason."""
    found: dict[str, list[str]] = {}
    for entry in skipped:
        where = " in ".join(str(entry[k]) for k in ("cell_type", "protocol") if entry.get(k))
        found.setdefault(str(entry["reason"]), []).append(where or "all")
    return found


def say_overlaps(section: Section, found: Comparisons) -> None:
    """Add how far the contrast overlaps with what is adjusted for, over the comparisons, and where it does much."""
    if not (vif := found.vif()):
        return
    section.facts["vif"] = max(float(test["vif"]) for test in found.tests if test.get("vif"))
    section.say(f"{vif}: what the variance of the effect is, over that of a design in which nothing overlaps with it.",
                kind="soft")  # fmt: skip
    overlaps = [{**test, "reason": note} for test in found.tests for note in test["notes"] if "overlap: VIF" in note]
    lines = [f"{reason}: {', '.join(names)}" for reason, names in by_reason(overlaps).items()]
    section.list(lines, title="Hard to tell apart", folded=True)


def say_skipped(section: Section, found: Comparisons) -> None:
    """Add what was not compared, by reason."""
    lines = [f"{reason}: {', '.join(names)}" for reason, names in by_reason(found.skipped).items()]
    section.list(lines, title=f"Not evaluable ({len(found.skipped)})", folded=True)


def unstack(column: pd.Series, level: str) -> pd.DataFrame:
    """A column with two levels of index as a table, that level across."""
    table: pd.DataFrame = column.unstack(level)  # noqa: PD010
    return table
