"""The names by which columns of obs go for each role, in the portals, tools and papers of the field."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from titin.study.age_units import UNITS, unit_of_column, without_unit

_PEOPLE = (
    "donor", "patient", "individual", "subject", "participant", "person", "mouse", "animal", "case", "proband", "human",
    "rat", "monkey", "fish", "pig",
)  # fmt: skip
_ID = "(?:id|uuid|uid|guid|identifier|code|number|num|nr|no|name|key|label|barcode|accession)s?"
_ANYONE = f"(?:{'|'.join(_PEOPLE)}|sample|specimen)?"
_UNIT = "(?:numeric|num|continuous|group|bin|range|class|category|years?|yrs?|y|months?|mo|weeks?|wks?|days?)"

# patterns of names as `bare` has them, the best first; a later pattern is a worse name
_PATTERNS: dict[str, tuple[str, ...]] = {
    "donor": (
        *(pattern for who in _PEOPLE for pattern in (f"{who}id", f"{who}{_ID}", f"{who}s?")),
        "hipid|hip|projid|subj|subjid|pid|patid|ptid|indcov|ind|indiv|indid|biosourceid|sampledonor",
        "assignment|bestsinglet|sng1st|snpbestguess|demuxdonor|vireodonor|vireoassignment|souporcellassignment",
        rf"\w+(?:{'|'.join(_PEOPLE)}){_ID}",
    ),
    "sample": (
        "sampleid", "sample", "samplename", f"sample{_ID}", "samples", "library", "libraryid", f"library{_ID}",
        "channel", f"channel{_ID}", f"bio(?:logical)?sample(?:{_ID})?", f"specimen(?:{_ID})?", rf"\w+sample{_ID}",
        f"(?:gem|gemgroup|gemwell|capture|reaction)(?:{_ID})?", "gsm|gsmid|geoaccession", "origident",
        rf"(?:run|lane|pool|library|10x|sequencing){_ID}?|\w+library{_ID}",
    ),
    "age": (
        "ageyears", "age", f"{_ANYONE}age", "age(?:in)?(?:yrs?|years?|y)(?:old)?", "agenumeric", "agegroup", "agebin",
        "agerange", f"{_ANYONE}age(?:death|baseline|biopsy|collection|sampling|visit|enrolment|enrollment)",
        rf"{_ANYONE}age(?:at\w+?)?(?:in)?{_UNIT}*", "developmentstage|developmentalstage|devstage",
        "developmentstageontologytermid",
    ),
    "sex": (
        "sex", "gender", f"{_ANYONE}sex", f"{_ANYONE}gender", r"\w*(?:sex|gender)\w*", "sexontologytermid",
    ),
    "protocol": (
        "suspensiontype", "protocol", "suspension", "cells?or(?:nucleus|nuclei)|(?:nucleus|nuclei)orcells?",
    ),
    "study": (),  # names of it are too many to tell: it is given, or made by a merge
    "chemistry": (
        "10xversion", "assay", "chemistry", "technology", "platform", "assayname",
        r"\w*chemistry\w*|10x\w*version|version10x", "librarypreparationprotocol|libraryprotocol|librarykit|kit|tech",
        "scplatform|singlecellplatform|sequencingtechnology|capturemethod|libraryprep(?:aration)?|librarytype",
        "assayontologytermid",
    ),
}  # fmt: skip

GIVEN_ALONE = tuple(role for role, known in _PATTERNS.items() if not known)
"""Roles that no column is looked for by its name."""

# names that promise nothing: such a column is taken where its entries leave no doubt, and not spoken of else
_PERHAPS: dict[str, tuple[str, ...]] = {
    "sample": (f"batch(?:{_ID})?",),
    "protocol": (
        "batch", "modality", "sampletype", "sampleprep(?:aration)?|preparation|preptype|librarytype|inputtype|material",
        "isolation|dissociation|cellsource|source|datatype|datasettype|type", "technology|tech|method|assaytype|assay",
    ),
    "chemistry": ("method|protocol|batch|donor|dataset|sample|version",),
}  # fmt: skip

# groups of names of cell types: of the first group that has a column of them, all are levels
NUMBERED, PREDICTED, CLUSTERS = "numbered levels", "numbered levels of a prediction", "clusters"
_DEGREE = "broad|coarse|major|main|fine|minor|sub|detailed|final|manual|curated|harmonized|harmonised|original|author"
_TYPES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (NUMBERED, (
        r"(?:annotation|celltype|ann|cellannotation|celltypeannotation)?(?:level|lvl)+(\d+)(?:class|celltypes?|label)?",
        r"(?:annotation|celltypes?|cellannotation)l?(\d+)",
    )),
    ("labels", (
        "celltype", "celltypes", "authorcelltype", "celltypebroad", "celltypefine", "annotation", "annotations",
        "cell|celllabel", "cellannotation", "cellannotations|celltypeannotations?|celltypelabels?|celltypenames?",
        f"(?:{_DEGREE})(?:cell)?(?:types?|annotations?)", f"(?:celltypes?|annotations?)(?:{_DEGREE})",
    )),
    (PREDICTED, (r"(?:predicted|azimuth|reference)\w*l(?:evel)?(\d+)",)),
    ("other labels", (
        "cellontologyclass|celltypeontology(?:class|label|name)?", "freeannotation|seuratannotations",
        "cellidentity|identity", "clustername|clusterlabels?|clusterannotations?|namedclusters?",
        "(?:cell)?subtypes?|supertype|subclass|cellclass",
        "cellpopulation|population|cellstate|lineage|compartment|class|ident|celllabels?|labels?",
    )),
    ("predicted labels", (
        r"predicted(?:celltypes?|labels?|annotations?|id)|majorityvoting|celltypist\w*labels?|singler\w*labels?|"
        r"azimuth(?:celltypes?|labels?)|(?:scmap|sctype|garnett)\w*labels?|sctypeclassification",
    )),
    ("terms of an ontology", ("celltypeontologytermid|cellontologyid|cellontologytermid",)),
    (CLUSTERS, (r"(?:leiden|louvain|seuratclusters?|clusters?|clusterid|phenograph|rnasnnres|integratedsnnres)\w*",)),
)  # fmt: skip


def bare(name: object) -> str:
    """Name as letters and digits in lower case, without the X that R puts before a digit, and without ``_label``.

    Examples
    --------
    >>> bare("Age (years)"), bare("X10X_version"), bare("predicted.celltype.l1"), bare("external_donor_name_label")
    ('ageyears', '10xversion', 'predictedcelltypel1', 'externaldonorname')
    """
    text = re.sub(r"(?<=.)[\W_]label$", "", str(name), flags=re.I)
    return re.sub(r"^x(?=\d)", "", re.sub(r"[\W_]+", "", text).lower())


def find_candidates(columns: Iterable[Any], role: str) -> list[Any]:
    """Columns whose name fits a role, the best name first; equals by name, so that the order of columns is nothing.

    Parameters
    ----------
    columns
        Of obs.
    role
        Of `titin.dataset.layout.ROLES`, but for ``cell_type``: see `find_groups_of_types`.

    Examples
    --------
    >>> find_candidates(["sex", "Patient", "donor_sex", "donor_id", "donor_type"], "donor")
    ['donor_id', 'Patient']
    """
    ranked = [(rank, str(column), column) for column in columns if (rank := _rank_of(column, role)) is not None]
    return [column for *_, column in sorted(ranked, key=lambda found: found[:2])]


def _rank_of(column: Any, role: str) -> int | None:
    unit = unit_of_column(column) if role == "age" else None
    if unit is not None and _rank(without_unit(column), role) is not None:
        return UNITS.index(unit) - len(UNITS)  # a name that states its unit leaves nothing to guess
    return _rank(bare(column), role)


def is_promising(column: Any, role: str) -> bool:
    """Whether a candidate's name alone says that it has the role.

    Examples
    --------
    >>> is_promising("suspension_type", "protocol"), is_promising("batch", "protocol")
    (True, False)
    """
    return (_rank_of(column, role) or 0) < len(_PATTERNS[role])


@cache
def _rank(name: str, role: str) -> int | None:
    known = (*_PATTERNS[role], *_PERHAPS.get(role, ()))
    return next((rank for rank, pattern in enumerate(known) if re.fullmatch(pattern, name)), None)


def find_groups_of_types(columns: Iterable[Any]) -> list[tuple[str, list[Any]]]:
    """Columns that may hold cell types, by what they are called like: the group, and its columns in their order.

    Examples
    --------
    >>> find_groups_of_types(["leiden", "ann_level_2", "ann_level_1", "cell_type"])
    [('numbered levels', ['ann_level_1', 'ann_level_2']), ('labels', ['cell_type']), ('clusters', ['leiden'])]
    """
    left = sorted(columns, key=str)
    groups = []
    for group, patterns in _TYPES:
        ranked = [(rank, column) for column in left if (rank := _rank_of_type(bare(column), patterns)) is not None]
        if ranked:
            groups.append((group, [column for _, column in sorted(ranked, key=lambda found: found[0])]))
            left = [column for column in left if column not in groups[-1][1]]
    return groups


def _rank_of_type(name: str, patterns: tuple[str, ...]) -> tuple[int, int] | None:
    """Number of the level, if it has one, and place of the pattern."""
    for place, known in enumerate(patterns):
        if found := re.fullmatch(known, name):
            return (int(found[1]), 0) if found.groups() else (0, place)
    return None
