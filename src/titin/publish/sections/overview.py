"""What the dataset is, at a glance, and where its data come from."""

import numpy as np
import pandas as pd

from titin.dataset import layout
from titin.dataset.description import describe_relabelled, describe_witness, normalised_to
from titin.markdown import Markdown, block, bullets, code, escape, link, picture, prose, section, table
from titin.publish.facts import CardFacts
from titin.publish.hub import SPACE, hub_address
from titin.study.tallies import is_known, span
from titin.text import number, size


def opening(facts: CardFacts, x_and_y: bool) -> str:
    """Title, one sentence, what is synthetic, where to go (``x_and_y``: there is such a section), pictures."""
    manifest = facts.manifest
    lead = (
        f"{manifest.n_cells:,} cells × {manifest.n_genes:,} genes, {manifest.nnz:,} non-zeros ({manifest.sparsity:.2%} "
        f"zeros){_of_whom(facts)}. The whole expression matrix, lossless, with {facts.beside}, in "
        f"{size(facts.n_bytes)} of Parquet that pandas, polars, DuckDB, R and `datasets` read as it is."
    )
    parts = [f"# {escape(facts.title)}", lead]
    if facts.synthetic is not None:
        parts.append(f"> **These data are made up.** {escape(facts.synthetic)} What this card says of a "
                     "study "
                     "is said of the atlas that they imitate.")  # fmt: skip
    parts += [_explorer(facts), _ways_in(x_and_y), _pictures(facts)]
    return "\n\n".join(part for part in parts if part)


def _of_whom(facts: CardFacts) -> str:
    """Donors, their ages, and types of cells, as far as they are known."""
    said = ""
    if facts.n_donors:
        said = f", of {facts.n_donors:,} donor{'s' if facts.n_donors > 1 else ''}"
        if facts.ages is not None and is_known(facts.ages):
            said += f" aged {_years(facts.ages)}"
    if facts.cell_types:
        said += f", in {facts.obs[facts.cell_types[0]].nunique():,} cell types"
    return said


def _years(ages: pd.Series) -> str:
    low, high, _ = span(ages.to_numpy(np.float64))
    return f"{number(low)} to {number(high)} years"


def _ways_in(x_and_y: bool) -> str:
    """Links to what a reader may have come for."""
    ways = [("X and y", "x-and-y")] if x_and_y else []
    ways += [
        ("code in pandas, polars, DuckDB, R", "quick-start"), ("what is in it", "what-is-in-it"),
        ("files", "files"), ("how to evaluate", "evaluation"), ("limits", "limits"), ("licence", "licence"),
    ]  # fmt: skip
    return "Go to: " + " · ".join(f"[{name}](#{anchor})" for name, anchor in ways)


def _explorer(facts: CardFacts) -> str:
    """Where it can be looked at, if there is such a place."""
    if facts.space is None:
        return ""
    shown = link("Explore it in the browser", hub_address(SPACE, facts.space))
    return f"**{shown}**: cells on a map, by label and by gene, read from the files of this repository."


def _pictures(facts: CardFacts) -> str:
    """The pictures side by side, each below what it shows."""
    shown = facts.captions
    if not shown:
        return ""
    return table([escape(caption) for caption in shown.values()], [[picture(*one) for one in shown.items()]])


def overview(facts: CardFacts) -> str:
    """The main numbers."""
    manifest = facts.manifest
    rows: list[tuple[str, str]] = [
        ("cells", f"{manifest.n_cells:,}"), ("genes", f"{manifest.n_genes:,}"),
        ("non-zeros", f"{manifest.nnz:,} ({manifest.sparsity:.2%} zeros)"), ("values", values(facts)),
    ]  # fmt: skip
    if facts.n_donors:
        rows.append(("donors", f"{facts.n_donors:,}"))
    sample = facts.column("sample")
    if sample:
        rows.append(("samples", f"{facts.obs[sample].nunique():,}"))
    if facts.ages is not None:
        rows.append(("age", Markdown(f"{_years(facts.ages)}{_age_basis(facts)}")))
    for role in ("sex", "protocol", "chemistry"):
        if column := facts.column(role):
            counts = facts.counts(column)
            shown = ", ".join(f"{escape(v)} {n:,}" for v, n in counts.head(8).items())
            rows.append((role, Markdown(f"{shown}{', …' if len(counts) > 8 else ''}")))
    rows += [(Markdown(f"cell types ({code(c)})"), f"{facts.obs[c].nunique():,}") for c in facts.cell_types]
    rows.append(("embeddings", ", ".join(f"{k} ({len(e['columns']) - 1})" for k, e in manifest.obsm.items()) or "none"))
    note = ""
    if not facts.column("protocol"):
        note = ("A row is called a cell throughout; whether it is one, a nucleus or a sum over several is for the "
                "source to "
                "say.")  # fmt: skip
    return section("At a glance", table(("", ""), rows), note)


