"""What must not be published by oversight: columns that name a person, and exact ages."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from titin.dataset import layout, shapes
from titin.dataset.arrow import ParquetFile
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.replace import Draft
from titin.dataset.store import Store
from titin.dataset.strict_json import read_json
from titin.dataset.swap import write_json
from titin.dataset.tables import encode_values, with_pandas_index
from titin.errors import DatasetError
from titin.study.age_grammar import read_age
from titin.study.age_units import YEARS, unit_of_column, without_unit
from titin.study.ages import parse_ages

_SHARE = 0.5  # of a column's distinct values that look alike, from which the column is taken for that
_BIRTH_SPAN = 15  # years that dates of birth of several people spread over, unlike dates of an experiment
_FEWEST_NAMES = 3
_COUNTS = shapes.table_of(shapes.table_of(shapes.whole()))
_STRUCTURE = shapes.record({"obs_columns": shapes.list_of(shapes.text())}, {"category_counts": _COUNTS})


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
_LONGEST = 1000  # characters of a text that may be an address, a name or a number
_AGE_NAME = re.compile(
    r"(donor|patient|subject|participant|individual)?age(s|years|year|yrs|numeric|atdeath|atcollection|atdiagnosis|"
    r"atsampling|inyears|exact|months|days|weeks)?(donor|patient|years)?|developmentstage|exactage"
)
_AGE_TERM = re.compile(r"developmentstageontologytermid")

_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[A-Za-z]{2,}")
_PHONE = re.compile(r"(?=(?:\D*\d){9,15}\D*$)(\+\d|\(\d|0\d)[\d\s()/.-]*[\s()/.-][\d\s()/.-]*\d")
_SOCIAL_SECURITY = re.compile(r"\d{3}-\d{2}-\d{4}")
_HEALTH_SERVICE = re.compile(r"\d{3} \d{3} \d{4}")
_STREET = re.compile(
    r".*((?<!\d)\d++[a-z]?,?\s++([\w.'-]++\s++){1,3}(street|st\.?|road|rd\.?|avenue|ave\.?|lane|drive|court|boulevard|blvd\.?)\b|"
    r"(stra(ß|ss)e|weg|platz|gasse|laan|straat)\s++\d).*",
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
        n = sum(_is_all(pattern, text) for text in texts)
        if n and (n >= _SHARE * len(texts) or pattern is _EMAIL):
            return what, f"{n:,} of {len(texts):,} distinct values look like it"
    dates = _dates(texts)
    if dates is not None and _are_births(obs, column, donor, dates):
        return "dates of birth", f"{len(texts):,} dates over more than {_BIRTH_SPAN} years, one a donor"
    if donor is not None and _name_donors(obs, column, donor, texts):
        return "names of people", f"{len(texts):,} distinct values of two words each, one a donor"
    return None


def _is_all(pattern: re.Pattern[str], text: str) -> bool:
    return len(text) <= _LONGEST and pattern.fullmatch(text) is not None


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
    alike = sum(_is_all(_PERSON, text) for text in texts)
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


@dataclass(frozen=True)
class ExactAges:
    """Columns that give ages finer than ranges.

    Attributes
    ----------
    columns
        Of obs, by the source's names: the age column, others so named, and ontology terms of development stages, which
        say the same.
    derived
        Of titin's own: ``age_years``, and ``age_numeric`` where the column that it was read from is among the others.
    """

    columns: list[Any]
    derived: list[str]

    def __bool__(self) -> bool:
        return bool(self.columns or self.derived)

    def __str__(self) -> str:
        return ", ".join(map(str, dict.fromkeys([*self.columns, *self.derived])))


def find_exact_ages(obs: pd.DataFrame, manifest: Manifest) -> ExactAges:
    """Find the columns that give ages finer than ranges.

    Parameters
    ----------
    obs
        As the source has it.
    manifest
        For the column with the role *age*, and what is titin's.
    """
    role = manifest.roles.get("age")
    found = [name for name in obs.columns if name == role or _is_age_name(name)]
    found = [name for name in found if _is_exact(obs[name])]
    derived = [layout.AGE_YEARS] if layout.AGE_YEARS in manifest.derived else []
    if layout.AGE_NUMERIC in manifest.derived and (role in found or role is None):
        derived.append(layout.AGE_NUMERIC)
    if any(plain(name) == "developmentstage" for name in found):
        found += [name for name in obs.columns if _AGE_TERM.fullmatch(plain(name))]
    return ExactAges(found, derived)


def _is_exact(series: pd.Series) -> bool:
    """Whether some value is one age, not a range."""
    values = series.cat.categories if isinstance(series.dtype, pd.CategoricalDtype) else series.dropna().unique()
    ages = (read_age(value, life_span=np.inf) for value in values)
    return any(age.low is not None and age.low == age.high for age in ages)


def _is_age_name(name: object) -> bool:
    return bool(_AGE_NAME.fullmatch(plain(name)) or _AGE_NAME.fullmatch(without_unit(name)))


def ages_in_uns(uns: Mapping[str, Any], path: str = "uns") -> Iterator[str]:
    """Entries of uns that are named as ages are."""
    for key, value in uns.items():
        if _is_age_name(key):
            yield f"{path}/{key}"
        elif isinstance(value, Mapping):
            yield from ages_in_uns(value, f"{path}/{key}")


BIN_YEARS, OLDEST = 5, 90  # from 90 years on, ages are one bin: so few people reach them

Column = Callable[[pa.ChunkedArray], pa.ChunkedArray]


def age_bins(years: pd.Series) -> pd.Series:
    """Labels such as ``45-50`` (45 and above, below 50), ``90+`` from 90 on; missing where the age is.

    Examples
    --------
    >>> age_bins(pd.Series([19.0, 20.0, 93.0, None])).tolist()
    ['15-20', '20-25', '90+', nan]
    """
    low = np.floor(years.to_numpy(np.float64) / BIN_YEARS) * BIN_YEARS
    labels = [_label(value) for value in low]
    return pd.Series(pd.Categorical(labels, categories=sorted({v for v in labels if v is not None}, key=_first)),
                     index=years.index)  # fmt: skip


def _label(low: float) -> str | None:
    if np.isnan(low):
        return None
    return f"{OLDEST}+" if low >= OLDEST else f"{low:.0f}-{low + BIN_YEARS:.0f}"


def _first(label: str) -> int:
    return int(label.split("-")[0].rstrip("+"))


def bin_middles(years: pd.Series) -> pd.Series:
    """Middle of each age's bin; missing from 90 on, where the bin has no end."""
    low = np.floor(years.to_numpy(np.float64) / BIN_YEARS) * BIN_YEARS
    return pd.Series(np.where(low >= OLDEST, np.nan, low + BIN_YEARS / 2), index=years.index)


