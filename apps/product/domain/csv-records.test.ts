import { expect, test } from "bun:test";
import { brokenRecordsMax, readRecords, recordBytesMax } from "./csv-records";

const read = (text: string, recordsMax = 1000) => {
  const result = readRecords(text, recordsMax);
  if (typeof result === "string") throw new Error(result);
  return {
    records: result.records.map(({ line, cells }) => [line, ...cells]),
    broken: result.broken.map(({ line }) => line),
  };
};

test("quoted commas, doubled quotes and line ends inside quotes belong to the cell", () => {
  expect(read('a,"b,c"\n"say ""hi""","two\nlines"\nd,e\n').records).toEqual([
    [1, "a", "b,c"],
    [2, 'say "hi"', "two\nlines"],
    [4, "d", "e"],
  ]);
});

test("LF, CRLF and CR, with and without a BOM and a last line end, give the same records and lines", () => {
  const text = 'h,é😀\n\n\n"1\n\n2",x\nlast,1';
  const expected = [
    [1, "h", "é😀"],
    [4, "1\n\n2", "x"],
    [7, "last", "1"],
  ];
  for (const end of ["\n", "\r\n", "\r"]) {
    for (const variant of [text, `\ufeff${text}`, `${text}\n`, `${text}\n\n`]) {
      expect(read(variant.replaceAll("\n", end)).records).toEqual(expected);
    }
  }
});

test("records of unequal length are read as they are", () => {
  expect(read("a,b\n1\n1,2,3\n").records).toEqual([
    [1, "a", "b"],
    [2, "1"],
    [3, "1", "2", "3"],
  ]);
});

test("a broken quote costs its own line only, wherever the text goes wrong", () => {
  const bad = ['x,"open', 'x,"ab"c', 'x,a"b', '"x', 'x,"open\n'];
  for (const line of bad) {
    const result = read(`h,i\na,1\n${line}\nb,"2"\nc,3\n`);
    expect(result.broken).toEqual([3]);
    expect(result.records.map(([, name]) => name)).toEqual(["h", "a", "b", "c"]);
    expect(result.records.at(-2)![0]).toBe(line.endsWith("\n") ? 5 : 4);
  }
});

test("several broken quotes are found one by one", () => {
  const result = read('h\n\nx"y\na\n\n\n"z\nb\n"c"d\ne');
  expect(result.broken).toEqual([3, 7, 9]);
  expect(result.records).toEqual([
    [1, "h"],
    [4, "a"],
    [8, "b"],
    [10, "e"],
  ]);
});

test("an open quote is not searched further than the longest record", () => {
  const filler = "filler\n".repeat(recordBytesMax / 5);
  const started = performance.now();
  const result = readRecords(`h\n"open\n${filler}`, 1_000_000);
  if (typeof result === "string") throw new Error(result);
  expect(result.broken).toEqual([{ line: 2, detail: expect.stringContaining("never closed") }]);
  expect(result.records).toHaveLength(1 + Math.floor(recordBytesMax / 5));
  expect(performance.now() - started).toBeLessThan(5_000);
});

test("too many broken records, and too many records, end the reading with a sentence", () => {
  const rows = (count: number, row: string) => `h\n${`${row}\n`.repeat(count)}`;
  expect(read(rows(brokenRecordsMax, 'a"')).broken).toHaveLength(brokenRecordsMax);
  expect(readRecords(rows(brokenRecordsMax + 1, 'a"'), 1000)).toContain("unbalanced");
  expect(read(rows(9, "a"), 10).records).toHaveLength(10);
  expect(readRecords(rows(10, "a"), 10)).toContain("more than 10 rows");
});