def values(facts: CardFacts) -> str:
    """What the numbers of the matrix are."""
    if facts.manifest.kind == "counts":
        return "integer counts"
    if facts.manifest.kind == "real":
        beside = facts.manifest.recovery.get("counts_beside")
        linear = "; they seem to be no logarithms" if facts.manifest.recovery.get("linear") else ""
        said = f"they are not made from the counts in {beside}" if beside else "no integer counts lie behind them"
        return f"as in the source; {said}{linear}"
    known = normalised_to(facts.manifest.recovery) or "normalised"
    if not facts.manifest.value_kind.is_log:
        return f"integer counts, and the source's normalised values ({known}, no logarithm)"
    base = facts.manifest.value_kind.base
    logarithm = "log1p" if base == "e" else f"log{base}(1 + x)"
    return f"integer counts, and the source's log-normalised values ({known}, then {logarithm})"


def _age_basis(facts: CardFacts) -> str:
    if layout.AGE_YEARS in facts.manifest.derived:
        return f", exact ({code(layout.AGE_YEARS)})"
    return ""


def context(facts: CardFacts) -> str:
    """What the preset says about the biology and the study, beside what the dataset holds of it."""
    texts = facts.texts
    study = texts.study
    parts: list[str] = [prose(paragraph) for paragraph in texts.context.get("paragraphs", [])]
    if study:
        named = link(study.get("name", "Original study"), study.get("url", ""))
        parts.append(f"**The study.** {named}. {prose(study.get('summary', ''))}")
        parts.append(_share_of_study(facts))
    links = bullets(link(one["name"], one["url"]) for one in texts.links)
    return section("Context", *parts, links)


def _share_of_study(facts: CardFacts) -> str:
    """How the dataset compares with what the study reports, from its own numbers."""
    study, manifest = facts.texts.study, facts.manifest
    pairs = [("cells", manifest.n_cells, study.get("n_cells")), ("genes", manifest.n_genes, study.get("n_genes")),
             ("donors", facts.n_donors, study.get("n_donors"))]  # fmt: skip
    if facts.synthetic is not None:
        return ""
    differing = [f"{have:,} of {of:,} {what}" for what, have, of in pairs if have and of and have != of]
    compared = [what for what, have, of in pairs if have and of]
    if not compared:
        return ""
    if differing:
        return f"**This dataset** differs from the release in size: {', '.join(differing)}."
    return f"**This dataset** has as many {', '.join(compared[:-1])} and {compared[-1]} as the release."


def provenance(facts: CardFacts) -> str:
    """Where every value comes from and how it was made."""
    manifest = facts.manifest
    source, settings = manifest.source, manifest.settings
    order = (f"shuffled once with seed {settings['seed']}; `{layout.SOURCE_ROW}` restores the source's order"
             if settings["shuffle"] else "that of the source")  # fmt: skip
    sentences = [
        f"Made from {code(source['name'])} ({escape(source['format'])}, matrix {code(source['matrix'])}, "
        f"{escape(source['dtype'])}; sha256 {code(source['sha256'])}) by titin "
        f"{escape(manifest.libraries.get('titin', ''))}.",
        *(f"Since then its labels were changed: {said}." for said in describe_relabelled(manifest.obs, code)),
        f"Cells are in one order in all files, {order}. Genes are numbered by falling detection (`{layout.TOKEN}`).",
        _recovery(facts),
        f"Every file is listed with its size and checksum in `{layout.MANIFEST}`; `titin validate` checks them all.",
    ]
    versions = ", ".join(escape(f"{name} {version}") for name, version in manifest.libraries.items())
    return section("Provenance", *sentences, f"Written with {versions}." if versions else "", _left_out(facts))


def _recovery(facts: CardFacts) -> str:
    if facts.manifest.kind == "counts":
        return "The counts are the source's own integers."
    if facts.manifest.kind == "real":
        return "The values are stored as they are in the source."
    recovery, formula = facts.manifest.recovery, facts.manifest.value_kind.formula
    told = escape(normalised_to(recovery))
    known = f" Each cell was {told.removesuffix(' a cell')}{' counts' * told.endswith(' a cell')}." if told else ""
    shown = (f" The values are no logarithms: the panel and models take log1p({layout.TARGET_SUM:,.0f} × count / total "
             "of the cell)." if facts.manifest.value_kind.lognorm_of_counts else "")  # fmt: skip
    compared = describe_witness(recovery, code)
    witness = f" {compared[0].upper()}{compared[1:]}." if compared else ""
    return (
        f"The source holds {escape(formula)}.{known} `{layout.COUNTS}` are the integers behind it, recovered cell "
        "by "
        f"cell and proven against every value (they differ by {recovery.get('worst_ulp')} units in the last place at "
        f"most); `{layout.SCALE}` is the cell's divisor and `{layout.LEVELS}` keeps the exact source value of each "
        "distinct "
        f"count.{witness}{shown}"
    )


