import { fault } from "../fault";
import type { Mailer } from "./port";

/** Sends nothing: every mail waits until there is a mailer. */
export const noMailer: Mailer = {
  async send() {
    throw fault("unavailable", "MAILER_UNAVAILABLE", "This mall has no mailer; set MAILER.");
  },
};
