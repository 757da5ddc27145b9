"""From a source to a dataset folder."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

if TYPE_CHECKING:
    from titin.builder.batch import BatchJob, BatchOutcome, build_many
    from titin.builder.embeddings import Embedded, add_embeddings
    from titin.builder.options import Options
    from titin.builder.pipeline import BuildReport
    from titin.builder.relabelling import Relabelled, relabel, set_roles
    from titin.builder.run import build, plan
    from titin.progress import Progress

__all__ = [
    "BatchJob",
    "BatchOutcome",
    "BuildReport",
    "Embedded",
    "Options",
    "Progress",
    "Relabelled",
    "add_embeddings",
    "build",
    "build_many",
    "plan",
    "relabel",
    "set_roles",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.builder.batch": ("BatchJob", "BatchOutcome", "build_many"),
        "titin.builder.embeddings": ("Embedded", "add_embeddings"),
        "titin.builder.options": ("Options",),
        "titin.builder.pipeline": ("BuildReport",),
        "titin.builder.relabelling": ("Relabelled", "relabel", "set_roles"),
        "titin.builder.run": ("build", "plan"),
        "titin.progress": ("Progress",),
    },
)
