"""numba kernels that look at every stored value once, and at nothing twice.

The digests are sums of well-mixed 64-bit words, one for each stored value, so they do not depend on the order in which
the values come: the same triples (cell, gene, value) give the same sums read by cell or by gene. Two sums with
different mixing make 128 bits.
"""

from functools import partial

import numpy as np

from titin.dataset.kernels import sort
from titin.dataset.transforms import MAX_ULP, ulp_between
from titin.jit import kernel

_ROW, _COLUMN, _VALUE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)
_A, _B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_C, _D = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_FNV, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_S30, _S27, _S31, _S33 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(33)
_SMALL = 64  # counts below this are marked in a table, larger ones sorted

FINE, NOT_ASCENDING, NO_SUCH, BAD_VALUE = 0, 1, 2, 3
LEVEL_NUMBER, LEVEL_ORDER, LEVEL_VALUE, LEVEL_FAR = 1, 2, 3, 4


@partial(kernel, inline="always")
def _mix(word):
    word = (word ^ (word >> _S30)) * _A
    word = (word ^ (word >> _S27)) * _B
    return word ^ (word >> _S31)


@partial(kernel, inline="always")
def _mix_again(word):
    word = (word ^ (word >> _S33)) * _C
    word = (word ^ (word >> _S33)) * _D
    return word ^ (word >> _S33)


@kernel
def inspect_lists(indptr, minor, bits, n_minor, worst):
    """What is wrong with each list: numbers that do not ascend strictly or do not exist, stored zeros.

    ``bits`` are the counts, or the values as words; ``worst`` (uint8 a list) is filled. Returns how many are not fine.
    """
    n = 0
    for c in range(len(indptr) - 1):
        own, its = minor[indptr[c] : indptr[c + 1]], bits[indptr[c] : indptr[c + 1]]
        exist = True
        ascend = True
        stored = True
        for i in range(len(own)):
            exist &= own[i] < n_minor
        for i in range(len(its)):
            stored &= its[i] != 0
        following = own[1:]
        for i in range(len(following)):
            ascend &= following[i] > own[i]
        worst[c] = FINE if (exist and ascend and stored) else NO_SUCH if not exist else BAD_VALUE if ascend else 1
        n += worst[c] != FINE
    return n


@kernel
def digest_by_cell(indptr, tokens, bits, counts, values, first_cell, digests, sums, marked, cells):
    """Add one block of cells to the digest and the sums of each gene, and sum each cell.

    Parameters
    ----------
    bits
        The counts, or the values as words.
    counts, values
        float64 conversions happen here; ``counts`` may be the values themselves.
    digests, sums
        uint64 and float64, genes × 2 and genes × 4 (cells, counts, values, squared values), by token; added to.
    marked
        Which tokens go into the third sum of a cell.
    cells
        float64, cells × 3, filled: counts, values, counts of marked genes.
    """
    for c in range(len(indptr) - 1):
        a, b = indptr[c], indptr[c + 1]
        own, word, count, value = tokens[a:b], bits[a:b], counts[a:b], values[a:b]
        row = np.uint64(first_cell + c) * _ROW
        total = 0.0
        level = 0.0
        part = 0.0
        for i in range(len(own)):
            g = np.uint64(own[i])
            if g >= np.uint64(len(marked)):
                continue
            key = row + g * _COLUMN + np.uint64(word[i]) * _VALUE
            digests[g, 0] += _mix(key)
            digests[g, 1] += _mix_again(key)
            k = np.float64(count[i])
            v = np.float64(value[i])
            sums[g, 0] += 1.0
            sums[g, 1] += k
            sums[g, 2] += v
            sums[g, 3] += v * v
            total += k
            level += v
            if marked[g]:
                part += k
        cells[c, 0] = total
        cells[c, 1] = level
        cells[c, 2] = part


@kernel
def digest_by_gene(indptr, cells, bits, first_token, digests, sums):
    """Fill each gene's digest (as `digest_by_cell` makes it) and its sum of counts."""
    for g in range(len(indptr) - 1):
        own, word = cells[indptr[g] : indptr[g + 1]], bits[indptr[g] : indptr[g + 1]]
        column = np.uint64(first_token + g) * _COLUMN
        first = np.uint64(0)
        second = np.uint64(0)
        for i in range(len(own)):
            key = np.uint64(own[i]) * _ROW + column + np.uint64(word[i]) * _VALUE
            first += _mix(key)
            second += _mix_again(key)
        digests[g, 0] = first
        digests[g, 1] = second
        total = 0.0
        for i in range(len(word)):
            total += word[i]
        sums[g] = total


@kernel
def digest_rows(indptr, columns, bits, number, digests):
    """Fill each row's digest (uint64, rows × 2) over (column, value); ``number`` renumbers the columns.

    Words of 0 (stored zeros) are passed over, as are those of -0.0, which no dataset keeps.
    """
    minus_zero = np.uint64(1) << np.uint64(63)
    for c in range(len(indptr) - 1):
        own, word = columns[indptr[c] : indptr[c + 1]], bits[indptr[c] : indptr[c + 1]]
        first = np.uint64(0)
        second = np.uint64(0)
        for i in range(len(own)):
            g = np.uint64(own[i])
            if word[i] == 0 or word[i] == minus_zero or g >= np.uint64(len(number)):
                continue
            key = np.uint64(number[g]) * _COLUMN + word[i] * _VALUE
            first += _mix(key)
            second += _mix_again(key)
        digests[c, 0] = first
        digests[c, 1] = second


