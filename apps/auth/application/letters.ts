import type { Letter } from "@mall/kernel/mailer/letter";
import { type CodeKind, codeTtlSeconds } from "../domain/code";
import { resetTtlSeconds } from "../domain/password";

const hoursOf = (kind: CodeKind): string => {
  const hours = codeTtlSeconds[kind] / 3600;
  return hours === 1 ? "an hour" : `${hours} hours`;
};

/** The letter with the code by which users show that an address is theirs. */
export const verificationLetter = (displayName: string, code: string): Letter => ({
  subject: "Verify your e-mail address",
  paragraphs: [
    `Hello ${displayName}, this is your code to verify your e-mail address:`,
    `It works once, within ${hoursOf("EMAIL_VERIFICATION")}.`,
    "If you did not ask for it, there is nothing to do.",
  ],
  code,
});

/** The letter to the address that an account shall have. */
export const changeLetter = (displayName: string, code: string): Letter => ({
  subject: "Confirm your new e-mail address",
  paragraphs: [
    `Hello ${displayName}, this is your code to make this the e-mail address of your account:`,
    `It works once, within ${hoursOf("EMAIL_CHANGE")}.`,
    "If you did not ask for it, there is nothing to do: nothing changes without the code.",
  ],
  code,
});

/** The letter to the address that an account still has, without anything that could be used. */
export const changeNotice = (displayName: string): Letter => ({
  subject: "Your e-mail address is about to change",
  paragraphs: [
    `Hello ${displayName}, somebody who knows your password asked for another e-mail address for your account.`,
    "If that was not you, change your password now and sign out everywhere.",
  ],
});

/** The letter with the code by which users who forgot their password set another one. */
export const resetLetter = (displayName: string, code: string): Letter => ({
  subject: "Set a new password",
  paragraphs: [
    `Hello ${displayName}, this is your code to set a new password:`,
    `It works once, within ${resetTtlSeconds / 60} minutes, and signs you out everywhere.`,
    "If you did not ask for it, there is nothing to do: nothing changes without the code.",
  ],
  code,
});

/** The letter that tells of another password, without anything that could be used. */
export const passwordNotice = (displayName: string): Letter => ({
  subject: "Your password was changed",
  paragraphs: [
    `Hello ${displayName}, the password of your account was changed and you were signed out everywhere.`,
    "If that was not you, set a new password now, and look at your API keys if you have any.",
  ],
});
