"""Labels of cell types: checked on donors that a model has not seen, and brought to other datasets."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

if TYPE_CHECKING:
    from titin.annotate.celltypist_file import read_celltypist
    from titin.annotate.cross_validation import check_labels
    from titin.annotate.label_check import LabelCheck, read_label_check, write_label_check
    from titin.annotate.linear_model import LabelModel
    from titin.annotate.model_file import read_label_model, write_label_model
    from titin.annotate.transfer import CellLabels, label_cells, train_label_model

__all__ = [
    "CellLabels",
    "LabelCheck",
    "LabelModel",
    "check_labels",
    "label_cells",
    "read_celltypist",
    "read_label_check",
    "read_label_model",
    "train_label_model",
    "write_label_check",
    "write_label_model",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.annotate.celltypist_file": ("read_celltypist",),
        "titin.annotate.cross_validation": ("check_labels",),
        "titin.annotate.label_check": ("LabelCheck", "read_label_check", "write_label_check"),
        "titin.annotate.linear_model": ("LabelModel",),
        "titin.annotate.model_file": ("read_label_model", "write_label_model"),
        "titin.annotate.transfer": ("CellLabels", "label_cells", "train_label_model"),
    },
)
