"""What the dataset is, at a glance, and where its data come from."""

from titin.dataset import layout
from titin.publish.facts import CardFacts
from titin.publish.markdown import block, bullets, code, escape, section, table
from titin.text import number, size


def opening(facts: CardFacts) -> str:
    """Title, one sentence, what is synthetic, pictures."""
    manifest = facts.manifest
    donors = f", {facts.n_donors:,} donors" if facts.n_donors else ""
    lead = (
        f"{manifest.n_cells:,} cells × {manifest.n_genes:,} genes, {manifest.nnz:,} non-zeros ({manifest.sparsity:.2%} "
        f"zeros){donors}: the whole expression matrix, lossless, with {facts.beside}, in "
        f"{size(facts.n_bytes)} of Parquet that pandas, polars, DuckDB, R and `datasets` read as it is."
    )
    parts = [f"# {escape(facts.title)}", lead]
    if facts.synthetic is not None:
        parts.append(f"> **These data are made up.** {' '.join(facts.synthetic.split())} What this card says of a "
                     "study "
                     "is said of the atlas that they imitate.")  # fmt: skip
    parts += [
        f"![{name.removeprefix('preview_').removesuffix('.png').replace('_', ' ')}]({name})" for name in facts.images
    ]
    return "\n\n".join(parts)


def overview(facts: CardFacts) -> str:
    """The main numbers."""
    manifest = facts.manifest
    rows = [
        ("cells", f"{manifest.n_cells:,}"), ("genes", f"{manifest.n_genes:,}"),
        ("non-zeros", f"{manifest.nnz:,} ({manifest.sparsity:.2%} zeros)"), ("values", values(facts)),
    ]  # fmt: skip
    if facts.n_donors:
        rows.append(("donors", f"{facts.n_donors:,}"))
    sample = facts.column("sample")
    if sample:
        rows.append(("samples", f"{facts.obs[sample].nunique():,}"))
    if facts.ages is not None:
        rows.append(("age", f"{number(facts.ages.min())} to {number(facts.ages.max())} years{_age_basis(facts)}"))
    for role in ("sex", "protocol", "chemistry"):
        if column := facts.column(role):
            counts = facts.counts(column)
            shown = ", ".join(f"{v} {n:,}" for v, n in counts.head(8).items())
            rows.append((role, f"{shown}{', …' if len(counts) > 8 else ''}"))
    rows += [(f"cell types ({code(c)})", f"{facts.obs[c].nunique():,}") for c in facts.cell_types]
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
        return "as in the source; no integer counts lie behind them"
    target = facts.manifest.recovery.get("target_sum")
    known = f" to {target:,.10g} a cell" if target else ""
    return f"integer counts, and the source's log-normalised values (normalised{known}, then log1p)"


def _age_basis(facts: CardFacts) -> str:
    if layout.AGE_YEARS in facts.obs:
        return f", exact ({code(layout.AGE_YEARS)})"
    return ""


def context(facts: CardFacts) -> str:
    """What the preset says about the biology and the study, beside what the dataset holds of it."""
    texts = facts.texts
    study = texts.study
    parts = list(texts.context.get("paragraphs", []))
    if study:
        parts.append(f"**The study.** [{study.get('name', 'Original study')}]({study.get('url', '')}). "
                     f"{study.get('summary', '')}")  # fmt: skip
        parts.append(_share_of_study(facts))
    links = bullets(f"[{link['name']}]({link['url']})" for link in texts.links)
    return section("Context", *(" ".join(part.split()) for part in parts), links)


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
        f"Made from {code(source['name'])} ({source['format']}, matrix {code(source['matrix'])}, {source['dtype']}; "
        f"sha256 {code(source['sha256'])}) by titin {manifest.libraries.get('titin', '')}.",
        f"Cells are in one order in all files, {order}. Genes are numbered by falling detection (`{layout.TOKEN}`).",
        _recovery(facts),
        f"Every file is listed with its size and checksum in `{layout.MANIFEST}`; `titin validate` checks them all.",
    ]
    versions = ", ".join(f"{name} {version}" for name, version in manifest.libraries.items())
    return section("Provenance", *sentences, f"Written with {versions}." if versions else "", _left_out(facts))


def _recovery(facts: CardFacts) -> str:
    if facts.manifest.kind == "counts":
        return "The counts are the source's own integers."
    if facts.manifest.kind == "real":
        return "The values are stored as they are in the source."
    recovery = facts.manifest.recovery
    target = recovery.get("target_sum")
    known = f" Each cell was normalised to {target:,.10g} counts." if target else ""
    witness = f" The counts in {code(recovery['witness'])} agree." if recovery.get("witness") else ""
    return (
        f"The source holds log1p(count / scale).{known} `{layout.COUNTS}` are the integers behind it, recovered cell "
        "by "
        f"cell and proven against every value (log1p differs by {recovery.get('worst_ulp')} units in the last place at "
        f"most); `{layout.SCALE}` is the cell's divisor and `{layout.LEVELS}` keeps the exact source value of each "
        "distinct "
        f"count.{witness}"
    )


def _left_out(facts: CardFacts) -> str:
    if not facts.manifest.left_out:
        return ""
    rows = bullets(f"{code(name)}: {reason}" for name, reason in facts.manifest.left_out.items())
    return f"The source has these too; they are not in the dataset.\n\n{rows}"


def again() -> str:
    """How to get the source's file back."""
    return section("Back to AnnData", block("console", "$ titin export . --to h5ad -o ../atlas.h5ad"),
                   "X is then equal to the source's bit for bit, with obs, var, obsm and uns, in the source's order.",
                   level=3)  # fmt: skip


def glossary(facts: CardFacts) -> str:
    """The format's terms, then those of the preset."""
    kind = "value" if facts.manifest.kind == "real" else "count"
    rows = [
        ("token", f"number of a gene, 0 for the one that most cells express; {code(layout.GENES)} holds tokens"),
        (
            kind,
            "of molecules seen of a gene in a cell" if kind == "count" else "of a gene in a cell, as the source has it",
        ),
        ("sparsity", "share of the matrix that is zero"),
    ]
    if facts.manifest.kind == "log1p":
        rows.append(("log-normalised", "counts divided by the cell's total, times a constant, then log(1 + x)"))
    if facts.manifest.obsm:
        rows.append(("embedding", "a few numbers for each cell in place of its genes, such as PCA, UMAP, t-SNE, scVI"))
    rows += [("panel", "the few hundred genes of the wide table"),
             ("pseudobulk", "counts summed over the cells of one donor and type, so that donors are the "
                            "replicates")]  # fmt: skip
    rows += [(term, text) for term, text in facts.texts.glossary.items()]
    return section("Glossary", table(("term", "meaning"), rows))


def limits(facts: CardFacts) -> str:
    """What the dataset cannot say; what was noticed on the way; what an earlier card had wrong."""
    lines = [f"{note[0].upper()}{note[1:]}." for note in facts.manifest.notes]
    lines += [f"{n:,} cells have no {code(name)}." for name, n in facts.missing()]
    if facts.column("donor") is None:
        lines.append("No donors are named, so nothing here can be tested over donors.")
    lines += facts.texts.limits
    corrected = bullets(facts.texts.corrections)
    return section("Limits", bullets(escape(line) for line in lines),
                   section("Corrections to an earlier card of these "
                           "data", corrected, level=3) if corrected else "")  # fmt: skip


def licence(facts: CardFacts) -> str:
    """The licence, if one was given; nothing is claimed otherwise."""
    note = " ".join(facts.texts.licence_note.split())
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
