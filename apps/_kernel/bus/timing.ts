/** The most attempts at an event that its consumer refuses, before it becomes a dead letter. */
export const attemptsMax = 10;

/** Milliseconds before the next attempt at an event that was refused `attempts` times: 1, 2, 4 … 512 × `backoffMs`. */
export const refusedDelayMs = (attempts: number, backoffMs: number): number =>
  backoffMs * 2 ** Math.min(attempts - 1, 9);

const longAwayMs = 24 * 3600 * 1000;

/**
 * Milliseconds before the next attempt at a consumer who is away: short, since the end of an outage must be noticed
 * within seconds, and spread, since everybody waits for it. An event that is a day old is tried more rarely, but never
 * given up: that nobody was there says nothing about it.
 */
export const awayDelayMs = (eventTime: string, nowMs: number, backoffMs: number): number =>
  backoffMs * (nowMs - Date.parse(eventTime) < longAwayMs ? 2 : 150) * (1 + Math.random());
