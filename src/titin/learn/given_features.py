"""Features that need no fitting: projections that a dataset came with, quality of cells, the design table itself."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.errors import TitinError
from titin.learn.features import Groups
from titin.learn.gather import QUALITY, Gathered, Moments, Positions, unit_means


@dataclass
class Projection:
    """A projection that the dataset came with. TRANSDUCTIVE: it was made with all donors, held-out ones included."""

    key: str = "X_scVI"
    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; none are needed."""
        if self.key not in atlas.obsm:
            raise TitinError(f"the dataset has no projection {self.key!r}", f"it has: {', '.join(atlas.obsm)}")
        return np.zeros(0, np.int64)

    def fit(self, data: Gathered, rows: Positions) -> "Projection":  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; nothing is fitted."""
        self.names = [f"{self.key}:{i + 1}" for i in range(_projected(data, self.key).shape[1])]
        return self

    def transform(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        """See `titin.learn.features.FeatureMaker`."""
        return _projected(data, self.key)[rows]


@dataclass
class Quality:
    """What is known of a cell without naming a gene: `QUALITY`, averaged over larger units."""

    names: list[str] = field(default_factory=lambda: list(QUALITY), repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; none are needed."""
        return np.zeros(0, np.int64)

    def fit(self, data: Gathered, rows: Positions) -> "Quality":  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; nothing is fitted."""
        return self

    def transform(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        """See `titin.learn.features.FeatureMaker`."""
        return data.quality[rows]


@dataclass
class Facts:
    """The design table itself, for models that know of a unit no more than its donor's sex or arm."""

    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; none are needed."""
        return np.zeros(0, np.int64)

    def fit(self, data: Gathered, rows: Positions) -> "Facts":  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; nothing is fitted."""
        self.names = [str(name) for name in data.units.obs.columns]
        return self

    def transform(self, data: Gathered, rows: Positions) -> pd.DataFrame:
        """See `titin.learn.features.FeatureMaker`."""
        return data.units.obs.iloc[rows]


def _projected(data: Gathered, key: str) -> NDArray[np.float32]:
    return unit_means(np.asarray(data.atlas.obsm[key], np.float32), data.units)
