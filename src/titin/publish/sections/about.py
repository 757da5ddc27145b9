"""Terms, limits, licence, ethics, citation."""

from titin.dataset import layout
from titin.publish.facts import Facts
from titin.publish.markdown import block, bullets, code, escape, section, table


def glossary(facts: Facts) -> str:
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
    rows += [(term, text) for term, text in facts.preset.glossary.items()]
    return section("Glossary", table(("term", "meaning"), rows))


def limits(facts: Facts) -> str:
    """What the dataset cannot say; what was noticed on the way; what an earlier card had wrong."""
    lines = [f"{note[0].upper()}{note[1:]}." for note in facts.manifest.notes]
    lines += [f"{n:,} cells have no {code(name)}." for name, n in facts.missing()]
    if facts.column("donor") is None:
        lines.append("No donors are named, so nothing here can be tested over donors.")
    lines += facts.preset.limits
    corrected = bullets(facts.preset.corrections)
    return section("Limits", bullets(escape(line) for line in lines),
                   section("Corrections to an earlier card of these "
                           "data", corrected, level=3) if corrected else "")  # fmt: skip


def licence(facts: Facts) -> str:
    """The licence, if one was given; nothing is claimed otherwise."""
    note = " ".join(facts.preset.licence_note.split())
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


def citation(facts: Facts) -> str:
    """What to cite."""
    entries = [block("bibtex", entry["bibtex"]) for entry in facts.preset.citations]
    stated = [f"The source says of itself, {key}: {escape(text)}" for key in ("citation", "title")
              if isinstance(text := facts.uns.get(key), str)]  # fmt: skip
    if entries:
        lead = "Cite the study that the data come from, and name this dataset with its revision."
    else:
        lead = ("Cite the study that the data come from; the file that this dataset was made from does not have to "
                "name it. "
                "Name this dataset with its revision too.")  # fmt: skip
    return section("Citation", lead, *entries, *stated)
