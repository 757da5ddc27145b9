"""numba kernels on row blocks: inspection, decoding, transposition, row copies and sums.

Loops run over slices from 0: an index that might be negative costs numba a test an element, and the vector
instructions.
"""

import numba as nb
import numpy as np

_SMALL = 64  # counts below this find their rank in a table, larger ones by bisection


@nb.njit(cache=True, nogil=True)
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


@nb.njit(cache=True, nogil=True)
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


@nb.njit(cache=True, nogil=True)
def drop_zeros(indptr, keep):
    """The row pointers that remain when only the values marked ``keep`` do."""
    kept = np.zeros_like(indptr)
    for c in range(len(indptr) - 1):
        kept[c + 1] = kept[c]
        for i in range(indptr[c], indptr[c + 1]):
            kept[c + 1] += keep[i]
    return kept


@nb.njit(cache=True, nogil=True)
def decode_levels(indptr, counts, level_indptr, levels, values):
    """Fill ``values`` with each count's level; -1, or the first cell whose levels do not match its counts."""
    rank = np.empty(_SMALL, np.int64)
    present = np.empty(_SMALL, np.bool_)
    for c in range(len(indptr) - 1):
        a, b = indptr[c], indptr[c + 1]
        own, its = counts[a:b], values[a:b]
        present[:] = False
        n_large = 0
        for i in range(len(own)):
            if own[i] < _SMALL:
                present[np.uint64(own[i])] = True
            else:
                n_large += 1
        n_small = 0
        for k in range(_SMALL):
            rank[k] = n_small
            n_small += present[k]
        large = np.empty(n_large, counts.dtype)
        if n_large:
            n_large = 0
            for i in range(len(own)):
                if own[i] >= _SMALL:
                    large[n_large] = own[i]
                    n_large += 1
        large.sort()
        n_distinct = 0
        for j in range(n_large):
            if j == 0 or large[j] != large[j - 1]:
                large[n_distinct] = large[j]
                n_distinct += 1
        first = level_indptr[c]
        if n_small + n_distinct != level_indptr[c + 1] - first:
            return c
        exact = levels[first : level_indptr[c + 1]]
        for i in range(len(own)):
            if own[i] < _SMALL:
                its[i] = exact[rank[np.uint64(own[i])]]
            else:
                its[i] = exact[n_small + np.searchsorted(large[:n_distinct], own[i])]
    return -1


@nb.njit(cache=True, nogil=True)
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


@nb.njit(cache=True, nogil=True)
def copy_runs(source, source_starts, lengths, target, target_starts):
    """Copy runs of bytes from anywhere to anywhere."""
    for r in range(len(lengths)):
        a, b, n = source_starts[r], target_starts[r], lengths[r]
        target[b : b + n] = source[a : a + n]  # a slice is copied four times as fast as byte by byte


@nb.njit(cache=True, nogil=True)
def sum_rows(indptr, data, sums):
    """Sum of each row of a compressed matrix."""
    for c in range(len(indptr) - 1):
        total = 0.0
        for i in range(indptr[c], indptr[c + 1]):
            total += data[i]
        sums[c] = total


@nb.njit(cache=True, nogil=True)
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


@nb.njit(cache=True, nogil=True)
def align_witness(indptr, genes, witness_indptr, witness_genes, witness, out):
    """Copy the witness of every cell that names the same genes in the same order; zeros for the others."""
    for c in range(len(indptr) - 1):
        a, b = indptr[c], witness_indptr[c]
        n = indptr[c + 1] - a
        same = n == witness_indptr[c + 1] - b
        for i in range(n):
            if not same:
                break
            same = genes[a + i] == witness_genes[b + i]
        for i in range(n):
            out[a + i] = witness[b + i] if same else 0.0


@nb.njit(cache=True, nogil=True)
def scatter_columns(indptr, tokens, values, column, out):
    """Fill ``out`` (cells × columns) with the values of the genes that have a column (``column[token] >= 0``)."""
    out[:] = 0
    for c in range(len(indptr) - 1):
        for i in range(indptr[c], indptr[c + 1]):
            j = column[tokens[i]]
            if j >= 0:
                out[c, j] = values[i]


@nb.njit(cache=True, nogil=True)
def append_runs(indptr, rows, counts, first_row, cursor, out_rows, out_counts):
    """Append each column of a CSC part, its rows numbered from ``first_row``, at the column's cursor."""
    for j in range(len(indptr) - 1):
        at, n = cursor[j], indptr[j + 1] - indptr[j]
        own, its = rows[indptr[j] : indptr[j + 1]], out_rows[at : at + n]
        for i in range(n):
            its[i] = first_row + own[i]
        out_counts[at : at + n] = counts[indptr[j] : indptr[j + 1]]
        cursor[j] = at + n


@nb.njit(cache=True, nogil=True)
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


@nb.njit(cache=True, nogil=True)
def add_gram(indptr, columns, values, part, n_parts, gram):
    """Add the upper triangle of AᵀA, of every ``n_parts``-th row of it; columns ascend in every row of A."""
    for r in range(len(indptr) - 1):
        own, its = columns[indptr[r] : indptr[r + 1]], values[indptr[r] : indptr[r + 1]]
        for i in range(len(own)):
            if own[i] % n_parts == part:
                row, value = gram[own[i]], np.float64(its[i])
                for j in range(i, len(own)):
                    row[np.uint64(own[j])] += value * its[j]
