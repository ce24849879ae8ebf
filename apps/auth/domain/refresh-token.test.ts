import { describe, expect, test } from "bun:test";
import { formatRefreshToken, judgeRefresh, parseRefreshToken } from "./refresh-token";

const sessionId = "ses_01jjjjjjjjjjjjjjjjjjjjjjjj" as const;
const secret = "s".repeat(43);

describe("the text of a refresh token", () => {
  test("gives back what it was made of", () => {
    const token = { sessionId, generation: 12, secret };
    expect(parseRefreshToken(formatRefreshToken(token))).toEqual(token);
  });

  for (const text of [
    ...["", ".", "..", sessionId, `${sessionId}.1`, `${sessionId}..${secret}`, `${sessionId}.0.${secret}`],
    ...[
      `${sessionId}.01.${secret}`,
      `${sessionId}.-1.${secret}`,
      `${sessionId}.1.${secret}s`,
      `${sessionId}.1.${secret}.`,
    ],
    ...[
      `${sessionId}.9999999999.${secret}`,
      `usr${sessionId.slice(3)}.1.${secret}`,
      ` ${sessionId}.1.${secret}`,
    ],
  ]) {
    test(`is not ${JSON.stringify(text).slice(0, 50)}`, () =>
      expect(parseRefreshToken(text)).toBeUndefined());
  }
});

describe("a genuine refresh token that did not rotate its session", () => {
  const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1) + seconds * 1000);
  const live = { generation: 5, rotatedAt: at(0), expiresAt: at(1000) };

  test("gets the successor again within 10 seconds, if it is the immediate predecessor", () => {
    for (const seconds of [-1, 0, 9, 10]) expect(judgeRefresh(live, 4, at(seconds))).toBe("successor");
  });

  test("was used before in every other case in which it is older", () => {
    expect(judgeRefresh(live, 4, at(10.001))).toBe("reused");
    for (const generation of [1, 2, 3]) expect(judgeRefresh(live, generation, at(0))).toBe("reused");
  });

  test("is not valid when the session is unknown, revoked or expired, or never had that generation", () => {
    expect(judgeRefresh(undefined, 4, at(0))).toBe("invalid");
    expect(judgeRefresh({ ...live, revokedAt: at(0) }, 4, at(0))).toBe("invalid");
    expect(judgeRefresh({ ...live, expiresAt: at(5) }, 4, at(5))).toBe("invalid");
    for (const generation of [5, 6, 100]) expect(judgeRefresh(live, generation, at(0))).toBe("invalid");
  });
});
