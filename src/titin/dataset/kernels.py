"""numba kernels on row blocks: inspection, decoding, transposition, row copies and sums.

Loops run over slices from 0: an index that might be negative costs numba a test an element, and the vector
instructions. An array is copied into a slice by such a loop too: ``target[a:b] = source`` runs at a third of its speed,
and takes seconds to compile.
"""

import numpy as np

from titin.jit import kernel

SMALL = 63  # counts below this have their value in a table of the cell, larger ones are looked up by bisection


@kernel
def inspect_rows(indptr, genes, values, n_genes, allow_negative):
    """First problem of a block (see `codec._PROBLEMS`) with its cell and place, and what can be put right.

    Returns
    -------
    problem, cell, at, n_zeros, n_unsorted
    """
    seen = np.zeros(0, np.int64)
    n_zeros = 0
    n_unsorted = 0
    floor = -np.inf if allow_negative else 0.0
    for c in range(len(indptr) - 1):
        fine = True
        ascending = True
        own, its = genes[indptr[c] : indptr[c + 1]], values[indptr[c] : indptr[c + 1]]
        for i in range(len(own)):
            fine &= (own[i] >= 0) & (own[i] < n_genes)
        for i in range(len(its)):
            fine &= (its[i] >= floor) & (abs(its[i]) < np.inf)
            n_zeros += its[i] == 0.0
        following = own[1:]
        for i in range(len(following)):
            ascending &= following[i] > own[i]
        if not fine:
            problem, at = _first_problem(indptr[c], indptr[c + 1], genes, values, n_genes)
            return problem, c, at, 0, 0
        if not ascending:
            n_unsorted += 1
            if len(seen) == 0:
                seen = np.full(n_genes, -1, np.int64)
            for i in range(indptr[c], indptr[c + 1]):
                if seen[genes[i]] == c:
                    return 4, c, i, 0, 0
                seen[genes[i]] = c
    return 0, 0, 0, n_zeros, n_unsorted


@kernel
def _first_problem(first, last, genes, values, n_genes):
    for i in range(first, last):
        if genes[i] < 0 or genes[i] >= n_genes:
            return 5, i
        if np.isnan(values[i]):
            return 1, i
        if np.isinf(values[i]):
            return 2, i
        if values[i] < 0.0:
            return 3, i
    return 0, first


@kernel
def first_disorder(indptr, elements, above, below):
    """First row whose elements do not ascend strictly between ``above`` and ``below``, NaN included; -1 if none."""
    for r in range(len(indptr) - 1):
        own = elements[indptr[r] : indptr[r + 1]]
        if len(own) == 0:
            continue
        following = own[1:]
        ascending = own[0] > above
        for i in range(len(following)):
            ascending &= following[i] > own[i]
        if not (ascending and own[len(own) - 1] < below):
            return r
    return -1


@kernel
def all_stored(elements):
    """Whether every element is finite and not 0."""
    fine = True
    for i in range(len(elements)):
        fine &= (elements[i] != 0) & (abs(elements[i]) < np.inf)
    return fine


@kernel
def drop_zeros(indptr, keep):
    """The row pointers that remain when only the values marked ``keep`` do."""
    kept = np.zeros_like(indptr)
    for c in range(len(indptr) - 1):
        kept[c + 1] = kept[c]
        for i in range(indptr[c], indptr[c + 1]):
            kept[c + 1] += keep[i]
    return kept


@kernel
def sort(values):
    """Sort in place, by Shell's method: for the few large counts of a cell, and compiled in a tenth of numba's time."""
    gap = 1
    while gap < len(values):
        gap = 3 * gap + 1
    while gap > 1:
        gap //= 3
        for i in range(gap, len(values)):
            value, at = values[i], i
            while at >= gap and values[at - gap] > value:
                values[at] = values[at - gap]
                at -= gap
            values[at] = value


@kernel
def survey_counts(own, seen, places):
    """Mark which small counts a cell has, and list the places of its larger counts; returns their number."""
    seen[:] = False
    n_large = 0
    for i in range(len(own)):
        n_large += own[i] >= SMALL
    for i in range(len(own)):
        seen[np.uint64(min(own[i], SMALL))] = True
    n = 0
    for i in range(len(own)):
        # the first tokens are the most detected genes, which have the large counts
        if n == n_large:
            break
        if own[i] >= SMALL:
            places[n] = i
            n += 1
    return n_large


