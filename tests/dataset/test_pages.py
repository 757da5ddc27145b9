"""List columns read straight from Parquet pages are what pyarrow reads."""

import io
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titin.dataset import layout
from titin.dataset import pages as page_reader
from titin.dataset.arrow import ParquetFile, list_arrays, list_column
from titin.dataset.page_kernels import unpack_deltas
from titin.dataset.pages import DamagedPageError, UnsupportedPageError, count_page_rows, decode_lists, find_chunk


def write(folder, name, indptr, elements):
    schema = pa.schema([layout.required(name, layout.list_of(pa.from_numpy_dtype(elements.dtype)))])
    file = ParquetFile(folder, "lists.parquet", schema)
    file.write(pa.Table.from_arrays([list_column(indptr, elements)], schema=schema))
    return folder / file.close()[0]


def read(path, name, dtype, change=None):
    data = bytearray(path.read_bytes())
    chunk = find_chunk(pq.read_metadata(path), 0, name, np.dtype(dtype))
    for at, value in (change or {}).items():
        data[chunk.offset + at % chunk.length] ^= value
    return chunk, bytes(data[chunk.offset : chunk.offset + chunk.length])


def ragged(lengths, dtype, seed, name):
    rng = np.random.default_rng(seed)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = int(indptr[-1])
    if np.dtype(dtype).kind == "f":
        return indptr, rng.standard_normal(n).astype(dtype)
    high = np.iinfo(dtype).max
    elements = rng.integers(0, rng.choice([1, 2, 300, high]), n, dtype=dtype, endpoint=True)
    if name == layout.GENES:
        for a, b in pairwise(indptr):
            elements[a:b].sort()
    return indptr, elements


COLUMNS = [
    (layout.GENES, "u2"), (layout.GENES, "u4"), (layout.COUNTS, "u2"), (layout.COUNTS, "u4"), (layout.CELLS, "u4"),
    (layout.LEVELS, "f4"), (layout.LEVELS, "f8"), (layout.VALUES, "f4"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "dtype"), COLUMNS)
@settings(max_examples=40)
@given(
    lengths=st.lists(st.sampled_from([0, 0, 1, 2, 7, 8, 9, 64, 200]), min_size=1, max_size=40), seed=st.integers(0, 99)
)
def test_any_lists_come_back(tmp_path_factory, name, dtype, lengths, seed):
    indptr, elements = ragged(lengths, dtype, seed, name)
    path = write(tmp_path_factory.mktemp("lists"), name, indptr, elements)
    chunk, pages = read(path, name, dtype)
    got_indptr, got = decode_lists(pages, chunk)
    np.testing.assert_array_equal(got_indptr, indptr)
    assert got.tobytes() == elements.tobytes()
    assert got.dtype == elements.dtype


@pytest.mark.parametrize(("name", "dtype"), COLUMNS)
def test_many_pages_come_back_as_pyarrow_reads_them(tmp_path, name, dtype):
    lengths = np.random.default_rng(0).integers(0, 3000, 600)
    indptr, elements = ragged(lengths, dtype, 3, name)
    path = write(tmp_path, name, indptr, elements)
    chunk, pages = read(path, name, dtype)
    theirs_indptr, theirs = list_arrays(pq.read_table(path).column(name))
    ours_indptr, ours = decode_lists(pages, chunk)
    np.testing.assert_array_equal(ours_indptr, theirs_indptr)
    assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize(("name", "dtype"), [(layout.GENES, "u2"), (layout.COUNTS, "u2"), (layout.LEVELS, "f4")])
def test_damaged_bytes_are_refused_or_read_but_never_crash(tmp_path, name, dtype):
    indptr, elements = ragged(np.full(60, 50), dtype, 1, name)
    path = write(tmp_path, name, indptr, elements)
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(400):
        chunk, pages = read(
            path, name, dtype, {int(rng.integers(1 << 20)): int(rng.integers(1, 256)) for _ in range(3)}
        )
        try:
            got_indptr, got = decode_lists(pages, chunk)
        except (DamagedPageError, UnsupportedPageError):
            refused += 1
        else:
            assert len(got_indptr) == len(indptr)
            assert got_indptr[-1] == len(got)
    assert refused > 390  # a byte of a header may say nothing that matters; every other is under a checksum


def told(data, chunk):
    """Lists and pages, or what is wrong with them."""
    try:
        indptr, elements = decode_lists(data, chunk)
        rows, places = count_page_rows(data, chunk)
    except (DamagedPageError, UnsupportedPageError) as error:
        return type(error), str(error)
    return indptr.tolist(), elements.tobytes(), rows.tolist(), places.tolist()


