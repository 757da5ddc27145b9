"""Turn a single-cell atlas into a dataset that machine learning can use as it is."""

import sys

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:  # while `python -m` looks for what it was asked for
    _asked = sys.orig_argv[-len(sys.argv)]
    if _asked.removeprefix("-m").partition(".")[0] == __name__:
        del sys.path[0]  # the working directory, where a json.py or numpy.py of a stranger may lie

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

__version__ = "0.1.0"

__all__ = [
    "Atlas",
    "Loader",
    "TitinError",
    "__version__",
    "add_embeddings",
    "ageing",
    "annotate",
    "atlas",
    "build",
    "diff",
    "embed",
    "explore",
    "export",
    "features",
    "learn",
    "load",
    "merge",
    "network",
    "open",
    "plot",
    "presets",
    "publish",
    "relabel",
    "report",
    "set_roles",
    "study",
    "subset",
    "tokens",
    "validate",
]

if TYPE_CHECKING:
    from titin import (
        ageing,
        annotate,
        atlas,
        embed,
        explore,
        features,
        learn,
        load,
        network,
        plot,
        presets,
        publish,
        report,
        study,
    )
    from titin.atlas import Atlas
    from titin.atlas import open_atlas as open
    from titin.builder import add_embeddings, build, relabel, set_roles
    from titin.check import diff, validate
    from titin.compose import merge, subset
    from titin.errors import TitinError
    from titin.exporter import export
    from titin.load import Loader
    from titin.load.tokens import tokens

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.atlas": ("Atlas", "open_atlas as open"),
        "titin.builder": ("add_embeddings", "build", "relabel", "set_roles"),
        "titin.check": ("diff", "validate"),
        "titin.compose": ("merge", "subset"),
        "titin.errors": ("TitinError",),
        "titin.exporter": ("export",),
        "titin.load": ("Loader",),
        "titin.load.tokens": ("tokens",),
    },
    (
        "ageing",
        "annotate",
        "atlas",
        "embed",
        "explore",
        "features",
        "learn",
        "load",
        "network",
        "plot",
        "presets",
        "publish",
        "report",
        "study",
    ),
)
