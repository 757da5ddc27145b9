"""Draws the picture of the README from the demo: ``python docs/make_picture.py demo/skeletal_muscle_10x``.

Three things that the two doors of the README lead to: the cells, ages predicted of donors that the model has and has
not seen, and genes that change with age.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict

import titin
from titin.ageing import joint_model, pseudobulk
from titin.plot import volcano

PICTURE = Path(__file__).parent / "pictures" / "overview.png"
_SEEN, _HELD_OUT = "#9a9a9a", "#0072b2"


def predicted_ages(atlas: titin.Atlas, axes: Axes) -> None:
    """Age of each sample against what a model says that has, and one that has not seen other cells of its donor."""
    X, y, groups = atlas.Xy("age")
    seen = KFold(5, shuffle=True, random_state=0)
    splits = {
        "donor also in training (leaky)": (_SEEN, cross_val_predict(RidgeCV(), X, y, cv=seen)),
        "donor held out": (_HELD_OUT, cross_val_predict(RidgeCV(), X, y, groups=groups, cv=GroupKFold(5))),
    }
    axes.axline((45, 45), slope=1, color="0.6", linewidth=0.8)
    for label, (colour, told) in splits.items():
        axes.scatter(y, told, s=14, color=colour, label=f"{label}: off by {abs(told - y).mean():.1f} years")
    axes.set(xlabel="age of the donor (years)", ylabel="predicted (years)")
    axes.set_title("age from expression", loc="left")
    axes.legend(frameon=False, fontsize=7, loc="upper left")


def draw(dataset: str, path: Path) -> None:
    """Draw the three panels."""
    atlas = titin.open(dataset)
    made_up = atlas.synthetic is not None
    with plt.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, (cells, ages, genes) = plt.subplots(1, 3, figsize=(13.5, 4.2), layout="constrained")
        atlas.plot.umap(color="annotation_level0", ax=cells, labels=False, title=f"{atlas.n_obs:,} cells by type")
        predicted_ages(atlas, ages)
        changes = joint_model(pseudobulk(atlas)).table
        kind = changes.groupby("cell_type", observed=True)["adj_p_value"].apply(lambda p: (p < 0.05).sum()).idxmax()
        of_kind = changes[changes["cell_type"] == kind]
        volcano(of_kind, ax=genes, n_labels=6, title=f"genes that change with age in {kind}")
        if made_up:
            figure.supxlabel("synthetic expression on a real design", fontsize=9, color="0.4", x=0.995, ha="right")
        figure.savefig(path, dpi=110, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    draw(sys.argv[1], PICTURE)
