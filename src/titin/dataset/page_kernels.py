"""numba kernels that decode Parquet pages. They check every bound: the bytes may be anything.

A length is compared with what is left (``length > len(data) - at``), never added first: the sum of two such numbers may
be negative.
"""

import numpy as np

from titin.jit import kernel

_MAX_BLOCK = np.uint64(2**20)  # values in a block of deltas; pyarrow writes 128
_MAX_WIDTH = np.uint64(32)
NO_CHECKSUM = -(2**40)


@kernel
def _varint(data, at):
    """An unsigned variable-length integer and the position behind it; the position is -1 if the bytes end."""
    value = np.uint64(0)
    shift = np.uint64(0)
    while at < len(data) and shift < 64:
        byte = np.uint64(data[at])
        at += 1
        value |= (byte & np.uint64(127)) << shift
        if byte < 128:
            return value, at
        shift += np.uint64(7)
    return np.uint64(0), -1


@kernel
def read_headers(data, at, headers):
    """Read headers of format 1 data pages, in Thrift's compact protocol, each behind the page before.

    Parameters
    ----------
    at
        Where the first begins.
    headers
        int64, n × 7, is filled: type of the page, its size uncompressed and compressed, checksum (``NO_CHECKSUM``
        without one), entries, encoding, and where the page begins.

    Returns
    -------
    int
        How many were read: up to the first that has other fields than these and the encodings of levels, or that ends
        early, which are for who reads any header.
    """
    outer, inner = np.empty(4, np.int64), np.empty(4, np.int64)
    n = 0
    while n < len(headers) and at < len(data):
        outer[:] = NO_CHECKSUM
        inner[:] = NO_CHECKSUM
        at, number = _read_integers(data, at, outer)
        if at < 0 or np.int64(data[at]) != (5 - number) << 4 | 12:  # the fifth field is a struct
            break
        at, number = _read_integers(data, at + 1, inner)
        if at < 0 or data[at] != 0 or at + 1 >= len(data) or data[at + 1] != 0:  # both structs end
            break
        at += 2
        if outer[0] != 0 or min(outer[:3].min(), inner[:2].min()) < 0 or outer[2] > len(data) - at:
            break
        headers[n, :4] = outer
        headers[n, 4:6] = inner[:2]
        headers[n, 6] = at
        at += outer[2]
        n += 1
    return n


@kernel
def _read_integers(data, at, integers):
    """Integer fields of a struct, by number from 1 on; where the first other field begins, and the last number."""
    number = 0
    while at < len(data):
        head = np.int64(data[at])
        if head & 15 != 5 or head < 16:
            return at, number
        number += head >> 4
        value, at = _varint(data, at + 1)
        if at < 0 or number > len(integers) or value > np.uint64(0xFFFFFFFF):
            return -1, number
        integers[number - 1] = np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))
    return -1, number


@kernel
def read_rows(page, n, lengths, row):
    """Add a page's entries to the lengths of its rows, as `add_lengths`, and find where its values begin.

    Returns
    -------
    row, at
        -1 as the first if the levels are damaged; -1 as the second if they run past the page.
    """
    repetition, at = _section(page, 0)
    if at < 0:
        return row, at
    definition, at = _section(page, at)
    if at < 0:
        return row, at
    return add_lengths(repetition, definition, n, lengths, row), at


@kernel
def _section(page, at):
    """The levels that a page has from a position on, with their length before them; and what is behind them."""
    if len(page) - at < 4:
        return page[:0], -1
    length = np.int64(_half_word(page, np.uint64(at)))
    at += 4
    if length > len(page) - at:
        return page[:0], -1
    return page[at : at + length], at + length


