import type { Mailer } from "./port";

/** Prints mails, for development: whoever reads the output reads the codes in them. */
export const consoleMailer = (print: (line: string) => void): Mailer => ({
  send: async ({ to, subject, text }) => print(`mail to ${to}: ${subject}\n\n${text}`),
});
