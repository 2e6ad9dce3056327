// Shared by all page tests: the service, its API, and a page with a signed-in user.
import { test as base, expect } from "@playwright/test";

export const URL = process.env.E2E_URL;
export const keys = Object.fromEntries(["admin", "operator", "auditor", "caller"].map((role) => [role, process.env[`E2E_${role.toUpperCase()}`]]));

/** A call of the contract. */
export async function call(name, body) {
  return await send("POST", `/group-dispatch-api/whatsapp/${name}`, body);
}

/** GETs a path of the management API. */
export async function api(method, path, body) {
  return await send(method, `/api/v1/${path}`, body);
}

async function send(method, path, body) {
  const headers = { authorization: `Bearer ${keys.admin}`, "content-type": "application/json" };
  const answer = await fetch(URL + path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok && answer.status !== 207 && answer.status !== 409) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return await answer.json();
}

/** Signs a browser in, without its form. */
export async function signIn(context, role) {
  const answer = await context.request.post("/sign-in", { form: { key: keys[role], next: "/log" }, headers: { origin: URL } });
  expect(answer.url()).toBe(`${URL}/log`);
}

/** Tests without a sign-in. */
export const stranger = base;

/** Tests with a page of a signed-in user of a role. They fail if the browser reports an error. */
export const test = base.extend({
  role: ["operator", { option: true }],
  page: async ({ page, context, role }, use) => {
    const complaints = [];
    page.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
    page.on("pageerror", (error) => complaints.push(String(error)));
    await signIn(context, role);
    await use(page);
    expect(complaints, "what the browser complained about").toEqual([]);
  },
});

/** Waits until the API shows this state of an account. */
export async function becomes(number, onlineStatus) {
  await expect.poll(async () => (await api("GET", `accounts/${number}`)).onlineStatus).toBe(onlineStatus);
}

export { expect };
