// List columns: one row, whose pages are found by the file's own page index, or all rows of a row group; decoded to typed arrays.

import { parquetHeader } from "hyparquet/src/column.js";
import { decompressPage, readDataPage } from "hyparquet/src/datapage.js";
import { readOffsetIndex } from "hyparquet/src/indexes.js";
import { parquetSchema } from "hyparquet/src/metadata.js";
import { getTreePath } from "hyparquet/src/schema.js";

import { DataError } from "./bytes.js";
import { compressors, guarded } from "./parquet.js";

/** @typedef {import("./parquet.js").Table} Table */
/** @typedef {import("./parquet.js").Group} Group */
/** @typedef {import("hyparquet").ColumnChunk} ColumnChunk */
/** @typedef {{at: number, end: number, first: number, rows: number}} Page bytes of the file, and rows of the row group */

/**
 * The entries of one row in some columns.
 * @param {Table} table
 * @param {string[]} columns
 * @param {number} row
 * @param {number} [together] bytes that the pages may span and still be asked for at once, with what lies between them
 * @returns {Promise<Float64Array[]>}
 */
export async function readRow(table, columns, row, together = 0) {
  const group = table.groups.find(({ start, end }) => row >= start && row < end);
  if (!group) throw new Error(`there is no row ${row}`);
  const { file, footer } = group.shard;
  return guarded(file, async () => {
    const chunks = chunksOf(group, columns);
    const pages = (await pagesOf(table, group, chunks)).map((own) => /** @type {Page} */ (own.findLast(({ first }) => first <= row - group.start)));
    const [begin, end] = [Math.min(...pages.map((page) => page.at)), Math.max(...pages.map((page) => page.end))];
    const near = end - begin <= together ? await file.slice(begin, end) : null;
    return Promise.all(chunks.map(async ({ meta_data }, i) => {
      const page = pages[i];
      return entriesOf(near?.slice(page.at - begin, page.end - begin) ?? await file.slice(page.at, page.end), decoderOf(footer, meta_data), row - group.start - page.first, page.rows);
    }));
  });
}

/**
 * The entries of all rows of a row group in some columns that lie side by side.
 * @param {Group} group
 * @param {string[]} columns
 * @returns {Promise<{starts: Uint32Array, entries: Float64Array}[]>} row i has the entries from starts[i] to starts[i + 1]
 */
export async function readLists(group, columns) {
  const { file, footer } = group.shard;
  return guarded(file, async () => {
    const chunks = chunksOf(group, columns);
    const places = chunks.map(placeOf);
    const [begin, end] = [Math.min(...places.map(([first]) => first)), Math.max(...places.map(([, last]) => last))];
    const bytes = await file.slice(begin, end);
    return chunks.map(({ meta_data }, i) => listsOf(bytes.slice(places[i][0] - begin, places[i][1] - begin), decoderOf(footer, meta_data), group.end - group.start));
  });
}

/** How many bytes of a table some columns have. @param {Table} table @param {string[]} columns */
export function bytesOf(table, columns) {
  return table.groups.reduce((sum, group) => sum + chunksOf(group, columns).reduce((own, { meta_data }) => own + Number(meta_data?.total_compressed_size), 0), 0);
}

/**
 * @param {Group} group
 * @param {string[]} columns
 * @returns {ColumnChunk[]}
 */
function chunksOf({ shard, index }, columns) {
  return columns.map((column) => {
    const found = shard.footer.row_groups[index].columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === column);
    if (!found?.meta_data) throw new DataError(`${shard.file.name} is damaged: it has no column ${column}`, "restore it, or build the dataset again");
    return found;
  });
}

/** First byte of a column of a row group, and that behind its last. @param {ColumnChunk} chunk @returns {[number, number]} */
function placeOf({ meta_data: chunk }) {
  const first = Number(chunk?.dictionary_page_offset ?? chunk?.data_page_offset);
  return [first, first + Number(chunk?.total_compressed_size)];
}

/** How the pages of a column are to be read. @param {import("hyparquet").FileMetaData} footer @param {ColumnChunk["meta_data"]} column @returns {any} */
function decoderOf(footer, column) {
  const schemaPath = getTreePath(parquetSchema(footer), column?.path_in_schema ?? []);
  return { ...column, schemaPath, element: schemaPath[schemaPath.length - 1].element };
}

/**
 * The pages of some columns of a row group, whose indexes lie side by side; read once.
 * @param {Table} table
 * @param {Group} group
 * @param {ColumnChunk[]} chunks
 * @returns {Promise<Page[][]>}
 */
function pagesOf(table, group, chunks) {
  const key = [group.start, ...chunks.map(({ meta_data }) => meta_data?.path_in_schema[0])].join("|");
  let found = table.pages.get(key);
  if (!found) {
    found = readPages(group, chunks);
    found.catch(() => table.pages.delete(key));
    table.pages.set(key, found);
  }
  return found;
}

