import { html } from "lit-html";
import { go, type Page, submitting } from "../app";
import { login, myOrders, register, session } from "../shop";
import { field, price, stateOf } from "../view";

const email = () => field("E-mail", "email", "username", { type: "email", maxLength: 254 });
const password = (autocomplete: string) =>
  field("Password", "password", autocomplete, { type: "password", minLength: 8, maxLength: 128 });

const entering = (enter: (text: (name: string) => string) => Promise<void>) =>
  submitting(async (fields) => {
    await enter((name) => String(fields.get(name)));
    go("#/cart", "You are signed in.");
  });

function doors() {
  const signIn = entering((text) => login(text("email"), text("password")));
  const signUp = entering((text) => register(text("email"), text("password"), text("displayName")));
  return html`<div class="split">
    <form class="panel" aria-label="Sign in" @submit=${signIn}>
      <h2>Sign in</h2>
      <div class="fields">${email()} ${password("current-password")}</div>
      <button>Sign in</button>
    </form>
    <form class="panel" aria-label="Create an account" @submit=${signUp}>
      <h2>New here?</h2>
      <div class="fields">
        ${field("Name", "displayName", "name", { maxLength: 100 })} ${email()} ${password("new-password")}
      </div>
      <button>Create an account</button>
    </form>
  </div>`;
}

/** Signing in, or the orders of who is signed in. */
export const account: Page = async () => {
  if (!(await session.isSignedIn())) return { title: "Your account", body: doors() };
  const orders = await myOrders();
  const leave = submitting(async () => {
    await session.signOut();
    return "You are signed out.";
  });
  const body = html`
    <div class="panel">
      <h2>Your orders</h2>
      ${orders.length === 0 ? html`<p>None yet.</p>` : ""}
      <ul>
        ${orders.map(
          ({ id, number, state, total }) =>
            html`<li><a href="#/orders/${id}">Order ${number}</a>, ${price(total)}, ${stateOf(state)}</li>`,
        )}
      </ul>
    </div>
    <form @submit=${leave}><button class="plain">Sign out</button></form>
  `;
  return { title: "Your account", body };
};
