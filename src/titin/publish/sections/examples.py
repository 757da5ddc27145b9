"""What people do first, as code that runs where the files are: X and y, a picture, fractions of cell types."""

from titin.markdown import block, code, section
from titin.publish.facts import AGES, CardFacts
from titin.publish.sections.quickstart import imports, quoted, read
from titin.study.tallies import CELLS

_ENOUGH = 15  # cells of one donor, type, protocol and chemistry that make a sample; as in titin.learn.units
_FOLDS = 5


def x_and_y(facts: CardFacts) -> str:
    """Samples, what is to be predicted, and the donors to hold out; with the score that counts, and the leaky one."""
    donor, ages = facts.column("donor"), facts.ages
    if donor is None or ages is None:
        return ""
    groups = facts.groups(donor)
    if groups[donor][groups[AGES].notna()].nunique() < _FOLDS:
        return ""
    level, sample = (("pseudobulk", "all cells of a donor, type, protocol and chemistry") if _are_samples(facts) else
                     ("donor", "all cells of a donor"))  # fmt: skip
    cells = code("level='cell'")
    scored = f"""import titin
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict

X, y, groups = titin.open(".").Xy("age", level="{level}")  # samples × genes, years, donors
unseen = cross_val_predict(RidgeCV(), X, y, groups=groups, cv=GroupKFold({_FOLDS}))
leaky = cross_val_predict(RidgeCV(), X, y, cv=KFold({_FOLDS}, shuffle=True, random_state=0))
print("years off, donors held out:", abs(unseen - y).mean(), "leaky:", abs(leaky - y).mean())"""
    return section(
        "X and y",
        f"A sample is {sample}; {cells} gives single cells; {code('sex')}, {code('cell_type')} or a "
        "column of obs in place of age another y. With donors on both sides of a split a model recognises them: that "
        "score is printed beside the other, and says nothing of new donors.",
        block("python", scored), _cells_of_panel(facts, donor, str(ages.name)),
    )  # fmt: skip


def _are_samples(facts: CardFacts) -> bool:
    """Whether groups of donor, type, protocol and chemistry are large enough in enough donors."""
    if not facts.cell_types or facts.ages is None:
        return False
    keys = [facts.column("donor"), facts.column("protocol"), facts.column("chemistry"), facts.cell_types[0]]
    named = list(dict.fromkeys(key for key in keys if key is not None))
    known = facts.groups(*named)
    sizes = known[known[AGES].notna()].groupby(named, observed=True)[CELLS].sum()
    large = sizes[sizes >= _ENOUGH]
    return len(large) > 0 and large.index.get_level_values(0).nunique() >= _FOLDS


def _cells_of_panel(facts: CardFacts, donor: str, age: str) -> str:
    """X and y of cells and panel genes, by pandas alone."""
    names = facts.schema(facts.layout.expression_panel).names
    genes = facts.panel_genes(1)
    if not genes or donor not in names or age not in names:
        return ""
    text = f"""{imports(facts, facts.layout.expression_panel)}import pandas as pd

panel = {read(facts, facts.layout.expression_panel)}.dropna(subset={quoted([donor, age])})
X, y, groups = panel.loc[:, {quoted(genes[0])}:], panel[{quoted(age)}], panel[{quoted(donor)}]"""
    lead = "Without titin, single cells and the genes of the panel (labels stand before the genes):"
    return f"{lead}\n\n{block('python', text)}"


def recipes(facts: CardFacts) -> str:
    """Pictures and fractions."""
    return section("Recipes", _plot(facts), _composition(facts))


def _plot(facts: CardFacts) -> str:
    key, genes = facts.map_key, facts.panel_genes(1)
    if key is None or not genes:
        return ""
    file = facts.manifest.obsm[key]["file"]
    x, y = facts.axes(key)
    shown = [f"panel[{quoted(genes[0])}]"]
    titles = [genes[0]]
    if facts.ages is not None and str(facts.ages.name) in facts.schema(facts.layout.expression_panel).names:
        shown.append(f"panel[{quoted(str(facts.ages.name))}]")
        titles.append("age (years)")
    text = f"""{imports(facts, file, facts.layout.expression_panel)}import matplotlib.pyplot as plt
import pandas as pd

places = {read(facts, file)}
panel = {read(facts, facts.layout.expression_panel)}
figure, axes = plt.subplots(1, {len(shown)}, figsize=({5.5 * len(shown):g}, 4.5), squeeze=False)
for ax, values, title in zip(axes.flat, [{", ".join(shown)}], {quoted(titles)}):
    dots = ax.scatter(places[{quoted(x)}], places[{quoted(y)}], c=values.astype(float), s=2, linewidths=0)
    ax.set(title=title, xticks=[], yticks=[])
    figure.colorbar(dots, ax=ax)
figure.savefig("../cells.png", dpi=150)"""
    call = f'titin.open(".").plot.embedding({quoted(key)}, color={quoted(genes[0])})'
    also = f"With titin: {code(call)}."
    return section("A picture of the cells", block("python", text), also, level=3)


def _composition(facts: CardFacts) -> str:
    donor, ages = facts.column("donor"), facts.ages
    if donor is None or not facts.cell_types:
        return ""
    kind, protocol = facts.cell_types[0], facts.column("protocol")
    rows = [donor, *([protocol] if protocol else [])]
    sorts = ""
    if ages is not None and str(ages.name) in facts.obs:
        years = quoted(str(ages.name))
        sorts = f"""
ages = obs.groupby({quoted(donor)}, observed=True)[{years}].median()
shares = shares.iloc[ages.reindex(shares.index.get_level_values(0)).to_numpy().argsort()]  # from young to old"""
    text = f"""{imports(facts, facts.layout.sample_metadata)}import pandas as pd

obs = {read(facts, facts.layout.sample_metadata)}
rows = [obs[column].astype(str) for column in {quoted(rows)}]
shares = pd.crosstab(rows, obs[{quoted(kind)}], normalize="index"){sorts}
print(shares.round(3))"""
    within = f"donor and {code(protocol)}" if protocol else "donor"
    lead = (f"One row a {within}: donors are what differs in age, so they are what a test counts, as "
            f"{code('titin age composition .')} does.")  # fmt: skip
    return section("Fractions of cell types", lead, block("python", text), level=3)