def test_headers_read_many_at_a_time_say_what_each_says_by_itself(tmp_path, monkeypatch):
    lengths = np.random.default_rng(0).integers(0, 3000, 300)
    path = write(tmp_path, layout.COUNTS, *ragged(lengths, "u2", 3, layout.COUNTS))
    chunk, data = read(path, layout.COUNTS, "u2")
    places = count_page_rows(data, chunk)[1] - chunk.offset
    assert len(places) > 4
    changes = [{}] + [
        {at + k: bits} for at in places[:-1].tolist() for k in range(24) for bits in (1, 2, 16, 64, 128, 255)
    ]
    fast = [told(read(path, layout.COUNTS, "u2", change)[1], chunk) for change in changes]
    cut = [told(data[:n], page_reader.replace(chunk, length=n)) for n in range(0, places[1] + 24, 7)]
    monkeypatch.setattr(page_reader, "read_headers", lambda *_: 0)
    assert fast == [told(read(path, layout.COUNTS, "u2", change)[1], chunk) for change in changes]
    assert cut == [told(data[:n], page_reader.replace(chunk, length=n)) for n in range(0, places[1] + 24, 7)]
    assert len({one[1] for one in fast if len(one) == 2}) > 5


@pytest.mark.parametrize("n", [33, 64, 65, 97, 161, 1000])
@pytest.mark.parametrize("bits", [*range(18), 24, 31, 32])
def test_differences_of_every_width_come_back(tmp_path, bits, n):
    steps = np.random.default_rng(bits).integers(0, 1 << bits, n, dtype="u8") if bits else np.zeros(n, "u8")
    elements = np.cumsum(steps).astype("u4")  # wraps around, as Parquet's do
    path = write(tmp_path, layout.GENES, np.array([0, n]), elements)
    chunk, pages = read(path, layout.GENES, "u4")
    assert decode_lists(pages, chunk).elements.tobytes() == elements.tobytes()


@pytest.mark.parametrize("bits", [1, 3, 5, 8, 9, 13])
def test_what_lies_behind_a_page_decides_nothing(bits):
    """Of values that are cut short too: no kernel reads what it was not given."""
    steps = np.random.default_rng(bits).integers(0, 1 << bits, 96, dtype="u8")
    elements = np.cumsum(steps).astype("u4")
    buffer = io.BytesIO()
    pq.write_table(
        pa.table({"x": pa.array(elements.astype("i4"))}), buffer, use_dictionary=False, compression="none",
        column_encoding="DELTA_BINARY_PACKED", write_statistics=False,
    )  # fmt: skip
    whole = np.frombuffer(buffer.getvalue(), np.uint8)
    size = pq.ParquetFile(buffer).metadata.row_group(0).column(0).total_compressed_size
    header = np.array([128, 1, 4, 96], np.uint8)  # values a block, as a variable-length integer, miniblocks, values
    start = next(at for at in range(4 + size) if (whole[at : at + 4] == header).all())
    for end in range(start, 4 + size + 1):
        said = []
        for filler in (0, 255):
            memory = np.full(end - start + 64, filler, np.uint8)
            memory[: end - start] = whole[start:end]
            out = np.zeros(96, "u4")
            n = int(unpack_deltas(memory[: end - start], out))
            said.append((n, out.tobytes() if n >= 0 else b""))
        assert said[0] == said[1]
    assert said[0] == (96, elements.tobytes())


def test_a_file_that_ends_early_is_refused(tmp_path):
    path = write(tmp_path, layout.GENES, np.array([0, 3]), np.array([1, 2, 3], "u2"))
    chunk, pages = read(path, layout.GENES, "u2")
    with pytest.raises(DamagedPageError, match="ends early"):
        decode_lists(pages[:-1], chunk)


@pytest.mark.parametrize("options", [{"compression": "snappy"}, {"use_dictionary": True}, {"data_page_version": "2.0"}])
def test_what_the_format_does_not_write_is_left_to_pyarrow(tmp_path, options):
    table = pa.table({"genes": pa.array([[1, 2], [3]], layout.list_of(pa.uint16()))})
    path = tmp_path / "other.parquet"
    pq.write_table(table, path, **{"compression": "zstd", "use_dictionary": False, **options})
    data = path.read_bytes()

    def decode():
        chunk = find_chunk(pq.read_metadata(path), 0, "genes", np.dtype("u2"))
        return decode_lists(data[chunk.offset : chunk.offset + chunk.length], chunk)

    with pytest.raises(UnsupportedPageError):
        decode()
