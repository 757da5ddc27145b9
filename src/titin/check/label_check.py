"""The check of cell type labels that a dataset may hold, against its labels; see `titin.annotate`."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.registry import check
from titin.errors import DatasetError, TitinError
from titin.study.flagged import check_table

_LOOK = "`titin annotate` prints the review list; `titin report --without-flagged` leaves these cells out"
_NUMBERS = ("p_label", "p_predicted", "entropy")


@check("derived.label_check", "The check of labels is of the labels as they are, and contradicts none with confidence.")
def label_check(dataset: CheckedDataset) -> Outcome:
    """Rows, labels and probabilities; what is flagged, as notes."""
    name = dataset.layout.label_check
    try:
        table = check_table(dataset.atlas)
    except DatasetError:
        raise
    except TitinError as error:
        return Outcome([Finding(str(error.args[0]), name, error.hint, "warning")])
    if table is None:
        return Outcome(skipped="the labels have not been checked")
    found = list(_out_of_range(table, name))
    flagged = {}
    for level, own in table.groupby("level", observed=True, sort=False):
        flagged[str(level)] = int(own["flagged"].sum())
        found += list(_contradicted(str(level), own, dataset, name))
    return Outcome(found, f"{len(table):,} labels", {"flagged": flagged})


def _out_of_range(table: pd.DataFrame, name: str) -> Iterator[Finding]:
    for column in _NUMBERS:
        values = table[column].to_numpy(np.float64)
        wrong = np.flatnonzero(~(np.isnan(values) | ((values >= 0) & (values <= 1))))
        if len(wrong):
            said = f"{len(wrong):,} numbers are not between 0 and 1; the first is {values[wrong[0]]:g}"
            yield Finding(said, f"{name}, column {column}, row {int(wrong[0]):,}", "check the labels again")


def _contradicted(level: str, own: pd.DataFrame, dataset: CheckedDataset, name: str) -> Iterator[Finding]:
    """How many labels of a level are contradicted, and where most of them are."""
    mine = own["flagged"].to_numpy(bool)
    if not mine.any():
        return
    donors = dataset.study.keys(["donor"])["donor"].to_numpy(object)
    pairs = own[mine].assign(donor=donors[mine])[["label", "predicted", "donor"]].astype(str).value_counts()
    (label, predicted, donor), n = pairs.index[0], int(pairs.iloc[0])
    said = (f"{int(mine.sum()):,} of {len(own):,} labels of {level} are contradicted by models of other donors; the "
            f"largest group: {n:,} cells of donor {donor} called {label} that look like {predicted}")  # fmt: skip
    yield Finding(said, name, _LOOK, "note")
