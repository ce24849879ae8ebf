/** A mail to one person, as text and as HTML. */
export interface Mail {
  /** The same with each attempt: a provider that has sent it does not send it again. */
  id: string;
  to: string;
  subject: string;
  text: string;
  html: string;
}

/** Hands mails over to whoever delivers them. */
export interface Mailer {
  /**
   * Resolves when the mail is handed over. Faults MAILER_UNAVAILABLE when that may succeed later, MAIL_REFUSED when it
   * was looked at and not taken; neither says anything of the mail.
   */
  send(mail: Mail): Promise<void>;
}
