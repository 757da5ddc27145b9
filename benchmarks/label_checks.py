"""How often `titin validate` finds labels that were swapped, and how often it finds what is not there.

python benchmarks/label_checks.py                      30 small demo atlases
python benchmarks/label_checks.py --twin-script ../shared/tools/twin.py --cells 6000 -- --real-donors
python benchmarks/label_checks.py --seeds 0 --real ../shared/data/h5ad/*.h5ad

Each atlas is made, built and looked at as it is: no error is right. Then the metadata are changed in memory, one thing
at a time, and the checks of biology look again: the sex of each donor of `--sexed` cells, two donors of different sex
exchanged, two cell types swapped in all donors or in one. Swaps are drawn from the types that have markers and
`--of-type` cells; those in one donor from the types of which it has `--of-donor`. Found is a finding that names what
was changed, error or warning.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import titin
from titin.check import load_checks
from titin.check.cells import CellColumns
from titin.check.dataset import CheckedDataset
from titin.check.findings import Outcome
from titin.demo import write_demo_atlas
from titin.study.vocabulary import sex_of

LOOKED_AT = ("biology.markers", "biology.sex", "biology.nuclei")


class ChangedColumns(CellColumns):
    """Columns of obs of which some were changed in memory."""

    def __init__(self, dataset: CheckedDataset, changed: dict[str, pd.Series]) -> None:
        super().__init__(dataset.atlas.store, dataset.atlas.cells, dataset.repeats)
        self._changed = changed

    def _read(self, name: Any) -> Iterator[Any]:
        yield from [self._changed[name]] if name in self._changed else super()._read(name)


class Changed(CheckedDataset):
    """A dataset whose metadata were changed in memory; what was read of its files is shared."""

    def __init__(self, clean: CheckedDataset, **columns: pd.Series) -> None:
        super().__init__(clean.folder)
        self.__dict__["atlas"] = clean.atlas
        self._passes = clean._passes
        self.__dict__["obs"] = ChangedColumns(self, columns)


def look(dataset: CheckedDataset, name: str) -> Outcome:
    check = load_checks()[name]
    lacks = [why for need in sorted(check.needs) if (why := dataset.missing(need))]
    return Outcome(skipped=lacks[0]) if lacks else check.function(dataset)


def problems(dataset: CheckedDataset, name: str) -> list[tuple[str, str]]:
    """Severity and message of what a check finds."""
    severity = load_checks()[name].severity
    return [(f.severity or severity, f"{f.message} ({f.hint})") for f in look(dataset, name).findings]


def planted(
    clean: CheckedDataset, rng: np.random.Generator, options: argparse.Namespace
) -> Iterator[tuple[str, str, list[str], CheckedDataset]]:
    """Yield what was changed, the check that should find it, the names it should give, and the changed dataset."""
    roles, obs = clean.roles, clean.obs
    donor = obs[roles["donor"]].astype(str)
    sex = obs[roles["sex"]].astype(str)
    sexes = sex.groupby(donor).first()
    flip = {name: next(other for other in sexes if sex_of(other) != sex_of(name)) for name in sexes.unique()}
    sexes = sexes[donor.value_counts().reindex(sexes.index) >= options.sexed]
    for one in sexes.index:
        yield "sex of a donor", "biology.sex", [one], Changed(
            clean, **{roles["sex"]: sex.where(donor != one, flip[sexes[one]])})  # fmt: skip
    women, men = ([d for d in sexes.index if sex_of(sexes[d]) == which] for which in "FM")
    for one, other in some(rng, list(product(women, men)), options.each):
        exchanged = sexes.rename(index={one: other, other: one})
        yield (
            "two donors",
            "biology.sex",
            [one, other],
            Changed(clean, **{roles["sex"]: donor.map(exchanged).fillna(sex)}),
        )
    facts = look(clean, "biology.markers").facts
    level, own = facts["level"], {row["type"]: set(row["markers"]) for row in facts["types"]}
    labels = obs[level].astype(str)
    table = pd.crosstab(donor, labels)
    usual = [name for name in own if table[name].sum() >= options.of_type]
    alike = {True: list[tuple[str, str]](), False: list[tuple[str, str]]()}
    for one, other in combinations(usual, 2):
        if own[one] - own[other] and own[other] - own[one]:
            alike[bool(own[one] & own[other])].append((one, other))
    for kind, share in (("two types", False), ("two subtypes", True)):
        for one, other in some(rng, alike[share], options.each):
            swapped = labels.replace({one: other, other: one})
            yield kind, "biology.markers", [one, other], Changed(clean, **{level: swapped})
    places = [(d, a, b) for a, b in alike[False] for d in table.index if table.loc[d, [a, b]].min() >= options.of_donor]
    for d, one, other in some(rng, places, options.each):
        swapped = labels.replace({one: other, other: one}).where(donor == d, labels)
        yield "two types in one donor", "biology.markers", [d, one, other], Changed(clean, **{level: swapped})


def some(rng: np.random.Generator, items: list[Any], n: int) -> list[Any]:
    return [items[i] for i in rng.permutation(len(items))[:n]]


def make(folder: Path, seed: int, options: argparse.Namespace) -> Path:
    source = folder / "twin.h5ad"
    if options.twin_script:
        command = [sys.executable, options.twin_script, source, "--cells", options.cells, "--seed", seed, *options.more]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    else:
        write_demo_atlas(source, n_cells=options.cells, n_genes=800, seed=seed)
    return source


def atlases(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, CheckedDataset]]:
    """Build every atlas, one after another in the same place."""
    paths: list[tuple[str, Path | int]] = [(f"seed {seed}", seed) for seed in range(options.seeds)]
    paths += [(path.name, path) for path in options.real]
    for name, path in paths:
        source = make(folder, path, options) if isinstance(path, int) else path
        settings: dict[str, Any] = {"preset": "muscle"} if isinstance(path, int) else {}
        titin.build(source, folder / "dataset", force=True, project=[], threads=options.threads, **settings)
        yield name, CheckedDataset(folder / "dataset", threads=options.threads)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--seeds", type=int, default=30, help="how many atlases are made (default: %(default)s)")
    add("--cells", type=int, default=6000, help="cells of each (default: %(default)s)")
    add("--twin-script", type=Path, help="script that makes them; otherwise they are demo atlases of 800 genes")
    add("--real", type=Path, nargs="*", default=[], help="files to look at as they are")
    add("--each", type=int, default=5, help="changes of each kind an atlas (default: %(default)s)")
    add("--of-type", type=int, default=30, help="cells of a type that is swapped (default: %(default)s)")
    add("--of-donor", type=int, default=10, help="cells of a type that is swapped in a donor (default: %(default)s)")
    add("--sexed", type=int, default=50, help="cells of a donor whose sex is changed (default: %(default)s)")
    add("--threads", type=int, help="threads (default: all)")
    add("--json", type=Path, metavar="FILE", help="write every finding to FILE")
    add("more", nargs="*", help="further options of the script, after --")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    clean, missed = list[dict[str, str]](), list[dict[str, Any]]()
    tried, found, errors = Counter[str](), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="titin-") as folder:
        for number, (atlas, dataset) in enumerate(atlases(options, Path(folder))):
            for name in LOOKED_AT:
                clean += [{"atlas": atlas, "check": name, "severity": severity, "message": message}
                          for severity, message in problems(dataset, name)]  # fmt: skip
            tried["clean"] += 1
            if number >= options.seeds:
                continue
            for kind, name, names, changed in planted(dataset, np.random.default_rng(number), options):
                said = [(s, m) for s, m in problems(changed, name) if all(n in m for n in names)]
                tried[kind] += 1
                found[kind] += bool(said)
                errors[kind] += any(severity == "error" for severity, _ in said)
                if not said:
                    missed.append({"atlas": atlas, "kind": kind, "names": names})
            print(f"{atlas}: {len(clean)} findings where nothing was changed, {len(missed)} changes missed", flush=True)
    print(f"\n{tried['clean']} atlases as they are: {sum(f['severity'] == 'error' for f in clean)} errors, "
          f"{sum(f['severity'] == 'warning' for f in clean)} warnings")  # fmt: skip
    for finding in clean:
        print(f"  {finding['atlas']}, {finding['check']}: {finding['severity']}: {finding['message']}")
    print(f"\n{'changed':<24}{'tried':>7}{'found':>8}{'as error':>10}")
    for kind in [kind for kind in tried if kind != "clean"]:
        print(f"{kind:<24}{tried[kind]:>7}{found[kind] / tried[kind]:>8.1%}{errors[kind] / tried[kind]:>10.1%}")
    for miss in missed:
        print(f"  missed in {miss['atlas']}: {miss['kind']}, {', '.join(miss['names'])}")
    if options.json:
        document = {"clean": clean, "missed": missed, "tried": tried, "found": found, "errors": errors}
        options.json.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
