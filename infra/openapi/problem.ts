import { z } from "@hono/zod-openapi";

const violation = z.object({
  pointer: z
    .string()
    .optional()
    .openapi({ description: "JSON pointer into the body; absent for parameters." }),
  parameter: z
    .string()
    .optional()
    .openapi({ description: "Path or query parameter or header; absent for the body." }),
  detail: z.string().openapi({ description: "What is wrong with it." }),
});

/** RFC 9457 problem details: the body of every refusal, as apps/_kernel/problem.ts writes it. */
export const problem = z
  .object({
    type: z.string().openapi({ format: "uri-reference", description: "Page about the reason." }),
    title: z.string().openapi({ description: "The reason in words." }),
    status: z.int().openapi({ description: "The HTTP status again." }),
    detail: z.string().openapi({ description: "What happened this time, for people." }),
    instance: z
      .string()
      .regex(/^urn:uuid:/)
      .openapi({ description: "Id of the request; it finds the request in the log." }),
    reason: z
      .string()
      .regex(/^[A-Z][A-Z0-9_]*$/)
      .openapi({ description: "Stable name for programs, such as OUT_OF_STOCK." }),
    metadata: z.record(z.string(), z.string()).openapi({ description: "Facts about this occurrence." }),
    errors: z.array(violation).openapi({ description: "What is wrong with the input, one entry a field." }),
  })
  .openapi("Problem", {
    description: "Why a request was refused (RFC 9457).",
    example: {
      type: "/problems/validation",
      title: "Validation",
      status: 400,
      detail: "must be greater than or equal to 1 and less than or equal to 999",
      instance: "urn:uuid:019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071",
      reason: "VALIDATION",
      metadata: {},
      errors: [
        { pointer: "#/quantity", detail: "must be greater than or equal to 1 and less than or equal to 999" },
      ],
    },
  });
