import type { Deps } from "../deps";
import { type CodeKind, type CodeRef, codeInvalid, parseCode } from "../domain/code";

/** Which code a text is that we have made ourselves; costs no statement. Fault CODE_INVALID. */
export function genuineCode({ secrets }: Pick<Deps, "secrets">, kind: CodeKind, text: string): CodeRef {
  const code = parseCode(text);
  if (!code || !secrets.isSecretOf(code.secret, kind, code.userId, code.generation)) throw codeInvalid();
  return { kind, userId: code.userId, generation: code.generation };
}
