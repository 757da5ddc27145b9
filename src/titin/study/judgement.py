"""Whether the entries of a column are what its name promises: donors, samples, ages, sexes, protocols, cell types."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.study.ages import is_number, parse_ages
from titin.study.candidates import bare, is_promising
from titin.study.entries import find_gap, read_entries
from titin.study.identity import find_clashes
from titin.study.tallies import Coded, code, count_pairs, is_known
from titin.study.vocabulary import PROTOCOL_WORDS, STATUS_WORDS, plain, protocol_of, sex_of
from titin.text import count, say_first

_ENOUGH = 50  # cells from which the number of different entries says something
_EVERY_CELL = 0.5  # different entries a cell, from which they are names of cells or free text
_MOST_KITS = 30  # values of a chemistry
_DETECTED = 0.5  # share of cells whose age must be readable for a column to be taken for the age
_OLDEST = 130.0  # years
_LEAST_DETECTED = 0.2  # share of all cells, where the others say that theirs is not known
_FLAGS = ({"true", "false"}, {"yes", "no"})
_LETTERS = ({"y", "n"}, {"t", "f"})  # which may be names, one alone
_KITS = re.compile(
    r"10x|chromium|^[35](?:['′’p]|prime)|\bv[1-4](?:\.\d)?\b|smart|\bss[23]\b|drop-?seq|cel-?seq|in-?drops?|multiome|"
    r"flex|visium|rhapsody|\bparse\b|evercode|split-?seq|sci-?rna|seq-?well|microwell|mars-?seq|fluidigm|icell8|dnbelab|"
    r"quartz|\bstrt|gem-?x|next ?gem|pip-?seq|\befo:",
    re.I,
)


@dataclass(frozen=True)
class Verdict:
    """What was found in a column.

    Attributes
    ----------
    says
        What it holds, or why it cannot have the role.
    fits
        Whether it can have the role.
    doubt
        Of columns that fit the one of least doubt is taken, and of equals that of the better name; 0 for none.
    """

    says: str
    fits: bool = True
    doubt: float = 0


@dataclass(frozen=True, eq=False)
class Profile:
    """A column as its role reads it, with what is counted of it.

    Attributes
    ----------
    raw
        As obs has it.
    role
        Of `titin.dataset.layout.ROLES`.
    """

    raw: pd.Series
    role: str

    @cached_property
    def values(self) -> pd.Series:
        """Entries, missing where they are words for that."""
        return read_entries(self.raw, self.role)

    @cached_property
    def coded(self) -> Coded:
        """The entries as numbers."""
        return code(self.values)

    @property
    def distinct(self) -> list[Any]:
        """The different entries."""
        return self.coded.distinct

    @property
    def n_known(self) -> int:
        """Cells with an entry."""
        return self.coded.n_known

    @property
    def is_of_every_cell(self) -> bool:
        """Whether nearly every cell has an entry of its own."""
        return self.n_known >= _ENOUGH and len(self.distinct) > _EVERY_CELL * self.n_known

    @cached_property
    def numbers(self) -> NDArray[np.float64] | None:
        """The different entries where all are numbers, also as text."""
        if not self.distinct or any(isinstance(value, bool | np.bool_) for value in self.distinct):
            return None
        found = pd.to_numeric(pd.Series(self.distinct, dtype=object), errors="coerce").to_numpy(np.float64)
        return found if np.isfinite(found).all() else None

    @property
    def is_measured(self) -> bool:
        """Whether the entries are numbers with decimals: measurements, not names."""
        return self.numbers is not None and bool((self.numbers % 1 != 0).any())

    @property
    def words(self) -> set[str]:
        """The different entries as words."""
        return {plain(value) for value in self.distinct}

    @cached_property
    def gap(self) -> str:
        """How many cells have no entry, to be said after what the others have."""
        gap = find_gap(self.raw, self.role)
        return f"; {gap} without" if gap.cells else ""

    def named(self, most: int = 3) -> str:
        """The first of the different entries, as they are in obs."""
        return say_first(sorted(map(str, self.distinct)), most)


Context = Mapping[str, pd.Series]  # values of the roles that were found already; of ``age`` the years


def judge(raw: pd.Series, role: str, context: Context | None = None) -> Verdict:
    """Judge whether a column of obs can have a role.

    Parameters
    ----------
    raw
        One entry a cell.
    role
        Of `titin.dataset.layout.ROLES`.
    context
        Values of other roles that it is to agree with: a donor has one age and one sex, a sample is of one donor.
    """
    profile = Profile(raw, role)
    if not profile.distinct:
        gap = find_gap(raw, role)
        words = f": {', '.join(map(repr, gap.words))}" if gap.words else ""
        return Verdict(f"no entry that says something{words}", fits=False)
    return _JUDGES[role](profile, context or {})


def _refused(says: str) -> Verdict:
    return Verdict(says, fits=False)


def _judge_donor(profile: Profile, context: Context) -> Verdict:
    if wrong := _no_names(profile):
        return _refused(wrong)
    is_binary = profile.numbers is not None and set(profile.numbers) <= {0, 1}
    if profile.words <= STATUS_WORDS or (is_binary and not _is_id(profile)):
        return _refused(f"says what donors are, not who they are ({profile.named()})")
    if _all_kits(profile):
        return _refused(f"names of a chemistry ({profile.named()})")
    if profile.words <= PROTOCOL_WORDS.keys() or all(sex_of(value) for value in profile.distinct):
        return _refused(f"no names of donors ({profile.named()})")
    number = len(profile.distinct)
    sex, ages = context.get("sex"), context.get("age")
    clashes = find_clashes(profile.values, sex, ages)
    several = [f"{len(clashes.sexes)} of two sexes"] * bool(clashes.sexes)
    several += [f"{len(clashes.ages)} of ages too far apart for one person"] * bool(clashes.ages)
    known = " and ".join(["age"] * (ages is not None and not clashes.visits) + ["sex"] * (sex is not None))
    agrees = several or [f"one {known}{' each' * (number > 1)}"] * bool(known)
    agrees = agrees + [f"{len(clashes.visits)} sampled at several ages"] * bool(clashes.visits)
    return Verdict(", ".join([count(number, "donor"), *agrees]) + profile.gap, doubt=len(several))


def _is_id(profile: Profile) -> bool:
    return bool(re.search(r"(id|code|number|uuid|identifier)$|assign|singlet|vireo|souporcell", bare(profile.raw.name)))


def _judge_sample(profile: Profile, context: Context) -> Verdict:
    if wrong := _no_names(profile):
        return _refused(wrong)
    if profile.words <= PROTOCOL_WORDS.keys() or all(sex_of(value) for value in profile.distinct):
        return _refused(f"no names of samples ({profile.named()})")
    number, donor = len(profile.distinct), context.get("donor")
    last_resort = not is_promising(profile.raw.name, "sample")
    if donor is None or not is_known(donor):
        if last_resort:
            return _refused("batches, and no donor tells whether they are samples")
        return Verdict(count(number, "sample") + profile.gap)
    samples, donors, _ = count_pairs(profile.coded, code(donor))
    several = int((np.bincount(samples, minlength=1) > 1).sum())
    n_donors = len(np.unique(donors))
    if number == 1 and n_donors > 1:
        return _refused(f"one value ({profile.named()}) for {n_donors:,} donors")
    if several and last_resort:
        return _refused(f"{several} of {number} are of several donors")
    held = f"{several} of them of several donors" if several else "each of one donor"
    return Verdict(f"{count(number, 'sample')}, {held}{profile.gap}", doubt=bool(several))


def _judge_age(profile: Profile, _context: Context) -> Verdict:
    n_cells, coded, dtype = len(profile.raw), profile.coded, profile.raw.dtype
    entries = pd.Series(coded.distinct, dtype=dtype if is_number(dtype) else object, name=profile.raw.name)
    years = parse_ages(entries, life_span=math.inf)  # in whichever unit
    read = int(coded.counts[coded.used][years.notna()].sum())
    share = read / max(profile.n_known, 1)
    if share < _DETECTED or read < _LEAST_DETECTED * n_cells:
        readable = f"an age that can be read in {read:,} of {n_cells:,} cells" if read else "no age that can be read"
        return _refused(f"{readable} ({profile.named()})")
    if profile.numbers is not None and (wrong := _no_ages(profile, profile.numbers)):
        return _refused(wrong)
    low, high, number = years.min(), years.max(), years.nunique()
    if high > _OLDEST:
        return Verdict(f"ages up to {high:,.4g}: of another unit than years?", doubt=2)
    span = f"{low:.3g} to {high:.3g} years" if number > 1 else f"{low:.3g} years"
    unread = n_cells - read
    rest = f"; {unread:,} cell{'s' if unread != 1 else ''} without" if unread else ""
    return Verdict(f"{count(number, 'age')}, {span}{rest}", doubt=bool(read < _DETECTED * n_cells))


def _no_ages(profile: Profile, numbers: NDArray[np.float64]) -> str:
    """Why numbers are no ages; empty if they may be."""
    finer_than_months = abs(numbers * 12 - np.round(numbers * 12)) > 1e-6
    if profile.is_of_every_cell and finer_than_months.any():
        return "a number of its own for nearly every cell: measured, no ages"
    if ((numbers < 0) & ~np.isin(numbers, (-1, -9, -99, -999))).any():
        return f"numbers below 0 ({profile.named()}): no ages"
    known = np.sort(numbers[numbers >= 0])
    codes = len(known) > 1 and not (known % 1).any() and bool((np.diff(known) == 1).all())
    if codes and known[0] <= 1 and known[-1] <= 3:
        return f"codes rather than ages ({profile.named(4)})"
    return ""


def _judge_sex(profile: Profile, _context: Context) -> Verdict:
    cells = {value: int(profile.coded.counts[number])
             for value, number in zip(profile.distinct, profile.coded.used, strict=True) if sex_of(value)}  # fmt: skip
    if not cells and profile.numbers is not None and len(profile.numbers) <= 3:
        return _refused(f"codes ({profile.named()}) that do not say which sex is which")
    if sum(cells.values()) < 0.9 * profile.n_known:
        return _refused(f"no words of a sex ({profile.named()})")
    return Verdict(profile.named() + profile.gap)


def _judge_protocol(profile: Profile, _context: Context) -> Verdict:
    if profile.words <= PROTOCOL_WORDS.keys():
        return Verdict(profile.named() + profile.gap)
    kinds = {protocol_of(value) for value in profile.distinct}
    if kinds == {"cells", "nuclei"} and len(profile.distinct) == 2:
        return Verdict(profile.named() + profile.gap, doubt=1)
    return _refused(f"does not tell cells from nuclei ({profile.named()})")


def _judge_chemistry(profile: Profile, _context: Context) -> Verdict:
    if _is_flag(profile):
        return _refused(f"yes or no ({profile.named()})")
    if profile.is_of_every_cell or profile.is_measured or len(profile.distinct) > _MOST_KITS:
        return _refused(f"{len(profile.distinct):,} values: too many for a chemistry")
    if _all_kits(profile):
        return Verdict(profile.named() + profile.gap)
    name = bare(profile.raw.name)
    if not is_promising(profile.raw.name, "chemistry") or re.fullmatch("tech|librarytype|librarykit|kit", name):
        return _refused(f"no names of a chemistry ({profile.named()})")
    if profile.numbers is not None and "version" not in name and "chemistry" not in name:
        return _refused(f"numbers ({profile.named()}), no names of a chemistry")
    return Verdict(profile.named() + profile.gap, doubt=0 if "chemistry" in name or "version" in name else 1)


def _all_kits(profile: Profile) -> bool:
    return all(_KITS.search(str(value)) for value in profile.distinct)


def _judge_study(profile: Profile, _context: Context) -> Verdict:
    if wrong := _no_names(profile):
        return _refused(wrong)
    number = len(profile.distinct)
    return Verdict(f"{number:,} stud{'ies' if number != 1 else 'y'}{profile.gap}")


def _judge_cell_type(profile: Profile, _context: Context) -> Verdict:
    number = len(profile.distinct)
    if _is_flag(profile):
        return _refused(f"yes or no ({profile.named()})")
    if profile.is_of_every_cell:
        return _refused(f"{number:,} entries in {profile.n_known:,} cells: free text or names of cells, no types")
    if profile.numbers is not None:
        is_text = isinstance(profile.distinct[0], str)
        return Verdict(f"{number} numbers, which name no cell type", fits=is_text and not profile.is_measured, doubt=1)
    return Verdict(count(number, "type") + profile.gap)


def _no_names(profile: Profile) -> str:
    """Why the entries name no donors, samples or studies; empty if they may."""
    if _is_flag(profile):
        return f"yes or no ({profile.named()}), no names"
    if profile.is_measured:
        return f"measured numbers ({profile.named()}), no names"
    if profile.is_of_every_cell:
        return f"{len(profile.distinct):,} values in {profile.n_known:,} cells: names of cells"
    return ""


def _is_flag(profile: Profile) -> bool:
    words = profile.words
    return pd.api.types.is_bool_dtype(profile.raw.dtype) or any(words <= pair for pair in _FLAGS) or words in _LETTERS


_JUDGES: dict[str, Callable[[Profile, Context], Verdict]] = {
    "donor": _judge_donor, "sample": _judge_sample, "age": _judge_age, "sex": _judge_sex, "protocol": _judge_protocol,
    "chemistry": _judge_chemistry, "study": _judge_study, "cell_type": _judge_cell_type,
}  # fmt: skip
