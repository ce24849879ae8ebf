import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type GetPolicyRequest,
  type GetPolicyResponse,
  GetPolicyResponseSchema,
  type Policy as PolicyMessage,
  PolicySchema,
  RuleEffect,
  RuleSchema,
} from "@mall/gen/mall/auth/v1/policy_pb";
import type { KnownPolicy, PolicyNews } from "../application/get-policy";
import type { AccessRule, Policy } from "../domain/policy";

/** The effect of a rule in a request; validation has refused those that are none. */
export const effectOf = (effect: RuleEffect): AccessRule["effect"] =>
  RuleEffect[effect] as AccessRule["effect"];

/** A rule as the contract shows it. */
export const ruleToMessage = (rule: AccessRule) =>
  create(RuleSchema, { ...rule, effect: RuleEffect[rule.effect] });

/** A policy as the contract shows it. */
export const policyToMessage = ({ rules, ...policy }: Policy): PolicyMessage =>
  create(PolicySchema, { ...policy, rules: rules.map(ruleToMessage) });

/** What a gate says that it knows. */
export const knownOf = ({
  knownRevision,
  knownRevocationsAt,
  knownConfigRevision,
}: GetPolicyRequest): KnownPolicy => ({
  configRevision: knownConfigRevision,
  revision: knownRevision,
  revocationsAt: knownRevocationsAt && timestampDate(knownRevocationsAt),
});

/** The answer to a gate. */
export const newsToMessage = ({ changed, revocations, config, asOf }: PolicyNews): GetPolicyResponse =>
  create(GetPolicyResponseSchema, {
    policy: changed && policyToMessage(changed.policy),
    blockedUserIds: changed?.blocked ?? [],
    revocations: revocations.map((revocation) => ({
      ...revocation,
      expiresAt: timestampFromDate(revocation.expiresAt),
    })),
    config: config && { revision: config.revision, values: config.values },
    asOf: timestampFromDate(asOf),
  });
