import { expect, test } from "bun:test";
import { framer } from "./frame";

const messages = [
  "POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
  "GET /b HTTP/1.1\r\nHost: x\r\n\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n",
  "HTTP/1.1 204 No Content\r\n\r\n",
];

test("messages come out as they went in, however their bytes were cut", () => {
  const bytes = Buffer.from(messages.join(""), "latin1");
  for (let size = 1; size <= bytes.length; size++) {
    const frame = framer();
    const seen: string[] = [];
    for (let at = 0; at < bytes.length; at += size)
      for (const message of frame.push(bytes.subarray(at, at + size)))
        seen.push(message.bytes.toString("latin1"));
    expect(seen).toEqual(messages);
  }
});