def _left_out(facts: CardFacts) -> str:
    if not facts.manifest.left_out:
        return ""
    rows = bullets(f"{code(name)}: {escape(reason)}" for name, reason in facts.manifest.left_out.items())
    return f"The source has these too; they are not in the dataset.\n\n{rows}"


def again() -> str:
    """How to get the source's file back."""
    return section("Back to AnnData", block("console", "$ titin export . --to h5ad -o ../atlas.h5ad"),
                   "X is then equal to the source's bit for bit, with obs, var, obsm and uns, in the source's order.",
                   level=3)  # fmt: skip


def glossary(facts: CardFacts) -> str:
    """The format's terms, then those of the preset."""
    kind = "count" if facts.manifest.value_kind.has_counts else "value"
    tokens = f"number of a gene, 0 for the one that most cells express; {code(layout.GENES)} holds tokens"
    rows: list[tuple[str, str]] = [
        ("token", Markdown(tokens)),
        (
            kind,
            "of molecules seen of a gene in a cell" if kind == "count" else "of a gene in a cell, as the source has it",
        ),
        ("sparsity", "share of the matrix that is zero"),
    ]
    if facts.manifest.value_kind.is_log:
        rows.append(("log-normalised", "counts divided by the cell's total, times a constant, then log(1 + x)"))
    if facts.manifest.obsm:
        rows.append(("embedding", "a few numbers for each cell in place of its genes, such as PCA, UMAP, t-SNE, scVI"))
    rows += [("panel", "the few hundred genes of the wide table"),
             ("pseudobulk", "counts summed over the cells of one donor and type, so that donors are the "
                            "replicates")]  # fmt: skip
    rows += [(prose(term), prose(text)) for term, text in facts.texts.glossary.items()]
    return section("Glossary", table(("term", "meaning"), rows))


def limits(facts: CardFacts) -> str:
    """What the dataset cannot say; what was noticed on the way; what an earlier card had wrong."""
    lines: list[str] = [escape(f"{note[0].upper()}{note[1:]}.") for note in facts.manifest.notes]
    lines += [f"{n:,} cells have no {code(name)}." for name, n in facts.missing()]
    if facts.column("donor") is None:
        lines.append("No donors are named, so nothing here can be tested over donors.")
    lines += [prose(line) for line in facts.texts.limits]
    corrected = bullets(prose(line) for line in facts.texts.corrections)
    return section("Limits", bullets(lines),
                   section("Corrections to an earlier card of these "
                           "data", corrected, level=3) if corrected else "")  # fmt: skip


def licence(facts: CardFacts) -> str:
    """The licence, if one was given; nothing is claimed otherwise."""
    note = prose(facts.texts.licence_note)
    if facts.licence is None:
        return section("Licence", "No licence has been stated for this dataset, which means that nobody may use it "
                                  "before its "
                       "owner allows it. The terms of the source hold for what was made from it.", note)  # fmt: skip
    return section("Licence", f"{code(facts.licence)}, as stated by whoever published this dataset. The terms of the "
                              "source "
                   "hold for what was made from it.", note)  # fmt: skip


def ethics() -> str:
    """What must not be done with it."""
    lines = [
        "**Do not try to identify donors**, neither alone nor by joining with other data. Sequencing reads are not "
        "part of "
        "this dataset; expression can still tell sex and, in principle, common variants.",
        "Do not use it to decide about single people: nothing here is a diagnostic.",
        "Say how many donors a conclusion rests on, and that they stand for the people whom the study could reach.",
    ]
    return section("Ethics", bullets(lines))


def citation(facts: CardFacts) -> str:
    """What to cite."""
    entries = [block("bibtex", entry["bibtex"]) for entry in facts.texts.citations]
    stated = [f"The source says of itself, {key}: {escape(text)}" for key in ("citation", "title")
              if isinstance(text := facts.uns.get(key), str)]  # fmt: skip
    if entries:
        lead = "Cite the study that the data come from, and name this dataset with its revision."
    else:
        lead = ("Cite the study that the data come from; the file that this dataset was made from does not have to "
                "name it. "
                "Name this dataset with its revision too.")  # fmt: skip
    return section("Citation", lead, *entries, *stated)
