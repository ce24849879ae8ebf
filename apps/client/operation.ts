import { newKey } from "./call";
import { faultOf } from "./fault";

/** Runs the calls of one logical operation, such as "pay this cart", under one Idempotency-Key. */
export type Operation = <T>(call: (options: { headers: Record<string, string> }) => Promise<T>) => Promise<T>;

/**
 * The key of something that a person may ask for again, made where the form is. While nobody knows whether a call was
 * carried out, the next one repeats it with the same key, so that it happens once; an answer or a final refusal ends the
 * operation, and the next call begins another.
 */
export function operation(): Operation {
  let key = newKey();
  return async (call) => {
    const used = key;
    const end = () => {
      if (key === used) key = newKey();
    };
    try {
      const answer = await call({ headers: { "Idempotency-Key": used } });
      end();
      return answer;
    } catch (error) {
      if (faultOf(error)?.isFinal) end();
      throw error;
    }
  };
}
