"""titin's Loader beside its peers on the same cells, one way of loading after another, by turns: load.py --peers."""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from _measure import (
    HERE,
    BenchmarkError,
    describe,
    evict,
    load_average,
    machine,
    note,
    read_once,
    run,
    table,
)

PEERS, LOADERS = HERE / "_peers.py", HERE / "_loaders.py"
KNOWN = ("cellstream", "annbatch", "scdataset", "soma")
DENSE = 2000  # genes, those that most cells have counts of
_GENES = (
    "import json, sys, titin\n"
    "n = (titin.open(sys.argv[1]).counts[:] > 0).sum(axis=0).A1\n"
    "print(json.dumps(sorted((-n).argsort(kind='stable')[: int(sys.argv[2])].tolist())))"
)


class Way(NamedTuple):
    """How minibatches are wanted."""

    values: str
    form: str = "CSR"
    labels: bool = True
    order: str = "blocks"
    threads: int = 0
    cold: bool = False

    @property
    def words(self) -> str:
        """For people."""
        kind = "counts" if self.values == "counts" else "log values"
        labels = "with a label" if self.labels else "no label"
        cold = ", cold" if self.cold else ""
        return f"{kind}, {self.form}, {labels}, {self.order}, threads {self.threads}{cold}"


class Contender(NamedTuple):
    """A loader, and which ways it has: it says what it cannot by leaving it out."""

    label: str
    loader: str
    python: Any
    settings: dict[str, Any]
    files: Path
    orders: tuple[str, ...] = ("blocks",)
    best_threads: bool = False  # it may be faster with one thread than with all: both are tried, the better counts


def ways(threads: int) -> Iterator[Way]:
    """One way, and what differs from it in one respect, of counts and of values."""
    for values in ("counts", "lognorm"):
        base = Way(values, threads=threads)
        yield base
        yield base._replace(labels=False)
        yield base._replace(order="single cells")
        if threads > 1:
            yield base._replace(threads=1)
        yield base._replace(form=f"{DENSE:,} genes dense")
        yield base._replace(cold=True)


