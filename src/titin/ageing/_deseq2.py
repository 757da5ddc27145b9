"""The same comparison by pydeseq2, for those who want DESeq2's model."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError

if TYPE_CHECKING:
    from titin.ageing.comparison import Arm
    from titin.ageing.differential_expression import GeneStatistics


def fit_deseq2(counts: NDArray[np.int64], arm: "Arm") -> "GeneStatistics":
    """Fit DESeq2's model by `pydeseq2` and test the contrast (Wald), Cook's filter off, nothing shrunk.

    Parameters
    ----------
    counts
        Units × genes.
    arm
        Its design is taken as it is.

    Raises
    ------
    TitinError
        If pydeseq2 is not installed.
    """
    import contextlib
    import io
    import warnings

    from titin.ageing.differential_expression import GeneStatistics

    try:
        from pydeseq2.dds import DeseqDataSet
        from pydeseq2.ds import DeseqStats
    except ImportError:
        raise TitinError("the method deseq2 needs pydeseq2", 'pip install "titin[deseq2]"') from None
    names = [f"unit{i}" for i in range(len(counts))]
    design = pd.DataFrame(arm.design.matrix, names, arm.design.columns)
    table = pd.DataFrame(counts, names, [f"gene{i}" for i in range(counts.shape[1])])
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of the libraries that it uses
        data = DeseqDataSet(
            counts=table, metadata=arm.units.set_axis(names), design=design, quiet=True, refit_cooks=False
        )
        data.deseq2()
        result = DeseqStats(
            data, contrast=arm.design.contrast, cooks_filter=False, independent_filter=False, quiet=True
        )
        result.summary()
    found = result.results_df
    effect, error = found["log2FoldChange"].to_numpy(float), found["lfcSE"].to_numpy(float)
    half = 1.959963984540054 * error
    z, df = found["stat"].to_numpy(float), np.full(len(found), np.inf)
    return GeneStatistics(effect, effect - half, effect + half, error, z, df, found["pvalue"].to_numpy(float), {})
