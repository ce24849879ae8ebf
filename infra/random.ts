import { createHash } from "node:crypto";

/** Seeded randomness: the same seed gives the same numbers, in the same order. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** An integer from `min` to `max`, both included. */
  int(min: number, max: number): number;
  /** One of the values. */
  pick<T>(values: readonly T[]): T;
  /** The values in another order. */
  shuffle<T>(values: readonly T[]): T[];
  /** True with this probability. */
  chance(probability: number): boolean;
  /** A UUID of version 4. */
  uuid(): string;
  /** A source of its own for one actor, so that the order in which actors run changes nothing. */
  fork(name: string): Random;
}

/** A source of randomness from a seed of any text (sfc32 over its SHA-256). */
export function randomOf(seed: string): Random {
  const digest = createHash("sha256").update(seed).digest();
  let [a, b, c, counter] = [0, 4, 8, 12].map((at) => digest.readUInt32LE(at)) as [
    number,
    number,
    number,
    number,
  ];
  const word = (): number => {
    const result = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + result) | 0;
    return result >>> 0;
  };
  const random: Random = {
    next: () => word() / 2 ** 32,
    int: (min, max) => min + Math.floor(random.next() * (max - min + 1)),
    pick: (values) => values[random.int(0, values.length - 1)]!,
    shuffle(values) {
      const mixed = [...values];
      for (let i = mixed.length - 1; i > 0; i--) {
        const j = random.int(0, i);
        [mixed[i], mixed[j]] = [mixed[j]!, mixed[i]!];
      }
      return mixed;
    },
    chance: (probability) => random.next() < probability,
    uuid() {
      const bytes = Buffer.alloc(16);
      for (let at = 0; at < 16; at += 4) bytes.writeUInt32LE(word(), at);
      bytes[6] = (bytes[6]! & 0x0f) | 0x40;
      bytes[8] = (bytes[8]! & 0x3f) | 0x80;
      return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
    },
    fork: (name) => randomOf(`${seed}/${name}`),
  };
  return random;
}