def contest(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything that load.py --peers measures, in a folder that may be removed."""
    unknown = sorted(set(options.peers) - set(KNOWN))
    if unknown or options.source is None or options.peer_python is None:
        raise BenchmarkError(f"there is no peer {unknown[0]}: {', '.join(KNOWN)}" if unknown
                             else "--peers needs --source and --peer-python")  # fmt: skip
    before = load_average()
    sources, dataset = _same_cells(options, folder)
    facts = run([sys.executable, "-m", "titin", "info", dataset, "--json"]).document
    columns = run([sys.executable, "-c", _GENES, dataset, str(DENSE)]).document
    shared = {"dataset": str(dataset), "batch": options.batch, "epochs": options.epochs, "seconds": options.seconds,
              "label": options.label, "block": 256, "buffer": 32, "columns": columns}  # fmt: skip
    contenders = {values: _contenders(options, values, sources[values], dataset, folder)
                  for values in ("counts", "lognorm")}  # fmt: skip
    found = [_measured(way, contenders[way.values], shared, options.turns) for way in ways(options.threads)]
    return {"machine": machine(), "load_average": {"before": before, "after": load_average()},
            "dataset": {key: facts[key] for key in ("prefix", "n_cells", "n_genes", "nnz")},
            "settings": {k: getattr(options, k) for k in ("batch", "epochs", "seconds", "threads", "turns")},
            "ways": found}  # fmt: skip


def _same_cells(options: argparse.Namespace, folder: Path) -> tuple[dict[str, Path], Path]:
    """The first cells of the source as .h5ad, their counts as another, and titin's dataset of them."""
    titin, values, counts = [sys.executable, "-m", "titin"], folder / "lognorm.h5ad", folder / "counts.h5ad"
    note(f"the first {options.cells:,} cells")
    run([options.peer_python, PEERS, "first", options.source, values, str(options.cells), options.label])
    run([*titin, "build", values, "-o", folder / "dataset", "--no-project", "-q"])
    run([*titin, "export", folder / "dataset", "--format", "h5ad", "--counts", "-o", counts, "-q"])
    return {"lognorm": values, "counts": counts}, folder / "dataset"


def _contenders(options: argparse.Namespace, values: str, source: Path, dataset: Path, folder: Path) -> list[Contender]:
    """titin in its two ways, and the peers asked for, each over what it made of the source."""
    cache = folder / f"cache-{values}"
    own = {"values": values}
    found = [
        Contender("titin", "titin", sys.executable, own, dataset, ("blocks", "single cells")),
        Contender("titin, cached", "titin", sys.executable, {**own, "cache": str(cache)}, cache,
                  ("blocks", "single cells")),
    ]  # fmt: skip
    python = options.peer_python
    for peer in options.peers:
        if peer == "scdataset":
            found.append(Contender(peer, peer, python, {"source": str(source)}, source))
            continue
        target = folder / f"{peer}-{values}"
        note(f"{peer}: converting {values}")
        more = [str(options.threads)] if peer == "annbatch" else []
        target = target.with_suffix(".csad") if peer == "cellstream" else target
        run([python, PEERS, peer, source, target, *more])
        orders = ("single cells",) if peer == "cellstream" else ("blocks",)
        found.append(Contender(peer, peer, python, {"collection": str(target)}, target, orders, peer == "cellstream"))
    return found


def _measured(way: Way, contenders: list[Contender], shared: dict[str, Any], turns: int) -> dict[str, Any]:
    """Cells a second of each contender, one after the other, ``turns`` times."""
    rates: dict[str, list[float]] = {}
    for turn in range(turns):
        for one in contenders:
            # who draws single cells always is measured beside blocks too: it gives more than is asked for
            if way.order in one.orders or (way.order == "blocks" and one.orders == ("single cells",)):
                note(f"{way.words}: {one.label}, turn {turn + 1} of {turns}")
                rates.setdefault(one.label, []).append(_rate(way, one, shared))
    return {"way": way._asdict(), "words": way.words, "rates": rates}


def _rate(way: Way, one: Contender, shared: dict[str, Any]) -> float:
    """Cells a second: median of the epochs after the first; of the first, from the disk, where it is to be cold."""
    settings = {**shared, **one.settings, "order": way.order, "threads": way.threads,
                "label": shared["label"] if way.labels else None,
                "columns": shared["columns"] if way.form != "CSR" else None}  # fmt: skip
    command = [one.python, LOADERS, one.loader]
    if "cache" in settings and not one.files.exists():
        run([*command, json.dumps({**settings, "epochs": 1, "seconds": 0})])
    if way.cold:
        evict(one.files)
        return _epochs([*command, json.dumps({**settings, "epochs": 1})])[0]
    _read_all(one.files)
    tried = {1, way.threads} if one.best_threads else {way.threads}
    found = [_epochs([*command, json.dumps({**settings, "threads": threads})])[1:] for threads in tried]
    return max(statistics.median(rates) for rates in found)


def _read_all(place: Path) -> None:
    for path in [place] if place.is_file() else place.rglob("*"):
        if path.is_file():
            read_once(path)


def _epochs(command: list[Any]) -> list[float]:
    rates: list[float] = json.loads(run(command).stdout.strip().splitlines()[-1])["cells_per_second"]
    return rates


def report(document: dict[str, Any], *, markdown: bool) -> str:
    """A table: rates of each, and how many times the best peer's titin's are, in the same turn."""
    labels = list(dict.fromkeys(label for found in document["ways"] for label in found["rates"]))
    peers = [label for label in labels if not label.startswith("titin")]
    rows = []
    for found in document["ways"]:
        rates = found["rates"]
        best = [max(turn) for turn in zip(*(rates[p] for p in peers if p in rates), strict=True)]
        ratios = [f"{statistics.median(a / b for a, b in zip(rates[own], best, strict=True)):.2f}" if best else ""
                  for own in ("titin", "titin, cached")]  # fmt: skip
        rows.append((found["words"], *(f"{statistics.median(rates[one]):,.0f}" if one in rates else "–"
                                       for one in labels), *ratios))  # fmt: skip
    data, settings = document["dataset"], document["settings"]
    facts = [
        f"{data['n_cells']:,} cells × {data['n_genes']:,} genes, {data['nnz']:,} non-zeros",
        f"batches of {settings['batch']}; cells a second: median of {settings['turns']} turns, each the median of "
        f"epochs 2 to {settings['epochs']}, cut off at {settings['seconds']:g} s; cold: the first epoch, from the disk",
        "blocks: of neighbouring cells, mixed in a buffer; cellstream draws single cells always, with one thread or "
        "all, whichever is faster",
        "ratios: titin's rate by that of the fastest peer of the same turn",
    ]
    head = ("batches", *labels, "ratio", "ratio, cached")
    return f"{describe(document, facts, markdown=markdown)}\n\n{table(head, rows, markdown=markdown)}"