/**
 * @param {Group} group
 * @param {ColumnChunk[]} chunks
 * @returns {Promise<Page[][]>}
 */
async function readPages({ shard, start, end }, chunks) {
  const places = chunks.map(({ offset_index_offset: at, offset_index_length: length }) => (at && length ? [Number(at), Number(at) + length] : null));
  const there = places.filter((place) => place !== null);
  const begin = Math.min(...there.map(([first]) => first));
  const bytes = there.length ? await shard.file.slice(begin, Math.max(...there.map(([, last]) => last))) : new ArrayBuffer(0);
  return chunks.map((chunk, i) => {
    const place = places[i];
    const [first, last] = placeOf(chunk);
    if (place === null) return [{ at: first, end: last, first: 0, rows: end - start }]; // another writer has made the file
    const index = readOffsetIndex({ view: new DataView(bytes, place[0] - begin, place[1] - place[0]), offset: 0 });
    const pages = index.page_locations.map(({ offset, compressed_page_size: size, first_row_index: row }) => ({
      at: Number(offset), end: Number(offset) + size, first: Number(row), rows: 0,
    }));
    pages.forEach((page, k) => { page.rows = (pages[k + 1]?.first ?? end - start) - page.first; });
    const leads = pages.length && pages[0].first === 0 && pages.every((page, k) =>
      page.rows > 0 && page.end > page.at && page.at === (k ? pages[k - 1].end : first)) && pages[pages.length - 1].end === last;
    if (!leads) throw new Error("its page index does not lead through the column");
    return pages;
  });
}

/**
 * @param {ArrayBuffer} bytes pages of a column
 * @param {any} decoder how they are to be read
 * @param {number} wanted row within them
 * @param {number} rows that they must have
 * @returns {Float64Array}
 */
function entriesOf(bytes, decoder, wanted, rows) {
  /** @type {Float64Array[]} */
  const parts = []; // several only where a row goes on in the next page, as other writers have it
  let row = -1;
  for (const { levels, repetitionLevels, dataPage } of pagesIn(bytes, decoder)) {
    let value = 0;
    let [from, until] = [row === wanted ? 0 : -1, -1];
    for (let i = 0; i < repetitionLevels.length; i++) {
      if (repetitionLevels[i] === 0) {
        if (row === wanted) until = value;
        row += 1;
        if (row === wanted) from = value;
      }
      if (levels.length === 0 || levels[i] === 1) value += 1; // an empty list has a place and no entry
    }
    if (from >= 0) parts.push(Float64Array.from(/** @type {Float64Array} */ (dataPage.slice(from, until < 0 ? value : until)), Number));
  }
  if (row + 1 !== rows) throw new Error(`${row + 1} rows where there should be ${rows}`);
  return parts.length === 1 ? parts[0] : Float64Array.from(parts.flatMap((part) => [...part]));
}

/**
 * @param {ArrayBuffer} bytes all pages of a column of a row group
 * @param {any} decoder how they are to be read
 * @param {number} rows that they must have
 */
function listsOf(bytes, decoder, rows) {
  const pages = [...pagesIn(bytes, decoder)];
  const starts = new Uint32Array(rows + 1);
  const entries = new Float64Array(pages.reduce((sum, { dataPage }) => sum + dataPage.length, 0));
  let [row, n] = [0, 0];
  for (const { levels, repetitionLevels, dataPage } of pages) {
    let value = 0;
    for (let i = 0; i < repetitionLevels.length; i++) {
      if (repetitionLevels[i] === 0) {
        if (row < rows) starts[row] = n;
        row += 1;
      }
      if (levels.length === 0 || levels[i] === 1) entries[n++] = Number(dataPage[value++]);
    }
  }
  if (row !== rows) throw new Error(`${row} rows where there should be ${rows}`);
  starts[rows] = n;
  return { starts, entries };
}

/**
 * @param {ArrayBuffer} bytes
 * @param {any} decoder
 */
function* pagesIn(bytes, decoder) {
  const reader = { view: new DataView(bytes), offset: 0 };
  while (reader.offset < bytes.byteLength) {
    const header = parquetHeader(reader);
    if (header.type !== "DATA_PAGE" || !header.data_page_header) throw new Error(`a page of type ${header.type}`);
    const page = decompressPage(new Uint8Array(bytes, reader.offset, header.compressed_page_size), header.uncompressed_page_size, decoder.codec, compressors);
    reader.offset += header.compressed_page_size;
    const { definitionLevels, repetitionLevels, dataPage } = readDataPage(page, header.data_page_header, decoder);
    yield { levels: /** @type {number[]} */ (definitionLevels ?? []), repetitionLevels, dataPage };
  }
}