@kernel
def fill_levels(seen, n_large, places, own, levels, table, large):
    """Table of the small counts' levels; the larger counts' distinct ones go to ``large``. -1 if they do not fit."""
    rank = 0
    for count in range(SMALL):
        if seen[count]:
            if rank >= len(levels):
                return -1
            table[count] = levels[rank]
            rank += 1
    if n_large == 0:
        return 0 if rank == len(levels) else -1
    for j in range(n_large):
        large[j] = own[min(places[j], len(own) - 1)]
    sort(large[:n_large])
    n = 1
    for j in range(1, n_large):
        if large[j] != large[n - 1]:
            large[n] = large[j]
            n += 1
    return n if rank + n == len(levels) else -1


@kernel
def decode_levels(indptr, counts, level_indptr, levels, values):
    """Fill ``values`` with each count's level; -1, or the first cell whose levels do not match its counts."""
    longest = 0
    for c in range(len(indptr) - 1):
        longest = max(longest, indptr[c + 1] - indptr[c])
    table = np.zeros(SMALL + 1, levels.dtype)
    seen = np.empty(SMALL + 1, np.bool_)
    places = np.zeros(longest, np.int64)
    large = np.empty(longest, counts.dtype)
    for c in range(len(indptr) - 1):
        own, its = counts[indptr[c] : indptr[c + 1]], values[indptr[c] : indptr[c + 1]]
        exact = levels[level_indptr[c] : level_indptr[c + 1]]
        n_large = survey_counts(own, seen, places)
        n_distinct = fill_levels(seen, n_large, places, own, exact, table, large)
        if n_distinct < 0:
            return c
        for i in range(len(own)):
            its[i] = table[np.uint64(min(own[i], SMALL))]
        for j in range(n_large):
            rank = np.searchsorted(large[:n_distinct], own[places[j]])
            its[places[j]] = exact[len(exact) - n_distinct + rank]
    return -1


@kernel
def transpose(indptr, minor, data, number, out_minor, out_data, out_indptr):
    """Transpose a compressed matrix; ``number`` renumbers its minor axis on the way.

    Entries keep the order of the major axis within each column, so transposing twice sorts every row.
    """
    out_indptr[:] = 0
    for i in range(len(minor)):
        out_indptr[number[np.uint64(minor[i])] + 1] += 1
    for j in range(len(out_indptr) - 1):
        out_indptr[j + 1] += out_indptr[j]
    cursor = out_indptr[:-1].copy()
    for c in range(len(indptr) - 1):
        own, its = minor[indptr[c] : indptr[c + 1]], data[indptr[c] : indptr[c + 1]]
        for i in range(len(own)):
            j = np.uint64(number[np.uint64(own[i])])
            at = np.uint64(cursor[j])
            cursor[j] += 1
            out_minor[at] = c
            out_data[at] = its[i]


@kernel
def copy_runs(source, source_starts, lengths, target, target_starts):
    """Copy runs of bytes from anywhere to anywhere."""
    for r in range(len(lengths)):
        a, b, n = source_starts[r], target_starts[r], lengths[r]
        own, its = source[a : a + n], target[b : b + n]
        for i in range(len(own)):
            its[i] = own[i]


@kernel
def sum_rows(indptr, data, sums):
    """Sum of each row of a compressed matrix."""
    for c in range(len(indptr) - 1):
        total = 0.0
        for i in range(indptr[c], indptr[c + 1]):
            total += data[i]
        sums[c] = total


