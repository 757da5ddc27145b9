"""Corruptions of the matrix, in the three files that hold it."""

import numpy as np
from corruptions import (
    edited,
    first_plus_one,
    in_manifest,
    in_panel,
    level_off,
    lying_page_index,
    move_n_cells,
    put,
    put_in_list,
    swap_columns,
    swap_two,
)
from mutations import Mutation, set_in_list, set_values, swap_rows

MATRIX = [
    Mutation(
        "a changed count",
        "matrix.transpose",
        r"gene \w.*1 genes differ .* cell CELL\d+-1 \(row 10\)",
        put_in_list("expression", "counts", 10, lambda c: [*c[:-1], c[-1] + 1]),
    ),
    Mutation(
        "a count changed in by_gene only",
        "matrix.transpose",
        r"by_gene\.parquet, gene \S+ \(row 5\): 1 genes differ",
        put_in_list("expression_by_gene", "counts", 5, first_plus_one),
    ),
    Mutation(
        "two cells of a gene swapped, counts kept",
        "matrix.by_gene",
        r"by_gene\.parquet, row 6: 1 genes have cells that",
        put_in_list("expression_by_gene", "cells", 6, swap_two),
    ),
    Mutation(
        "a cell of a gene that does not exist",
        "matrix.by_gene",
        r"row 7: 1 genes name a cell that does not exist",
        put_in_list("expression_by_gene", "cells", 7, lambda c: [*c[:-1], 240]),
    ),
    Mutation(
        "a zero in by_gene",
        "matrix.by_gene",
        r"by_gene\.parquet, row 8: 1 genes have a stored 0",
        put_in_list("expression_by_gene", "counts", 8, lambda c: [0, *c[1:]]),
    ),
    Mutation(
        "wrong n_cells in by_gene",
        "matrix.by_gene",
        r"by_gene\.parquet, column n_cells, row 9: 1 genes list another",
        put("expression_by_gene", "n_cells", 9, 3),
    ),
    Mutation(
        "a column that is said to hold the totals of the cells",
        "matrix.levels",
        r"titin\.json: recovery\.target_column is 'score', which is not the total of \d+ cells",
        in_manifest(lambda m: m["recovery"].update(target_column="score", target_sum=1e4)),
    ),
    Mutation(
        "a page index that lies",
        "matrix.pages",
        r"by_gene\.parquet is damaged: its page index does not lead through the column",
        lying_page_index,
    ),
    Mutation(
        "two genes of by_gene swapped",
        "matrix.transpose",
        r"by_gene\.parquet, gene \S+ \(row 1\): 2 genes differ",
        edited("expression_by_gene", lambda t: swap_rows(t, 1, 2)),
    ),
    Mutation(
        "counts of two cells swapped",
        "matrix.transpose",
        r"expression_by_gene.*: \d+ genes differ from",
        edited("expression", lambda t: swap_columns(t, ("genes", "counts", "levels", "scale"), 20, 21)),
    ),
    Mutation(
        "a token out of order",
        "matrix.tokens",
        r"expression\.parquet, row 12: 1 cells name their genes in no ascending",
        put_in_list("expression", "genes", 12, swap_two),
    ),
    Mutation(
        "a token that does not exist",
        "matrix.tokens",
        r"row 13: 1 cells name genes that do not exist; .*token 60 of 60",
        put_in_list("expression", "genes", 13, lambda g: [*g[:-1], 60]),
    ),
    Mutation(
        "more genes than counts",
        "matrix.tokens",
        r"row 14: 1 cells have lists of different lengths",
        put_in_list("expression", "counts", 14, lambda c: c[:-1]),
    ),
    Mutation(
        "a zero count",
        "matrix.values",
        r"expression\.parquet, row 15: 1 cells store zeros",
        put_in_list("expression", "counts", 15, lambda c: [0, *c[1:]]),
        "counts",
    ),
    Mutation(
        "a NaN among values",
        "matrix.values",
        r"expression\.parquet, row 16: 1 values are not finite.* nan",
        put_in_list("expression", "values", 16, lambda v: [float("nan"), *v[1:]]),
        "real",
    ),
    Mutation(
        "an infinity in by_gene",
        "matrix.by_gene",
        r"by_gene\.parquet, row 3: 1 values are not finite.* inf",
        put_in_list("expression_by_gene", "values", 3, lambda v: [float("inf"), *v[1:]]),
        "real",
    ),
    Mutation(
        "a value changed by one unit in the last place",
        "matrix.transpose",
        r"gene .*: 1 genes differ.*row 17",
        put_in_list("expression", "values", 17, level_off(1)),
        "real",
    ),
    Mutation(
        "a level off by some units too many",
        "matrix.levels",
        r"row 18: 1 cells have levels further than 4 units",
        put_in_list("expression", "levels", 18, level_off(7)),
    ),
    Mutation(
        "levels in no order",
        "matrix.levels",
        r"expression\.parquet, row 19: 1 cells have levels that do not ascend",
        put_in_list("expression", "levels", 19, swap_two),
    ),
    Mutation(
        "a level too few",
        "matrix.levels",
        r"row 22: 1 cells have another number of levels than of distinct counts",
        put_in_list("expression", "levels", 22, lambda v: v[:-1]),
    ),
    Mutation(
        "a level that is NaN",
        "matrix.levels",
        r"row 23: 1 cells have levels that are not finite",
        put_in_list("expression", "levels", 23, lambda v: [float("nan"), *v[1:]]),
    ),
    Mutation(
        "a changed scale",
        "matrix.levels",
        r"expression\.parquet, row 24: 1 cells have levels further than",
        edited("expression", lambda t: set_values(t, "scale", [24], [t.column("scale")[24].as_py() * 1.00001])),
    ),
    Mutation(
        "a level off in a later shard",
        "matrix.levels",
        r"expression-00001-of-\d+\.parquet, row 64: 1 cells",
        edited("expression", lambda t: set_in_list(t, "levels", 0, level_off(7)), 1),
        "sharded",
    ),
    Mutation(
        "a changed value in the panel",
        "matrix.panel",
        r"panel\.parquet, column \S+, row \d+: 1 values differ",
        in_panel(lambda v: float(np.nextafter(np.float32(v), np.float32(9)))),
    ),
    Mutation(
        "a value lost in the panel of counts",
        "matrix.panel",
        r"panel\.parquet, column \S+, row \d+: 1 values differ",
        in_panel(lambda _: 0.0),
        "counts",
    ),
    Mutation(
        "a NaN in the panel",
        "matrix.panel",
        r"panel-00000-of-\d+\.parquet, column \S+, row \d+: 1 values.* nan",
        in_panel(lambda _: float("nan")),
        "sharded",
    ),
    Mutation(
        "wrong n_cells in the feature metadata",
        "matrix.statistics",
        r"column n_cells, gene \S+ \(row 0\): 1 genes",
        move_n_cells,
    ),
    Mutation(
        "wrong n_counts in the feature metadata",
        "matrix.statistics",
        r"column n_counts, gene \S+ \(row 6\): 1 genes",
        put("feature_metadata", "n_counts", 6, 1),
    ),
    Mutation(
        "a wrong mean",
        "matrix.statistics",
        r"feature_metadata\.parquet, column mean, gene \S+ \(row 7\): 1 genes",
        edited("feature_metadata", lambda t: set_values(t, "mean", [7], [t.column("mean")[7].as_py() * 1.0001])),
    ),
    Mutation(
        "a variance that is NaN",
        "matrix.statistics",
        r"column variance, gene \S+ \(row 8\): 1 genes",
        put("feature_metadata", "variance", 8, float("nan")),
    ),
]


MUTATIONS: list[Mutation] = [*MATRIX]
