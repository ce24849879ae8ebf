import { parse } from "csv-parse/browser/esm/sync";

/** One record of a CSV text; `line` is the line it starts on, counted from 1. */
export interface CsvRecord {
  line: number;
  cells: string[];
}

/** A record whose quotes are broken; `line` is the line it starts on, counted from 1. */
export interface BrokenRecord {
  line: number;
  detail: string;
}

/** Longest record that is read, in bytes; it also bounds how far an unclosed quote is searched for its end. */
export const recordBytesMax = 262_144;
/** After this many broken records the quotes of a text are beyond repair. */
export const brokenRecordsMax = 100;

const newline = 10;

const details: Record<string, string> = {
  CSV_QUOTE_NOT_CLOSED: "A quote is opened and never closed.",
  CSV_INVALID_CLOSING_QUOTE:
    "Text follows a closing quote; a quote inside a quoted cell must be written twice.",
  INVALID_OPENING_QUOTE:
    "A quote stands inside a cell that is not quoted; quote the cell and write the quote twice.",
  CSV_MAX_RECORD_SIZE: `The row is longer than ${recordBytesMax} bytes, or a quote is never closed.`,
};

/** Byte offset of the start of each line. */
function lineStarts(bytes: Uint8Array): number[] {
  const starts = [0];
  for (let at = bytes.indexOf(newline); at !== -1; at = bytes.indexOf(newline, at + 1)) starts.push(at + 1);
  return starts;
}

/**
 * Reads comma-separated records (RFC 4180; LF, CRLF or CR line ends, a BOM, empty lines and
 * records of unequal length are accepted). A record with broken quotes is reported and reading resumes on the line after its first, so that one
 * bad quote cannot swallow the rest. A sentence instead, when more than `brokenRecordsMax` are broken or there are more
 * than `recordsMax`.
 */
export function readRecords(
  text: string,
  recordsMax: number,
): { records: CsvRecord[]; broken: BrokenRecord[] } | string {
  // The library counts CRLF inside quotes as two lines, hence one kind of line end.
  const bytes = new TextEncoder().encode(text.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n"));
  const starts = lineStarts(bytes);
  const records: CsvRecord[] = [];
  const broken: BrokenRecord[] = [];
  const skipEmpty = (index: number) => {
    let next = index;
    while (next < starts.length && bytes[starts[next]!] === newline) next += 1;
    return next;
  };
  let next = 0;
  while (next < starts.length) {
    const base = next;
    try {
      parse(bytes.subarray(starts[base]!), {
        max_record_size: recordBytesMax,
        relax_column_count: true,
        skip_empty_lines: true,
        to: recordsMax + 1 - records.length,
        on_record: (cells: string[], info) => {
          records.push({ line: skipEmpty(next) + 1, cells });
          next = base + info.lines;
          return null;
        },
      });
      break;
    } catch (error) {
      const detail = details[(error as { code?: string }).code ?? ""];
      if (detail === undefined) throw error;
      const start = skipEmpty(next);
      broken.push({ line: start + 1, detail });
      next = start + 1;
    }
    if (broken.length > brokenRecordsMax)
      return `The quotes of more than ${brokenRecordsMax} rows are unbalanced.`;
  }
  if (records.length + broken.length > recordsMax)
    return `The file has more than ${recordsMax} rows; split it.`;
  return { records, broken };
}