@kernel
def accumulate(indptr, genes, values, counts, factor, totals):
    """Add one block to each gene's row of ``totals`` (float64), cell by cell in order.

    Columns: cells, counts, values, squared values, linear values (count × the cell's factor), squared linear values.
    """
    for c in range(len(indptr) - 1):
        own = genes[indptr[c] : indptr[c + 1]]
        count, value = counts[indptr[c] : indptr[c + 1]], values[indptr[c] : indptr[c + 1]]
        for i in range(len(own)):
            g = np.uint64(own[i])
            linear = count[i] * factor[c]
            totals[g, 0] += 1.0
            totals[g, 1] += count[i]
            totals[g, 2] += value[i]
            totals[g, 3] += value[i] * value[i]
            totals[g, 4] += linear
            totals[g, 5] += linear * linear


@kernel
def align_witness(indptr, genes, witness_indptr, witness_genes, witness, out):
    """Copy the witness of every cell that has all genes of the cell, in the same order; zeros for the others.

    It may have more of them: where genes were filtered, their values are zeros in the matrix and counts beside it.
    Return how many more.
    """
    beyond = 0
    for c in range(len(indptr) - 1):
        at, end, more = witness_indptr[c], witness_indptr[c + 1], 0
        for i in range(at, end):
            more += witness[i] != 0
        for i in range(indptr[c], indptr[c + 1]):
            while at < end and witness_genes[at] != genes[i]:
                at += 1
            if at == end:
                out[indptr[c] : indptr[c + 1]] = 0.0
                more = 0
                break
            out[i] = witness[at]
            more -= witness[at] != 0
            at += 1
        beyond += more
    return beyond


@kernel
def scatter_columns(indptr, tokens, values, column, out):
    """Fill ``out`` (cells × columns) with the values of the genes that have a column (``column[token] >= 0``)."""
    out[:] = 0
    for c in range(len(indptr) - 1):
        for i in range(indptr[c], indptr[c + 1]):
            j = column[tokens[i]]
            if j >= 0:
                out[c, j] = values[i]


@kernel
def scatter_rows(indptr, genes, values, column, rows, out):
    """Put the values of the genes that have a column into the rows of ``out`` that the cells have, if they have one."""
    for c in range(len(indptr) - 1):
        r = rows[c]
        if 0 <= r < len(out):
            for i in range(indptr[c], indptr[c + 1]):
                j = column[genes[i]]
                if j >= 0:
                    out[r, j] = values[i]


@kernel
def append_parts(lengths, rows, counts, first_row, step, cursor, out_rows, out_counts):
    """Append parts of a CSC matrix, each of ``step`` rows more, at each column's cursor; return the row that follows.

    ``lengths`` has the values of each column of the first part, then of the second, …; so are rows and counts ordered.
    """
    n_columns, start = len(cursor), 0
    for part in range(len(lengths) // n_columns):
        for j in range(n_columns):
            n = np.int64(lengths[part * n_columns + j])
            at = cursor[j]
            own, its = rows[start : start + n], out_rows[at : at + n]
            for i in range(n):
                its[i] = first_row + own[i]
            count, its_count = counts[start : start + n], out_counts[at : at + n]
            for i in range(n):
                its_count[i] = count[i]
            cursor[j] = at + n
            start += n
        first_row += step
    return first_row


@kernel
def add_moments(indptr, columns, values, group, sums, squares, stored):
    """Add the values of each cell, their squares and their number to the row of its group (none: -1)."""
    for c in range(len(indptr) - 1):
        g = group[c]
        if g < 0:
            continue
        own, its = columns[indptr[c] : indptr[c + 1]], values[indptr[c] : indptr[c + 1]]
        to_sums, to_squares, to_stored = sums[g], squares[g], stored[g]
        for i in range(len(own)):
            column, value = np.uint64(own[i]), np.float64(its[i])
            to_sums[column] += value
            to_squares[column] += value * value
            to_stored[column] += 1


@kernel
def add_gram(indptr, columns, values, part, n_parts, gram):
    """Add the upper triangle of AᵀA, of every ``n_parts``-th row of it; columns ascend in every row of A."""
    for r in range(len(indptr) - 1):
        own, its = columns[indptr[r] : indptr[r + 1]], values[indptr[r] : indptr[r + 1]]
        for i in range(len(own)):
            if own[i] % n_parts == part:
                row, value = gram[own[i]], np.float64(its[i])
                for j in range(i, len(own)):
                    row[np.uint64(own[j])] += value * its[j]
