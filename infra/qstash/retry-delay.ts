/** Functions that a retry delay may use, as QStash documents them. */
const functions: Record<string, (...args: number[]) => number> = {
  pow: Math.pow,
  sqrt: Math.sqrt,
  abs: Math.abs,
  exp: Math.exp,
  floor: Math.floor,
  ceil: Math.ceil,
  round: Math.round,
  min: Math.min,
  max: Math.max,
};

const dayMs = 24 * 3600 * 1000;
const lengthMax = 200;

/** A retry delay as a function of how often the message has been retried. */
export type RetryDelay = (retried: number) => number;

/** What QStash does by itself: e^(2.5 n) seconds before the nth retry, at most a day. */
export const defaultRetryDelay: RetryDelay = (retried) =>
  Math.min(dayMs, Math.round(Math.exp(2.5 * (retried + 1)) * 1000));

/**
 * The milliseconds that an `Upstash-Retry-Delay` header says, such as `pow(2, retried) * 1000`; never more than a day,
 * never less than 0. Throws RangeError when it is no expression.
 */
export function parseRetryDelay(text: string): RetryDelay {
  if (text.length > lengthMax) throw new RangeError(`a retry delay has at most ${lengthMax} characters`);
  const expression = expressionOf(tokensOf(text));
  return (retried) => {
    const ms = expression(retried);
    return Number.isNaN(ms) ? 0 : Math.max(0, Math.min(dayMs, ms));
  };
}

type Expression = (retried: number) => number;

interface Tokens {
  /** The next token, or "" at the end. */
  peek(): string;
  next(): string;
}

function tokensOf(text: string): Tokens {
  const found = text.match(/\d+(?:\.\d+)?|[a-z]+|[-+*/(),]|\S/g) ?? [];
  let at = 0;
  return { peek: () => found[at] ?? "", next: () => found[at++] ?? "" };
}

function expect(tokens: Tokens, wanted: string): void {
  const token = tokens.next();
  if (token !== wanted) throw new RangeError(`a retry delay has "${token}" where "${wanted}" belongs`);
}

function expressionOf(tokens: Tokens): Expression {
  const whole = sum(tokens);
  if (tokens.peek() !== "") throw new RangeError(`a retry delay goes on with "${tokens.peek()}"`);
  return whole;
}

function sum(tokens: Tokens): Expression {
  let left = product(tokens);
  while (["+", "-"].includes(tokens.peek())) {
    const sign = tokens.next() === "+" ? 1 : -1;
    const [first, second] = [left, product(tokens)];
    left = (n) => first(n) + sign * second(n);
  }
  return left;
}

function product(tokens: Tokens): Expression {
  let left = factor(tokens);
  while (["*", "/"].includes(tokens.peek())) {
    const isTimes = tokens.next() === "*";
    const [first, second] = [left, factor(tokens)];
    left = (n) => (isTimes ? first(n) * second(n) : first(n) / second(n));
  }
  return left;
}

function factor(tokens: Tokens): Expression {
  const token = tokens.next();
  if (token === "-") {
    const inner = factor(tokens);
    return (n) => -inner(n);
  }
  if (token === "(") {
    const inner = sum(tokens);
    expect(tokens, ")");
    return inner;
  }
  if (token === "retried") return (n) => n;
  if (/^\d/.test(token)) return () => Number(token);
  const call = Object.hasOwn(functions, token) ? functions[token] : undefined;
  if (!call) throw new RangeError(`a retry delay knows no "${token}"`);
  return called(tokens, call);
}

function called(tokens: Tokens, call: (...args: number[]) => number): Expression {
  expect(tokens, "(");
  const args = [sum(tokens)];
  while (tokens.peek() === ",") {
    tokens.next();
    args.push(sum(tokens));
  }
  expect(tokens, ")");
  return (n) => call(...args.map((arg) => arg(n)));
}
