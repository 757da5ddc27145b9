"""What the design of a study forbids to conclude, as checks; see `titin.study.confounding`."""

from typing import Any

from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.registry import check
from titin.study.confounding import age_notes, balance_notes, confounding_notes, design_facts, protocol_notes


def _outcome(dataset: CheckedDataset, notes: Any, keys: tuple[str, ...]) -> Outcome:
    facts = design_facts(dataset.study)
    hint = "say so where results are shown; compare within what is shared, with donors as replicates"
    found = [Finding(note, where=dataset.layout.sample_metadata, hint=hint) for note in notes(facts)]
    return Outcome(found, f"metadata of {len(dataset.obs):,} cells", {key: facts[key] for key in keys if key in facts})


@check(
    "design.confounding", "Age does not go with sex, chemistry or protocol.", severity="note", needs=("donor", "age")
)
def confounding(dataset: CheckedDataset) -> Outcome:
    """Count donors, not cells."""
    return _outcome(dataset, confounding_notes, ("ages", "arms"))


@check("design.age_bins", "Each age bin has two donors or more.", severity="note", needs=("donor", "age"))
def age_bins(dataset: CheckedDataset) -> Outcome:
    """Name the bins that one donor stands for."""
    return _outcome(dataset, age_notes, ("ages", "single_donor_ages"))


@check("design.protocols", "The protocols share donors and cell types.", severity="note", needs=("protocol",))
def protocols(dataset: CheckedDataset) -> Outcome:
    """Name what they do not share."""
    return _outcome(dataset, protocol_notes, ("shared_donors", "single_protocol_types"))


@check("design.balance", "Donors are evenly represented.", severity="note", needs=("donor",))
def balance(dataset: CheckedDataset) -> Outcome:
    """Name who is much or little represented."""
    return _outcome(dataset, balance_notes, ("donors",))
