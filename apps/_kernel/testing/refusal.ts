import { Code, type ConnectError } from "@connectrpc/connect";
import { faultInfo } from "../fault";

const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

/** Code and reason that a call was refused with; both undefined when it was not. */
export async function refusal(work: Promise<unknown>): Promise<{ code?: string; reason?: string }> {
  const error = (await errorOf(work)) as ConnectError | undefined;
  return { code: error && Code[error.code], reason: faultInfo(error)?.reason };
}

/** Reason that a call was refused with, the text of an error that is no fault; empty when it was not refused. */
export async function reasonOf(work: Promise<unknown>): Promise<string> {
  const error = await errorOf(work);
  return error === undefined ? "" : (faultInfo(error)?.reason ?? String(error));
}
