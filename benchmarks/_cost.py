"""What builds, validations and epochs of other sizes would cost, on one machine and on several: a model on paper.

Its constants are those that `scale.py --times` measures. What it takes for granted: processor seconds of the passes
over the matrix divide evenly by all cores; what opens the source, reads obs and writes tables and the card runs once,
on one core; several machines read the source from a store that is as fast as all of their networks together, and
exchange what one machine would spill. Workers of Dask encode for a build, but what is filed between its passes goes
through one process: rows of several machines are what one could reach.
"""

from typing import Any

from _measure import size, table

SIZES, MACHINES = (10_000_000, 100_000_000, 1_000_000_000), (1, 10, 100)
PASSES = ("scan", "cells", "genes")  # steps of a build whose work divides by cells or genes
VALUE = 8  # bytes of a stored value in a source that is not compressed: float32, and its gene as int32
LONGEST_LIST = 2**31 - 1  # values of one gene: offsets of a list column are int32
DETECTED = 0.95  # share of the cells that express the commonest gene, at most


def constants(whole: list[dict[str, Any]], runs: list[dict[str, Any]]) -> dict[str, float]:
    """What one cell takes: of the largest twin that was built, used and validated.

    What runs once whatever the values is of the largest of all builds, the simulated ones (``runs``) among them, where
    starting the program counts least.
    """
    largest = max(whole, key=lambda one: one["build"]["cells"])
    built, used = largest["build"], largest["use"]
    most = max([built, *runs], key=lambda one: one["cells"])
    n, micro = built["cells"], 1e6 / built["cells"]
    return {
        "values": built["nnz"] / n,
        "bytes_of_the_source": VALUE * built["nnz"] / n,
        "bytes_read_by_a_build": built["read_bytes"] / n,
        "bytes_written_by_a_build": built["written_bytes"] / n,
        "bytes_of_the_dataset": used["bytes"]["all"] / n,
        "bytes_of_the_matrix_by_cell": used["bytes"]["by_cell"] / n,
        "bytes_of_footers": used["footer_bytes"] / n,
        "bytes_held_by_a_build": _held(),
        "CPU_µs_of_the_passes": _passes(built) * micro,
        "CPU_µs_of_opening_and_tables": 1e6 * (most["cpu_seconds"] - _passes(most)) / most["cells"],
        "CPU_µs_of_validating": largest["validate"]["cpu_seconds"] * micro,
        "CPU_µs_of_loading": used["load_cpu_us"],
    }


def _passes(built: dict[str, Any]) -> float:
    """Processor seconds of the passes over the matrix."""
    return float(sum(built["cpu_steps"].get(step, 0.0) for step in PASSES))


def _held() -> float:
    """Bytes that a build holds of each cell besides its budget, as `titin build --dry-run` counts them."""
    from titin.resources import make_resources

    budget = make_resources(1)
    return (budget.needed(2 * 10**9) - budget.needed(10**9)) / 10**9


def costs(of_cell: dict[str, float], cells: int, machines: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Hours, bytes and memory of one size on so many machines; what of it is largest, and so bounds the rest."""
    from titin.resources import make_resources, parse_memory

    cores = settings["machine_cores"] * machines
    bandwidth = settings["network"] * 1e9 / 8
    once = of_cell["CPU_µs_of_opening_and_tables"] * cells / 1e6
    spread = of_cell["CPU_µs_of_the_passes"] * cells / 1e6
    written, kept = of_cell["bytes_written_by_a_build"], of_cell["bytes_of_the_dataset"]
    exchanged = max(written - kept, 0.0) * (machines - 1) / machines
    moved = cells * (of_cell["bytes_of_the_source"] + exchanged + kept) if machines > 1 else 0.0
    parts = {"processors": spread / cores, "tables, on one core": once, "network": moved / machines / bandwidth}
    memory = make_resources(1).needed(cells)
    bound = max(parts, key=lambda name: parts[name])
    if memory > parse_memory(settings["machine_memory"]):
        bound = "memory for obs"
    if DETECTED * cells > LONGEST_LIST:
        bound = "lists of more than 2³¹ cells"
    return {
        "read": cells * of_cell["bytes_of_the_source"], "build_cpu": once + spread, "moved": moved,
        "build": sum(parts.values()), "memory": memory,
        "bound": bound, "validate": of_cell["CPU_µs_of_validating"] * cells / 1e6 / cores,
        "validated": cells * kept, "epoch": of_cell["CPU_µs_of_loading"] * cells / 1e6 / cores,
        "loaded": cells * of_cell["bytes_of_the_matrix_by_cell"],
        "footers": cells * of_cell["bytes_of_footers"],
    }  # fmt: skip


def cost_table(of_cell: dict[str, float], settings: dict[str, Any], markdown: bool) -> str:
    """A row for each size and number of machines."""
    rows = []
    for cells in SIZES:
        for machines in MACHINES:
            cost = costs(of_cell, cells, machines, settings)
            rows.append([
                f"{cells // 10**6:,} M", f"{machines:,}", size(cost["read"]), f"{cost['build_cpu'] / 3600:,.1f}",
                size(cost["moved"]) if machines > 1 else "–", _time(cost["build"]), size(cost["memory"]),
                cost["bound"], size(cost["validated"]), _time(cost["validate"]), size(cost["loaded"]),
                _time(cost["epoch"]), size(cost["footers"]),
            ])  # fmt: skip
    header = ("cells", "machines", "source", "build, CPU h", "over the network", "build takes", "memory of one",
              "bound by", "validation reads", "takes", "an epoch reads", "takes", "footers")  # fmt: skip
    return table(header, rows, markdown=markdown)


def _time(seconds: float) -> str:
    """Seconds as people say them.

    Examples
    --------
    >>> _time(12.4), _time(600), _time(9000)
    ('12 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
