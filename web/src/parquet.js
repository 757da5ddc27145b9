// Columns of a Parquet file, read row range by row range.

import { decompress } from "fzstd";
import { parquetMetadataAsync, parquetScan } from "hyparquet";

import { DataError } from "./bytes.js";

/** @typedef {import("hyparquet").FileMetaData} FileMetaData */
/** @typedef {import("hyparquet").DecodedArray} DecodedArray */
/** @typedef {import("./bytes.js").RangeFile} RangeFile */
/** @typedef {{start: number, end: number}} Rows */
/** @typedef {Rows & {shard: {file: RangeFile, footer: FileMetaData}, first: number, index: number}} Group */

const FOOTER = 32_768; // bytes at the end that hold most footers

export const compressors = {
  /** @param {Uint8Array} input @param {number} length */
  ZSTD: (input, length) => decompress(input, new Uint8Array(length)),
};

/** A table whose footers have been read: one file, or shards of one. */
export class Table {
  /** @param {{file: RangeFile, footer: FileMetaData}[]} shards */
  constructor(shards) {
    /** @type {Group[]} */
    this.groups = [];
    /** @type {Map<string, Promise<import("./lists.js").Page[][]>>} */
    this.pages = new Map(); // where they lie, of row groups that were asked for
    let start = 0;
    for (const shard of shards) {
      const first = start; // row of the table that is row 0 of the shard
      shard.footer.row_groups.forEach((group, index) => {
        const end = start + Number(group.num_rows);
        this.groups.push({ start, end, shard, first, index });
        start = end;
      });
    }
    this.rows = start;
  }

  /**
   * @param {RangeFile[]} files
   * @param {number} [footerBytes] how much of a file's end to ask for first
   */
  static async open(files, footerBytes = FOOTER) {
    return new Table(await Promise.all(files.map(async (file) => {
      const footer = await guarded(file, () => parquetMetadataAsync(file, { initialFetchSize: footerBytes }));
      return { file, footer };
    })));
  }

  /**
   * Some rows of a column.
   * @param {string} column
   * @param {number} start
   * @param {number} end
   * @returns {Promise<DecodedArray[]>} one array for each row group that they lie in
   */
  async read(column, start, end) {
    const touched = this.groups.filter((group) => group.start < end && group.end > start);
    return Promise.all(touched.map(({ shard, first, ...group }) => guarded(shard.file, async () => {
      const [rowStart, rowEnd] = [Math.max(start, group.start) - first, Math.min(end, group.end) - first];
      const scan = await parquetScan({
        file: shard.file, metadata: shard.footer, compressors, columns: [column], useOffsetIndex: false, rowStart, rowEnd,
      });
      return scan.readColumn({ column, rowStart, rowEnd });
    })));
  }
}

/**
 * Do something with a file; what a decoder stumbles over is a damaged file.
 * @template T
 * @param {RangeFile} file
 * @param {() => Promise<T>} work
 */
export async function guarded(file, work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DataError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new DataError(`${file.name} is damaged: ${reason}`, "restore it, or build the dataset again");
  }
}
