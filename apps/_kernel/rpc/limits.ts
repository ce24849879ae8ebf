import type { DescMethod } from "@bufbuild/protobuf";

/** Limits of every request. */
export const limits = {
  bodyBytesMax: 1024 * 1024,
  importBytesMax: 16 * 1024 * 1024,
  timeoutMsMax: 60_000,
  timeoutMs: 30_000,
};

/** Largest body of a method. */
export const bodyBytesMaxOf = (method: DescMethod): number =>
  method.name === "ImportProducts" ? limits.importBytesMax : limits.bodyBytesMax;