def coarsen_ages(draft: Draft, exact: ExactAges) -> None:
    """Replace exact ages by bins in all files of a draft.

    Titin's ``age_years`` and ontology terms are dropped; titin's ``age_numeric`` becomes the middle of the bin; any
    other column its label. The manifest and the structure file say the same, and a note says what was done.

    Parameters
    ----------
    draft
        Of the copy to publish.
    exact
        From `titin.publish.privacy.find_exact_ages`.
    """
    manifest, names = draft.manifest, draft.manifest.layout
    stored = {record["name"]: record["column"] for record in manifest.obs["columns"][1:]}
    terms = [column for column in exact.columns if "ontology" in plain(column)]
    binned = {column: stored[column] for column in exact.columns if column not in terms}
    dropped = {stored[column] for column in terms} | {layout.AGE_YEARS} & set(exact.derived)
    units = {origin.get("column"): origin.get("unit") for origin in manifest.derived.values()}
    changed: dict[str, Column] = {
        binned[column]: partial(_to_bins, unit=units.get(column) or unit_of_column(column) or YEARS)
        for column in binned
    }
    if layout.AGE_NUMERIC in exact.derived:
        changed[layout.AGE_NUMERIC] = _to_middles
    for file in (names.sample_metadata, names.expression, names.expression_panel):
        _rewrite(draft, file, dropped, changed)
    _restate(draft, manifest, terms, binned)
    stem = names.pseudobulk.removesuffix(".parquet")
    for file in [name for name in manifest.files if name.startswith(stem) or name in names.regulation]:
        draft.remove(file)  # its rows are of donors with their exact ages
    draft.remove_ageing()  # so are theirs
    manifest.notes.append(f"exact ages ({exact}) are published in bins of {BIN_YEARS} years, or left out")


