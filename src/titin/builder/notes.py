"""What a build says of the values: what they are, what was tried, what was put right, and what lies beside them."""

from typing import Any

from titin.builder.scan import Scan
from titin.dataset.description import AGREE, describe_witness
from titin.dataset.manifest import option_for
from titin.source import Matrix, Source
from titin.source.witness import WITNESS

LARGEST_LOGARITHM = 30.0  # log2(1 + x) of a thousand million; beyond it values are hardly logarithms
_UNLIKE = "holds integer counts, but X is not made from them by dividing each cell, with or without a logarithm"


def looks_linear(scan: Scan) -> bool:
    """Whether values of kind ``real`` are larger than logarithms of expression get, and none is negative."""
    return not scan.value_kind.has_counts and not scan.negative and scan.largest > LARGEST_LOGARITHM


def counts_beside(scan: Scan, counts: Matrix | None) -> str | None:
    """Name of the matrix of counts beside X that the dataset has nothing of; None where there is none."""
    unused = counts is not None and not scan.n_witnessed and scan.kind != "counts"
    return counts.name if counts is not None and unused else None


def left_out(scan: Scan, source: Source) -> dict[str, str]:
    """What the source has and the dataset has not, when it is known whether the counts beside X were of use."""
    reasons = dict(source.left_out)
    if source.counts is None or scan.n_witnessed or source.counts.name in kept_matrices(source):
        return reasons
    place, option = source.counts.name, option_for(source.counts.name)
    said = _UNLIKE if scan.kind != "counts" else "holds integer counts too"
    key = "raw" if place.startswith("raw") else place
    reasons[key] = reasons.get(key, WITNESS).replace(WITNESS, f"{said}; build with {option} to store them")
    return reasons


def kept_matrices(source: Source) -> list[str]:
    """Names of the further matrices that are kept."""
    return [part.X.name for part in source.parts.values()]


def describe_recovery(scan: Scan, counts: Matrix | None) -> dict[str, Any]:
    """How values are made of counts, for the manifest."""
    found = {
        "witness": counts.name if counts is not None and scan.n_witnessed else None,
        "witnessed": _witnessed(scan, counts) if counts is not None and scan.n_witnessed else None,
        "worst_ulp": round(scan.worst_ulp, 3), "target_sum": scan.target_sum, "target_of": scan.target_of or None,
        "target_column": scan.target_column or None,
        "refused": scan.refused,
    }  # fmt: skip
    if scan.value_kind.is_log:
        found["base"] = scan.base
    if not scan.value_kind.has_counts:
        found |= {"counts_beside": counts_beside(scan, counts), "linear": looks_linear(scan)}
    return found


def _witnessed(scan: Scan, counts: Matrix) -> dict[str, int]:
    """Cells whose counts beside X are those behind the values, of how many; and counts there whose values are zero."""
    return {"cells": scan.n_witnessed, "of": counts.shape[0] - scan.n_empty, "more": int(scan.n_beyond)}


def value_notes(scan: Scan, counts: Matrix | None) -> list[str]:
    """What must be known of the values before they are used."""
    if scan.kind == "normalized":
        return ["the values are normalised, but no logarithms; panel, models and analyses take "
                "log1p(10,000 × count / total of the cell) in their place"]  # fmt: skip
    if scan.value_kind.has_counts:
        return []
    tried = "; ".join(f"as {kind}: {', '.join(cells)}" for kind, cells in scan.refused.items())
    beside = counts_beside(scan, counts)
    if beside is None:
        said = "no integer counts lie behind the values; they are stored as they are"
    else:
        said = f"{beside} {_UNLIKE}; X is stored as it is. Build with {option_for(beside)} to store the counts instead"
    notes = [f"{said} (first cells refused {tried})"]
    if looks_linear(scan):
        notes.append(
            f"the values reach {scan.largest:,.6g} and seem to be no logarithms; panel, models and analyses take them "
            "as they are, though most expect logarithms: take log1p of them in the source"
        )
    return notes


def notes(scan: Scan, counts: Matrix | None) -> list[str]:
    """All that is said of the matrix."""
    found = value_notes(scan, counts)
    told = describe_witness(describe_recovery(scan, counts))
    if told and not told.endswith(AGREE):
        found.append(told)
    if scan.n_zeros:
        found.append(f"{scan.n_zeros:,} explicitly stored zeros were dropped")
    if scan.n_unsorted:
        found.append(f"{scan.n_unsorted:,} cells had their genes in no ascending order; they were sorted")
    if scan.n_empty:
        found.append(f"{scan.n_empty:,} cells express no gene")
    if unexpressed := int((scan.totals[:, 0] == 0).sum()):
        found.append(f"{unexpressed:,} genes are expressed in no cell")
    return found