@kernel
def _half_word(data, k):
    """Four bytes from ``k`` on as a number."""
    return (
        np.uint64(data[k])
        | np.uint64(data[k + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[k + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[k + np.uint64(3)]) << np.uint64(24)
    )


@kernel
def _word(data, k):
    """Eight bytes from ``k`` on as a number."""
    return _half_word(data, k) | _half_word(data, k + np.uint64(4)) << np.uint64(32)


@kernel
def unpack_deltas(data, out):
    """Decode a DELTA_BINARY_PACKED page into the front of ``out``; the number of values, or -1 if it is damaged.

    Values are of 32 bits and wrap around, as Parquet has them; one that ``out`` has no room for is damage.
    """
    at = 0
    block, at = _varint(data, at)
    if at < 0:
        return -1
    n_mini, at = _varint(data, at)
    if at < 0:
        return -1
    total, at = _varint(data, at)
    if at < 0:
        return -1
    first, at = _varint(data, at)
    if at < 0 or n_mini == 0 or n_mini > block or block > _MAX_BLOCK or total > np.uint64(len(out)):
        return -1
    n_mini = np.int64(n_mini)
    per_mini = np.int64(block) // n_mini
    total = np.int64(total)
    if total == 0:
        return 0
    if per_mini % 32:
        return -1
    value = np.int64(first >> np.uint64(1)) ^ -np.int64(first & np.uint64(1))
    out[0] = value
    seen = np.uint32(value)  # every bit that some value has
    n = 1
    while n < total:
        step, at = _varint(data, at)
        if at < 0 or n_mini > len(data) - at:
            return -1
        step = np.int64(step >> np.uint64(1)) ^ -np.int64(step & np.uint64(1))
        widths = at
        at += n_mini
        for m in range(n_mini):
            if n >= total:
                break
            width = np.uint64(data[widths + m])
            if width > _MAX_WIDTH or per_mini * np.int64(width) // 8 > len(data) - at:
                return -1
            end = at + per_mini * np.int64(width) // 8
            stop = min(n + per_mini, total)
            mask = (np.uint64(1) << width) - np.uint64(1)
            k = np.uint64(at)  # unsigned: an index that might be negative costs a test a byte
            part = out[n:stop]
            if width <= 8 and len(part) == 32 and 3 * np.int64(width) + 8 <= len(data) - at:
                # eight values lie in as many bytes as they are bits wide: one word at a time holds them
                for group in range(4):
                    word = _word(data, k)
                    eight = part[8 * group : 8 * group + 8]
                    for i in range(8):
                        value += step + np.int64(word & mask)
                        word >>= width
                        eight[i] = value
                        seen |= np.uint32(value)
                    k += width
                n = stop
                at = end
                continue
            bits = np.uint64(0)
            left = np.uint64(0)
            for i in range(len(part)):
                if left < width:
                    # a miniblock is a multiple of four bytes long, so this stays within it
                    bits |= _half_word(data, k) << left
                    k += np.uint64(4)
                    left += np.uint64(32)
                value += step + np.int64(bits & mask)
                bits >>= width
                left -= width
                part[i] = value
                seen |= np.uint32(value)
            n = stop
            at = end
    return total if seen >> np.uint32(1) >> np.uint32(8 * out.itemsize - 1) == 0 else -1


@kernel
def decode_deltas(page, n, lengths, row, out):
    """`read_rows` of a page and `unpack_deltas` of its values; row, where the values begin, and their number."""
    row, at = read_rows(page, n, lengths, row)
    return row, at, unpack_deltas(page[at:], out) if at >= 0 and row >= 0 else 0


@kernel
def decode_two_bytes(page, n, lengths, row, out, width):
    """`read_rows` of a page and `join_two_bytes` of its values, each of ``width`` streams, the others of which are 0.

    Returns
    -------
    row, at, n
        As `read_rows`, and the number of values: -1 if they run past the page or ``out``, -2 if one is too large.
    """
    row, at = read_rows(page, n, lengths, row)
    if at < 0 or row < 0:
        return row, at, 0
    values = page[at:]
    n_values = len(values) // width
    if n_values * width != len(values) or n_values > len(out):
        return row, at, -1
    rest = values[2 * n_values :]
    others = np.uint8(0)
    for i in range(len(rest)):
        others |= rest[i]
    join_two_bytes(values, out[:n_values])
    return row, at, n_values if others == 0 else -2


@kernel
def join_bytes(data, n, out, size):
    """Join the first ``size`` byte streams of ``n`` bytes each into little-endian elements."""
    for b in range(size):
        stream = data[b * n : (b + 1) * n]
        for i in range(n):
            out[i * size + b] = stream[i]


@kernel
def join_two_bytes(data, out):
    """`join_bytes` for uint16, four times as fast."""
    n = len(out)
    low, high = data[:n], data[n : 2 * n]
    for i in range(n):
        out[i] = np.uint16(low[i]) | np.uint16(high[i]) << np.uint16(8)


@kernel
def _expand(data, n, out):
    """Expand levels of one bit (runs and packed groups); False if the bytes do not give ``n`` of them."""
    at = 0
    filled = 0
    while filled < n:
        head, at = _varint(data, at)
        if at < 0:
            return False
        length = np.int64(head >> np.uint64(1))
        if head & np.uint64(1):
            if length > len(data) - at:
                return False
            for k in range(length):
                for bit in range(min(8, n - filled)):
                    out[filled] = (data[at + k] >> bit) & 1
                    filled += 1
            at += length
        else:
            if at >= len(data) or length <= 0 or length > n - filled:
                return False
            out[filled : filled + length] = data[at] & 1
            at += 1
            filled += length
    return True


@kernel
def _all_set(data, n):
    """Whether levels of one bit are a single run of ``n`` ones, as they are where no list is empty."""
    head, at = _varint(data, 0)
    return at > 0 and at < len(data) and (head & np.uint64(1)) == 0 and np.int64(head >> 1) == n and data[at] == 1


@kernel
def add_lengths(repetition, definition, n, lengths, row):
    """Add a page's entries to the lengths of its rows, the first of which continues or follows row ``row - 1``.

    Returns the number of rows begun so far, or -1 if the levels are damaged.
    """
    if _all_set(definition, n):
        return _add_full(repetition, n, lengths, row)
    starts = np.empty(n, np.uint8)
    there = np.empty(n, np.uint8)
    if not _expand(repetition, n, starts) or not _expand(definition, n, there):
        return -1
    for i in range(n):
        row += starts[i] == 0
        if row == 0 or row > len(lengths):
            return -1
        lengths[row - 1] += there[i]
    return row


@kernel
def _add_full(repetition, n, lengths, row):
    """`add_lengths` where every entry is an element: run by run instead of entry by entry."""
    at = 0
    done = 0
    while done < n:
        head, at = _varint(repetition, at)
        if at < 0:
            return -1
        length = np.int64(head >> np.uint64(1))
        if head & np.uint64(1):
            if length > len(repetition) - at:
                return -1
            for k in range(length):
                for bit in range(min(8, n - done)):
                    row += ((repetition[at + k] >> bit) & 1) == 0
                    if row == 0 or row > len(lengths):
                        return -1
                    lengths[row - 1] += 1
                done += min(8, n - done)
            at += length
        else:
            if at >= len(repetition) or length <= 0 or length > n - done:
                return -1
            if repetition[at] & 1:
                if row == 0:
                    return -1
                lengths[row - 1] += length
            else:
                if length > len(lengths) - row:
                    return -1
                begun = lengths[row : row + length]
                for i in range(len(begun)):
                    begun[i] += 1
                row += length
            at += 1
            done += length
    return row
