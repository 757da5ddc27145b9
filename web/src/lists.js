// One row of list columns: the pages that hold it, found by the file's own page index, decoded to typed arrays.

import { parquetHeader } from "hyparquet/src/column.js";
import { decompressPage, readDataPage } from "hyparquet/src/datapage.js";
import { readOffsetIndex } from "hyparquet/src/indexes.js";
import { parquetSchema } from "hyparquet/src/metadata.js";
import { getTreePath } from "hyparquet/src/schema.js";

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
    const chunks = columns.map((column) => {
      const found = footer.row_groups[group.index].columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === column);
      if (!found?.meta_data) throw new Error(`it has no column ${column}`);
      return found;
    });
    const pages = (await pagesOf(table, group, chunks)).map((own) => /** @type {Page} */ (own.findLast(({ first }) => first <= row - group.start)));
    const [begin, end] = [Math.min(...pages.map((page) => page.at)), Math.max(...pages.map((page) => page.end))];
    const near = end - begin <= together ? await file.slice(begin, end) : null;
    return Promise.all(chunks.map(async ({ meta_data }, i) => {
      const page = pages[i];
      const schemaPath = getTreePath(parquetSchema(footer), meta_data?.path_in_schema ?? []);
      const decoder = /** @type {any} */ ({ ...meta_data, schemaPath, element: schemaPath[schemaPath.length - 1].element });
      return entriesOf(near?.slice(page.at - begin, page.end - begin) ?? await file.slice(page.at, page.end), decoder, row - group.start - page.first, page.rows);
    }));
  });
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
  return chunks.map(({ meta_data: chunk }, i) => {
    const place = places[i];
    const first = Number(chunk?.dictionary_page_offset ?? chunk?.data_page_offset);
    const last = first + Number(chunk?.total_compressed_size);
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
  const reader = { view: new DataView(bytes), offset: 0 };
  /** @type {Float64Array[]} */
  const parts = []; // several only where a row goes on in the next page, as other writers have it
  let row = -1;
  while (reader.offset < bytes.byteLength) {
    const header = parquetHeader(reader);
    if (header.type !== "DATA_PAGE" || !header.data_page_header) throw new Error(`a page of type ${header.type}`);
    const page = decompressPage(new Uint8Array(bytes, reader.offset, header.compressed_page_size), header.uncompressed_page_size, decoder.codec, compressors);
    reader.offset += header.compressed_page_size;
    const { definitionLevels, repetitionLevels, dataPage } = readDataPage(page, header.data_page_header, decoder);
    const levels = /** @type {number[]} */ (definitionLevels ?? []);
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
