"""What a check of labels found, as a section of the report."""

import pandas as pd

from titin.annotate.label_check import LabelCheck
from titin.plot import heat_map
from titin.section import Section

_TYPES = 40  # rows of the figure, those that hold least
_SHOWN = ["level", "label", "suggested", "donor", "n_cells", "share", "exchanged", "markers_for", "markers_against"]
_QUALITY = ["level", "cell_type", "n_donors", "n_cells", "recall", "recall_low", "recall_high", "precision",
            "confused_with", "confused_share", "alike", "n_flagged"]  # fmt: skip


def show_label_check(section: Section, check: LabelCheck) -> None:
    """Say how well labels hold on donors held out, which to look at, and what agreement does not say."""
    for level, found in check.levels.items():
        if found["agreement"] is None:
            continue
        section.say(
            f"{level}: {found['agreement']:.1%} of the cells get their label again from a model that has not seen "
            f"their donor (mean over donors), and {found['n_flagged']:,} of {found['n_cells']:,} labels are "
            "contradicted."
        )
    section.say(f"Note: {check.caveat}.")
    section.facts |= {"flagged": {level: found["n_flagged"] for level, found in check.levels.items()}}
    level = next(iter(check.levels), "")
    wide = _by_donor(check, level)
    if wide.size:
        axes = heat_map(wide, label="share found again", x_label="donor", y_label="cell type")
        numbers = wide.rename_axis(None, axis=1).reset_index()
        section.figure("recall", axes, f"Labels found again, by donor ({level}); the types that hold least", numbers)
    if len(check.review):
        section.table("review", check.review, "Look at these first", folded=False, columns=_SHOWN)
    evaluable = check.types[check.types["evaluable"].astype(bool)].sort_values("recall")
    section.table("types", evaluable, "Types, those that hold least first", columns=_QUALITY)
    pairs = [f"{level}: {' and '.join(pair)}" for level, found in check.levels.items() for pair in found["alike"]]
    section.list(pairs, title=f"Too alike to be evaluable on donors held out ({len(pairs)})", folded=True)
    untold = [f"{level}: {name}: {why}" for level, reasons in check.not_evaluable.items()
              for name, why in reasons.items()]  # fmt: skip
    section.list(untold, title=f"Not evaluable ({len(untold)})", folded=True)


def _by_donor(check: LabelCheck, level: str) -> pd.DataFrame:
    """Recall of each type (rows) in each donor."""
    own = check.groups[(check.groups["level"] == level) & (check.groups["by"] == "donor")]
    types = check.types[(check.types["level"] == level) & check.types["evaluable"].astype(bool)]
    least = types.sort_values("recall")["cell_type"].head(_TYPES)
    wide = own.pivot_table("recall", "cell_type", "group", observed=True)
    return wide.reindex([name for name in least if name in wide.index])
