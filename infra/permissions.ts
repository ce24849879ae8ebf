import { contract } from "@mall/gateway/contract";
import { policyOf } from "@mall/kernel/rpc/policy";

/** Every permission of the contract and the built-in roles that have it, for the service that gives permissions. */
function permissionsOfContract(): Record<string, string[]> {
  const found = new Map<string, string[]>();
  for (const method of contract.flatMap((service) => service.methods)) {
    const { permission = "", roles = [] } = policyOf(method) ?? {};
    if (permission === "") continue;
    const known = found.get(permission);
    // one permission has one meaning: whoever has it may call all methods that ask for it
    if (known && String(known) !== String([...roles].sort()))
      throw new Error(`${permission} of ${method.name} belongs to other roles elsewhere`);
    found.set(permission, [...roles].sort());
  }
  return Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const target = new URL("../gen/permissions.json", import.meta.url);
await Bun.write(target, `${JSON.stringify(permissionsOfContract(), null, 2)}\n`);
