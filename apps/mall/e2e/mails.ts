import { host } from "./host";

/** The code in the newest mail to an address, which comes within seconds; it begins with the id that it belongs to. */
export async function mailedCode(address: string, prefix: "usr" | "rst" = "usr"): Promise<string> {
  const { mails } = await host();
  const code = new RegExp(`${prefix}_\\S+`);
  for (const until = Date.now() + 20_000; Date.now() < until; await Bun.sleep(50)) {
    const mail = mails.mails.findLast(({ to, text }) => to.includes(address) && code.test(text));
    if (mail) return code.exec(mail.text)![0];
  }
  throw new Error("no mail came");
}
