"""Whether the Hub's dataset viewer can show a dataset: the rules it has, and the proof that the library reads it.

E1 to E7 are what the viewer refuses, W1 to W8 what it does without; the library `datasets` is the proof.

The rules are checked by code of our own, from the card and the files' footers; the constants are those of the viewer's
production settings.
"""

from titin.check import viewer_rules  # noqa: I001 - the checks are registered in this order
from titin.check import viewer_features, viewer_load

__all__ = ["viewer_features", "viewer_load", "viewer_rules"]