@kernel
def digest_common(indptr, tokens, bits, columns, rows, by_cell, by_gene):
    """Add a block of cells to the digests of its cells and of its genes, by numbers that two datasets share.

    Parameters
    ----------
    columns, rows
        int64, number of each token, and of each cell of the block; -1 for those that only one dataset has.
    by_cell, by_gene
        uint64, numbers × 2; added to.
    """
    for c in range(len(indptr) - 1):
        row = rows[c]
        if row < 0:
            continue
        own, word = tokens[indptr[c] : indptr[c + 1]], bits[indptr[c] : indptr[c + 1]]
        for i in range(len(own)):
            g = columns[own[i]]
            if g < 0:
                continue
            key = np.uint64(row) * _ROW + np.uint64(g) * _COLUMN + word[i] * _VALUE
            first, second = _mix(key), _mix_again(key)
            by_cell[row, 0] += first
            by_cell[row, 1] += second
            by_gene[g, 0] += first
            by_gene[g, 1] += second


@kernel
def inspect_levels(indptr, counts, level_indptr, levels, scale, log_unit, what, distance):
    """What is wrong with each cell's levels (uint8, filled), and the greatest distance of each cell (float64, in ulp).

    A cell has one level for each distinct count; they are positive, finite and strictly ascending, and each lies within
    `MAX_ULP` of what its count gives; ``log_unit`` says how, see `titin.dataset.transforms`.
    """
    n_bad = 0
    present = np.empty(_SMALL, np.bool_)
    for c in range(len(indptr) - 1):
        own, exact = counts[indptr[c] : indptr[c + 1]], levels[level_indptr[c] : level_indptr[c + 1]]
        present[:] = False
        n_large = 0
        for i in range(len(own)):
            if own[i] < _SMALL:
                present[np.uint64(own[i])] = True
            else:
                n_large += 1
        distinct = np.empty(_SMALL + n_large, np.float64)
        n = 0
        for k in range(_SMALL):
            if present[k]:
                distinct[n] = k
                n += 1
        if n_large:
            large = np.empty(n_large, np.float64)
            n_large = 0
            for i in range(len(own)):
                if own[i] >= _SMALL:
                    large[n_large] = own[i]
                    n_large += 1
            sort(large)
            for i in range(n_large):
                if i == 0 or large[i] != large[i - 1]:
                    distinct[n] = large[i]
                    n += 1
        what[c] = FINE
        distance[c] = fine = coarse = 0.0
        if len(exact) != n:
            what[c] = LEVEL_NUMBER
        else:
            for i in range(n):
                if not (exact[i] > 0.0 and exact[i] < np.inf):
                    what[c] = LEVEL_VALUE
                    break
                if i and exact[i] <= exact[i - 1]:
                    what[c] = LEVEL_ORDER
                    break
                if not scale[c] > 0.0:
                    distance[c] = np.inf
                    break
                level, divisor = np.float64(exact[i]), np.float64(scale[c])
                fine = max(fine, ulp_between(level, distinct[i], divisor, log_unit, False))
                coarse = max(coarse, ulp_between(level, distinct[i], divisor, log_unit, True))
                distance[c] = fine if fine <= MAX_ULP else coarse
            if what[c] == FINE and not (distance[c] <= MAX_ULP and scale[c] > 0.0):
                what[c] = LEVEL_FAR
        n_bad += what[c] != FINE
    return n_bad


@kernel
def gather_gene(indptr, tokens, bits, token, rows, words):
    """Collect the rows that name a token, with their words; returns how many."""
    n = 0
    for c in range(len(indptr) - 1):
        for i in range(indptr[c], indptr[c + 1]):
            if tokens[i] == token:
                rows[n] = c
                words[n] = bits[i]
                n += 1
                break  # a token that comes twice in a cell is told by another check
    return n


@kernel
def hash_texts(bounds, data, hashes):
    """Hash each text of Arrow's memory into 64 bits: FNV-1a, mixed.

    ``bounds`` are where texts begin and end in ``data`` (uint8); ``hashes`` (uint64 a text) is filled.
    """
    for i in range(len(bounds) - 1):
        word = _FNV
        for at in range(bounds[i], bounds[i + 1]):
            word = (word ^ np.uint64(data[at])) * _FNV_PRIME
        hashes[i] = _mix(word)


@kernel
def sum_by(codes, values, total):
    """Add a value of each cell to the sum (float64) of its group, one after another; a code below 0 is of none."""
    for i in range(len(codes)):
        if codes[i] >= 0:
            total[codes[i]] += values[i]


@kernel
def sum_by_two(rows, columns, values, total):
    """Add a value of each cell to a sum (float64, rows × columns); a number below 0 is of none."""
    for i in range(len(rows)):
        if rows[i] >= 0 and columns[i] >= 0:
            total[rows[i], columns[i]] += values[i]
