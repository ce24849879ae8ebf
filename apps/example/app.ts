import { html, render, type TemplateResult } from "lit-html";
import { sentenceOf } from "./view";

/** What a page shows. */
export interface View {
  title: string;
  body: TemplateResult;
}

/** Makes the view of a place such as `#/products/prod_…?q=mug`. */
export type Page = (id: string, query: URLSearchParams) => Promise<View>;

let pages: Record<string, Page> = {};
let message = "";
let problem = "";
let messageOnArrival = "";
let view: View = { title: "", body: html`` };
let turn = 0;

const shell = () => html`
  <a class="skip" href="#main" @click=${skip}>Skip to the content</a>
  <header class="bar">
    <a class="brand" href="#/">EdgeMall</a>
    <nav aria-label="Shop"><a href="#/cart">Cart</a> &nbsp; <a href="#/account">Account</a></nav>
  </header>
  <main id="main">
    <h1 tabindex="-1">${view.title}</h1>
    <p role="status">${message}</p>
    <p role="alert">${problem}</p>
    ${view.body}
  </main>
`;

const draw = () => render(shell(), document.body);

function skip(event: Event): void {
  event.preventDefault();
  document.querySelector("h1")?.focus();
}

/** Draws the page of the address anew. A later call overtakes an earlier one. */
export async function refresh(): Promise<void> {
  const mine = ++turn;
  const { pathname, searchParams } = new URL(location.hash.slice(1) || "/", "http://shop");
  const [name = "", id = ""] = pathname.slice(1).split("/");
  const page = pages[name] ?? pages[""]!;
  let made: View;
  try {
    made = await page(id, searchParams);
  } catch (error) {
    problem = sentenceOf(error);
    made = { title: "This page cannot be shown", body: html`<a href="#/">To the shop</a>` };
  }
  if (mine !== turn) return;
  view = made;
  document.title = `${view.title} – EdgeMall`;
  draw();
}

/** Goes to another page, which shows what is said. */
export function go(hash: string, said = ""): void {
  messageOnArrival = said;
  location.hash = hash;
}

async function arrive(): Promise<void> {
  message = messageOnArrival;
  messageOnArrival = problem = "";
  await refresh();
  document.querySelector("h1")?.focus();
  scrollTo(0, 0);
}

/** Shows the pages by their names, "" is the first one. */
export function start(named: Record<string, Page>): void {
  pages = named;
  addEventListener("hashchange", () => void arrive());
  void refresh();
}

/**
 * Handles a form: its buttons rest while the work is done, a text that it returns or what it throws is shown, and the page is drawn
 * anew.
 */
export const submitting =
  (work: (fields: FormData) => Promise<unknown>) =>
  async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const fields = new FormData(form, event.submitter);
    const buttons = [...form.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    const before = location.hash;
    message = problem = "";
    try {
      const said = await work(fields);
      if (typeof said === "string") message = said;
    } catch (error) {
      problem = sentenceOf(error);
    }
    for (const button of buttons) button.disabled = false;
    if (location.hash === before) await refresh();
  };
