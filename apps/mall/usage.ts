import { type ServiceName, serviceNames } from "@mall/kernel/topology";

/** A command that was not understood: exit code 2. */
export class UsageError extends Error {}

/** The service of this name. Throws UsageError when there is none. */
export function serviceOf(name: string): ServiceName {
  const known = serviceNames.find((service) => service === name);
  if (!known) throw new UsageError(`the services are ${serviceNames.join(", ")}`);
  return known;
}
