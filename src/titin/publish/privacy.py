"""What must not be published by oversight: columns that name a person, and exact ages."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from titin.dataset import layout
from titin.dataset.ages import parse_age
from titin.dataset.manifest import Manifest

_SHARE = 0.5  # of a column's distinct values that look alike, from which the column is taken for that
_BIRTH_SPAN = 15  # years that dates of birth of several people spread over, unlike dates of an experiment
_FEWEST_NAMES = 3


@dataclass(frozen=True)
class Identifier:
    """A column, or an entry of uns, that looks like a direct identifier.

    Attributes
    ----------
    where
        obs column as the source calls it, or ``uns/…``.
    what
        Names, e-mail addresses, …
    why
        By its name, or by what it holds; never a value of it.
    """

    where: str
    what: str
    why: str


_WHO = r"(patient|donor|subject|participant|person|proband|contact|mother|father|home)?"
_CARE = "(admission|discharge|surgery|operation|visit|consent|hospitali[sz]ation)"
# by name, without case and separators
_BY_NAME = {
    "names of people": [
        r"(first|last|given|family|sur|maiden|middle|full|legal)names?", r"vorname|nachname|initials",
        r"(patient|donor|subject|participant|person|proband|mother|father)s?"
        r"((first|last|full|sur|given|family)?names?|initials)",
    ],
    "dates of birth or death": [
        _WHO + r"(dob|dod|dateofbirth|dateofdeath|birthdate|birthday|deathdate|geburtsdatum|yearofbirth|birthyear)",
    ],
    "dates of a person's care": [rf"dateof{_CARE}", rf"{_CARE}date"],
    "hospital or insurance numbers": [
        _WHO + r"(mrn|medicalrecord(number|no|id|num)?|hospital(record)?(number|no|id)|nhs(number|no|id)?|ssn|"
        r"socialsecurity(number|no)?|nationalid(number)?|passport(number|no)?|insurance(number|no|id)|chinumber|"
        r"healthcard(number|no|id)?|healthplan(number|id)|accountnumber|fallnummer|driverslicen[cs]e(number|no)?)",
    ],
    "e-mail addresses": [_WHO + r"(email|mail|emailaddress|mailaddress)"],
    "telephone numbers": [_WHO + r"(mobile|cell)?(phone|telephone|fax|mobile)(number|no)?"],
    "addresses": [
        _WHO + r"(address|street|streetaddress|postcode|postalcode|zip|zipcode|plz|city|latitude|longitude|gps|"
        r"geolocation|ipaddress)",
    ],
    "pictures or prints of people": [_WHO + r"(photo|photograph|facephoto|fingerprint|voiceprint)(url|path)?"],
}  # fmt: skip
_AGE_NAME = re.compile(
    r"(donor|patient|subject|participant|individual)?age(s|years|year|yrs|numeric|atdeath|atcollection|atdiagnosis|"
    r"atsampling|inyears|exact|months|days|weeks)?(donor|patient|years)?|developmentstage|exactage"
)
_AGE_TERM = re.compile(r"developmentstageontologytermid")
_RANGE = re.compile(r"\d\s*(-|–|to|_|,)\s*\d|decade|over|\+|<|>|=", re.IGNORECASE)

_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[A-Za-z]{2,}")
_PHONE = re.compile(r"(?=(?:\D*\d){9,15}\D*$)(\+\d|\(\d|0\d)[\d\s()/.-]*[\s()/.-][\d\s()/.-]*\d")
_SOCIAL_SECURITY = re.compile(r"\d{3}-\d{2}-\d{4}")
_HEALTH_SERVICE = re.compile(r"\d{3} \d{3} \d{4}")
_STREET = re.compile(
    r".*(\d+[a-z]?,?\s+([\w.'-]+\s+){1,3}(street|st\.?|road|rd\.?|avenue|ave\.?|lane|drive|court|boulevard|blvd\.?)\b|"
    r"(stra(ß|ss)e|weg|platz|gasse|laan|straat)\s+\d+).*",
    re.IGNORECASE,
)
_PERSON = re.compile(r"((Dr|Mr|Mrs|Ms|Prof)\.?\s+)?[A-Z][a-zà-ÿ'-]+(,\s*|\s+)([A-Z]\.?\s+)?[A-Z][a-zà-ÿ'-]+")
_BY_CONTENT = {
    "e-mail addresses": _EMAIL, "telephone numbers": _PHONE, "social security numbers": _SOCIAL_SECURITY,
    "health service numbers": _HEALTH_SERVICE, "addresses": _STREET,
}  # fmt: skip


def plain(name: object) -> str:
    """Lower case, letters and digits only."""
    return re.sub(r"[\W_]+", "", str(name)).lower()


def find_identifiers(
    obs: pd.DataFrame, uns: Mapping[str, Any], *, donor: str | None = None, allow: Collection[str] = (),
) -> list[Identifier]:  # fmt: skip
    """Look for direct identifiers in obs and uns.

    By name (names, dates of birth, hospital numbers, e-mail, telephone, address …), and by content: what looks like
    e-mail addresses, telephone numbers, postal addresses, dates of birth, or one person's name a donor. Barcodes and
    the names that a study gives its donors are none.

    Parameters
    ----------
    obs
        One row a cell; the index is looked at too.
    uns
        Nested mappings; keys are looked at.
    donor
        Column of the donor.
    allow
        Columns, or ``uns/…``, that are meant to be published.

    Returns
    -------
    list of Identifier
        Without any value of what was found.
    """
    allowed = set(allow)
    found = [*_in_index(obs.index), *_in_uns(uns)]
    for column in obs.columns:
        what = _by_name(column)
        if what is not None:
            found.append(Identifier(str(column), what, "by its name"))
        elif content := _by_content(obs, column, donor):
            found.append(Identifier(str(column), *content))
    return [identifier for identifier in found if identifier.where not in allowed]


def _by_name(name: object) -> str | None:
    text = plain(name)
    return next((what for what, forms in _BY_NAME.items() if any(re.fullmatch(form, text) for form in forms)), None)


def _by_content(obs: pd.DataFrame, column: Any, donor: str | None) -> tuple[str, str] | None:
    """What a column holds, and how many of its values look like it."""
    series = obs[column]
    labels = isinstance(series.dtype, pd.CategoricalDtype)
    values = series.cat.categories if labels else pd.Index(series.dropna().unique())
    if pd.api.types.is_datetime64_any_dtype(values) and _are_births(obs, column, donor, pd.DatetimeIndex(values)):
        return "dates of birth", f"{len(values):,} dates over more than {_BIRTH_SPAN} years, one a donor"
    texts = [value.strip() for value in values if isinstance(value, str) and value.strip()]
    if not texts:
        return None
    for what, pattern in _BY_CONTENT.items():
        n = sum(pattern.fullmatch(text) is not None for text in texts)
        if n and (n >= _SHARE * len(texts) or pattern is _EMAIL):
            return what, f"{n:,} of {len(texts):,} distinct values look like it"
    dates = _dates(texts)
    if dates is not None and _are_births(obs, column, donor, dates):
        return "dates of birth", f"{len(texts):,} dates over more than {_BIRTH_SPAN} years, one a donor"
    if donor is not None and _name_donors(obs, column, donor, texts):
        return "names of people", f"{len(texts):,} distinct values of two words each, one a donor"
    return None


def _dates(texts: list[str]) -> pd.DatetimeIndex | None:
    if not all(re.fullmatch(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}", text) for text in texts):
        return None
    parsed = pd.to_datetime(pd.Series(texts), errors="coerce", format="mixed", dayfirst=not texts[0][:4].isdigit())
    return None if parsed.isna().any() else pd.DatetimeIndex(parsed)


def _are_births(obs: pd.DataFrame, column: Any, donor: str | None, dates: pd.DatetimeIndex) -> bool:
    years = dates.year
    return len(dates) > 1 and years.max() - years.min() > _BIRTH_SPAN and _one_a_donor(obs, column, donor)


def _one_a_donor(obs: pd.DataFrame, column: Any, donor: str | None) -> bool:
    """Whether no donor has two values; True where there are no donors to ask."""
    if donor is None or donor not in obs or donor == column:
        return True
    return bool(obs.groupby(donor, observed=True)[column].nunique().max() <= 1)


def _name_donors(obs: pd.DataFrame, column: Any, donor: str, texts: list[str]) -> bool:
    """Whether a column has one name of a person for each donor, as labels of tissues or types have not."""
    if donor not in obs or len(texts) < _FEWEST_NAMES:
        return False
    alike = sum(_PERSON.fullmatch(text) is not None for text in texts)
    distinct = obs[[donor, column]].dropna().drop_duplicates() if donor != column else obs[[donor]].drop_duplicates()
    return alike >= 0.8 * len(texts) and len(distinct) == len(texts) and _one_a_donor(obs, column, donor)


def _in_index(index: pd.Index) -> Iterator[Identifier]:
    names = index.to_series().astype(str)
    n = int(names.str.contains("@", regex=False).sum())
    n = int(names.str.fullmatch(_EMAIL).sum()) if n else 0
    if n:
        yield Identifier("the names of the cells", "e-mail addresses", f"{n:,} of them look like it")


def _in_uns(uns: Mapping[str, Any], path: str = "uns") -> Iterator[Identifier]:
    for key, value in uns.items():
        where = f"{path}/{key}"
        if what := _by_name(key):
            yield Identifier(where, what, "by its name")
        elif isinstance(value, Mapping):
            yield from _in_uns(value, where)


def exact_age_columns(obs: pd.DataFrame, manifest: Manifest) -> list[Any]:
    """Columns of obs that give ages finer than ranges: ``age_years``, the age column, others so named.

    Parameters
    ----------
    obs
        With the source's names, and ``age_numeric`` and ``age_years`` where the dataset has them.
    manifest
        For the column with the role *age*.

    Returns
    -------
    list
        Columns; also ontology terms of development stages, which say the same. ``age_numeric`` is among them where the
        column that it was read from is.
    """
    role = manifest.roles.get("age")
    found = []
    for column in obs.columns:
        named = column == role or _AGE_NAME.fullmatch(plain(column))
        if column == layout.AGE_YEARS or (named and column != layout.AGE_NUMERIC and _is_exact(obs[column])):
            found.append(column)
    if layout.AGE_NUMERIC in obs and (role in found or role in (None, layout.AGE_NUMERIC)):
        found.append(layout.AGE_NUMERIC)
    exact_stage = any(plain(column) == "developmentstage" for column in found)
    return found + [column for column in obs.columns if exact_stage and _AGE_TERM.fullmatch(plain(column))]


def _is_exact(series: pd.Series) -> bool:
    """Whether some value is one age, not a range."""
    values = series.cat.categories if isinstance(series.dtype, pd.CategoricalDtype) else series.dropna().unique()
    single = (value for value in values if not (isinstance(value, str) and _RANGE.search(value)))
    return any(np.isfinite(parse_age(value)) for value in single)


def ages_in_uns(uns: Mapping[str, Any], path: str = "uns") -> Iterator[str]:
    """Entries of uns that are named as ages are."""
    for key, value in uns.items():
        if _AGE_NAME.fullmatch(plain(key)):
            yield f"{path}/{key}"
        elif isinstance(value, Mapping):
            yield from ages_in_uns(value, f"{path}/{key}")
