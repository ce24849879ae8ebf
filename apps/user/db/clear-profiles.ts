import type { ClearTable } from "@mall/kernel/personal/clear-rows";

/** Profiles from before they were sealed. */
export const clearProfiles: ClearTable = {
  table: "profiles",
  subject: "id",
  value: "jsonb_build_object('email', email, 'displayName', display_name, 'phone', phone)",
  cleared: "email = '', display_name = '', phone = ''",
};