def _rewrite(draft: Draft, file: str, dropped: set[str], changed: Mapping[str, Column]) -> None:
    """Write a table again, row group by row group, its other columns as they are.

    Raises
    ------
    DatasetError
        If the table cannot be read, or has other columns than the format.
    """
    store = Store(draft.folder)
    shards = store.shards(file)
    schema = store.footer(shards[0]).schema.to_arrow_schema()
    for field in schema:
        if pa.types.is_nested(field.type) and not pa.types.is_dictionary(field.type):
            store.list_dtype(shards[0], field.name)  # refuses what the format has not
    mine = {name: change for name, change in changed.items() if name in schema.names}
    kept = [name for name in schema.names if name not in dropped]
    if not mine and len(kept) == len(schema.names):
        return
    fields = [pa.field(name, _type_of(mine[name])) if name in mine else schema.field(name) for name in kept]
    written = with_pandas_index(pa.schema(fields, schema.metadata), layout.CELL_ID)
    scratch = draft.folder.parent / "coarse"
    scratch.mkdir(exist_ok=True)
    target = ParquetFile(scratch, file, written)
    for part in _parts(store, shards, kept, mine, written):
        target.write(part)
    for shard in shards:
        draft.remove(shard)
    for name in target.close():
        (scratch / name).replace(draft.replace(name))
        draft.manifest.files[name] = describe_file(draft.folder / name)
    scratch.rmdir()


def _parts(
    store: Store, shards: list[str], kept: list[str], changed: Mapping[str, Column], written: pa.Schema
) -> Iterator[pa.Table]:
    """Each row group of a table, as it is to be written."""
    for shard in shards:
        try:
            source = store.parquet(shard)
            for group in range(source.metadata.num_row_groups):
                part = source.read_row_group(group, columns=kept)
                columns = [changed[name](part.column(name)) if name in changed else part.column(name) for name in kept]
                yield pa.table(columns, names=kept).cast(written).combine_chunks()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise store.damaged(shard, error) from error


def _to_bins(column: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    values = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    labels = age_bins(parse_ages(values.to_pandas(), unit=unit)).astype(object)
    return pa.chunked_array([pa.array(labels, pa.string(), from_pandas=True).dictionary_encode()])


def _to_middles(years: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(bin_middles(years.to_pandas()).to_numpy(), pa.float64(), from_pandas=True)])


def _type_of(change: Column) -> pa.DataType:
    return pa.float64() if change is _to_middles else pa.dictionary(pa.int32(), pa.string())


def _restate(draft: Draft, manifest: Manifest, dropped: list[Any], binned: dict[Any, str]) -> None:
    """Bring the manifest's record of obs and the structure file up to date."""
    known = set(pq.read_schema(draft.folder / manifest.shards(manifest.layout.sample_metadata)[0]).names)
    records = []
    for record in manifest.obs["columns"]:
        if record["name"] in binned:
            labels = _labels(draft, manifest, binned[record["name"]])
            records.append({"name": record["name"], "column": record["column"], **encode_values(labels)[1]})
        elif record["column"] in known:
            records.append(record)
    manifest.obs["derived"] = {name: _in_years(origin, binned) for name, origin in manifest.derived.items()
                               if name in known}  # fmt: skip
    manifest.obs["columns"] = records
    manifest.obs["labels"] = [name for name in manifest.obs["labels"] if name in known]
    path = draft.folder / layout.STRUCTURE
    structure = _read_structure(path)
    structure["obs_columns"] = [name for name in structure["obs_columns"] if name not in {str(c) for c in dropped}]
    counted = structure.get("category_counts", {})
    for column in [*dropped, *binned]:
        counted.pop(str(column), None)
    for column, name in binned.items():
        counts = pd.Series(_labels(draft, manifest, name)).value_counts()
        counted[str(column)] = {str(label): int(n) for label, n in counts.items() if n}
    write_json(draft.replace(layout.STRUCTURE), structure)
    manifest.files[layout.STRUCTURE] = describe_file(path)


def _read_structure(path: Path) -> dict[str, Any]:
    """Read the structure file.

    Raises
    ------
    DatasetError
        If it is missing, or is not as the format has it.
    """
    try:
        structure = read_json(path)
        _STRUCTURE(structure)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path.name} is not as titin writes it: {error}", "build the dataset again") from error
    return dict(structure)


def _in_years(origin: dict[str, Any], binned: Collection[Any]) -> dict[str, Any]:
    """The origin of a derived column whose source has bins of years now."""
    return {**origin, "unit": YEARS} if origin.get("column") in binned else origin


def _labels(draft: Draft, manifest: Manifest, name: str) -> pd.Categorical:
    """The new labels of all cells, categories sorted as the format sorts them."""
    shards = manifest.shards(manifest.layout.sample_metadata)
    column = pa.concat_tables([pq.read_table(draft.folder / shard, columns=[name]) for shard in shards]).column(0)
    return pd.Categorical(column.cast(pa.string()).to_pandas())
