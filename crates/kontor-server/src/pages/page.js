// What pages do beyond showing themselves: they ask for themselves again with a key, once somebody has
// signed in, and whenever something that they show has changed. A client of the public API like any other.
"use strict";

const KEPT = "kontor.key";
const found = (selector, within = document) => [...within.querySelectorAll(selector)];
const part = (id) => document.getElementById(id);

function withKey(headers = {}) {
  const key = sessionStorage.getItem(KEPT);
  return key ? { ...headers, "X-API-Key": key } : headers;
}

// ---- asking for this page ----

async function ask(headers) {
  const answer = await fetch(location.pathname + location.search, { headers });
  const isPage = (answer.headers.get("content-type") || "").startsWith("text/html");
  const page = isPage ? new DOMParser().parseFromString(await answer.text(), "text/html") : undefined;
  return { answer, page };
}

// Shows another rendering of this page as a whole: what a holder of a key sees of it.
function show(page) {
  const typed = part("q") && part("q").value !== part("q").defaultValue ? part("q").value : undefined;
  for (const id of ["account", "content"]) part(id).replaceWith(document.adoptNode(page.getElementById(id)));
  document.title = page.title;
  prepare();
  document.dispatchEvent(new Event("renewed"));
  if (typed !== undefined && part("q")) part("q").value = typed;
  if (location.hash) part(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  else part("content").querySelector("[autofocus]")?.focus();
}

// ---- what has changed ----

// Marks what is not as it was: rows that are new, and numbers that differ.
function mark(rows, before) {
  for (const row of rows) {
    const was = before.get(row.dataset.row);
    if (!was) row.classList.add("changed");
    else for (const cell of found("[data-field]", row)) {
      const old = was.querySelector(`[data-field="${cell.dataset.field}"]`);
      if (old && old.textContent !== cell.textContent) cell.classList.add("changed");
    }
  }
}

// How an element was rendered, before anything was marked, opened or enabled in it.
const rendered = new WeakMap();
const rendering = (one) => rendered.get(one) ?? one.innerHTML;

const byRow = (within) => new Map(found("[data-row]", within).map((row) => [row.dataset.row, row]));

// Puts a new rendering of a part into place: what is open stays open, what has the focus keeps it.
function renew(now, next) {
  const before = byRow(now);
  if (now.dataset.live === "rows") return renewRows(now, next, before);
  for (const details of found("details[id]", now)) {
    const same = found("details[id]", next).find((other) => other.id === details.id);
    if (same) same.open = details.open;
  }
  keepTyped(now, next);
  const sides = found(".scroll", now).map((box) => box.scrollLeft);
  keepFocus(now, () => now.replaceChildren(...document.adoptNode(next).childNodes), () => now);
  found(".scroll", now).forEach((box, at) => { box.scrollLeft = sides[at] || 0; });
  mark(found("[data-row]", now), before);
}

// What somebody has typed and not sent stays.
function keepTyped(now, next) {
  for (const typed of found("input[id], select[id]", now)) {
    const same = found(typed.tagName, next).find((other) => other.id === typed.id);
    const first = typed.options ? [...typed.options].find((one) => one.defaultSelected)?.value : typed.defaultValue;
    const fits = same && (!same.options || [...same.options].some((one) => one.value === typed.value));
    if (fits && first !== undefined && typed.value !== first) same.value = typed.value;
  }
}

// Replaces something, and gives the focus to what stands there under the same name.
function keepFocus(within, replace, replaced) {
  const active = within.contains(document.activeElement) ? document.activeElement : undefined;
  const nameOf = (one) => one.id || one.getAttribute("href") || one.getAttribute("aria-label") || one.parentElement?.id;
  const cursor = active?.selectionStart;
  replace();
  // What is rendered disabled takes no focus.
  if (active) enable();
  const takers = "a, button, summary, input, select, [tabindex]";
  const same = active && found(takers, replaced()).find((one) => nameOf(one) === nameOf(active));
  same?.focus({ preventScroll: true });
  // Fields of numbers have no place in them that could be set.
  if (same && typeof cursor === "number") same.setSelectionRange(cursor, cursor);
}

// A list keeps its rows where they are under the reader's eyes, and says if others would be there now.
function renewRows(now, next, before) {
  const after = byRow(next);
  for (const [name, row] of before) {
    const fresh = after.get(name);
    if (!fresh || rendering(row) === fresh.innerHTML) continue;
    const copy = document.importNode(fresh, true);
    rendered.set(copy, fresh.innerHTML);
    keepFocus(row, () => row.replaceWith(copy), () => copy);
    mark([copy], before);
  }
  if ([...before.keys()].join("\n") !== [...after.keys()].join("\n")) offerReload();
}

function offerReload() {
  if (part("reload")) return;
  const note = document.createElement("p");
  note.className = "note";
  note.id = "reload";
  const link = document.createElement("a");
  link.href = location.pathname + location.search;
  link.textContent = "Show it";
  note.append("The list has changed. ", link, ".");
  part("content").querySelector(".head").after(note);
}

function update(page) {
  const now = found("[data-live]"), next = found("[data-live]", page);
  const ids = (parts) => parts.map((one) => one.id).join(" ");
  if (ids(now) !== ids(next)) {
    // Something else than before: the first product of an empty list, a product that is archived now.
    return show(page);
  }
  now.forEach((one, at) => {
    const text = next[at].innerHTML;
    if (rendering(one) === text) return;
    renew(one, next[at]);
    rendered.set(one, text);
  });
  enable();
  document.dispatchEvent(new Event("renewed"));
}

// At most one question at a time and one a second, and none while nobody looks.
let isWanted = false, isAsking = false;

async function refresh() {
  isWanted = true;
  if (isAsking || document.hidden) return;
  isAsking = true;
  while (isWanted && !document.hidden) {
    isWanted = false;
    try {
      const { page } = await ask(withKey());
      if (page) update(page);
    } catch {
      isWanted = true;
    }
    await new Promise((later) => setTimeout(later, 1000));
  }
  isAsking = false;
}

document.addEventListener("visibilitychange", () => { if (isWanted) refresh(); });

// ---- the change feed ----

let said = ["", ""];

function say(state, text) {
  said = [state, text];
  const live = part("live");
  if (!live) return;
  live.className = "live " + state;
  live.textContent = text;
}

// Whether the page shows something of what an event names.
function concerns(event) {
  if (found("[data-events]").some((one) => one.dataset.events.split(" ").includes(event.type))) return true;
  const ofOrder = (one) => event.id === one.dataset.order || event.id?.startsWith(one.dataset.payments);
  if (found("[data-order]").some(ofOrder)) return true;
  const skus = new Set([event.sku, ...(event.lines || []).map((line) => line.sku)].filter(Boolean));
  return found("[data-product]").some((one) =>
    one.dataset.product === event.id || (skus.size > 0 && JSON.parse(one.dataset.skus || "[]").some((sku) => skus.has(sku))));
}

let after = "";

// Reads a stream of events until it ends, and gives each to `take`.
async function follow(path, opened, take) {
  const answer = await fetch(path, { headers: withKey({ Accept: "text/event-stream" }) });
  if (answer.status === 503 || answer.status === 429) throw new Error("Not live: too many are watching. Trying again…");
  if (!answer.ok) throw new Error("Not live: the feed cannot be followed from here. Reload the page.");
  opened();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const messages = (text + value).split("\n\n");
    text = messages.pop();
    messages.forEach(take);
  }
}

const field = (message, name) => message.split("\n").filter((line) => line.startsWith(name + ": "))
  .map((line) => line.slice(name.length + 2)).join("\n");

function change(message) {
  after = field(message, "id") || after;
  if (field(message, "event") === "change" && JSON.parse(field(message, "data")).events.some(concerns)) refresh();
}

// Follows again and again, later each time that it fails.
async function keepFollowing(path, opened, take, failed) {
  for (let pause = 1000; ; pause = Math.min(pause * 2, 30000)) {
    let text = "Connecting again…";
    try {
      await follow(path(), () => { pause = 1000; opened(); }, take);
    } catch (error) {
      if (error.message.startsWith("Not live")) text = error.message;
    }
    failed(text);
    await new Promise((later) => setTimeout(later, pause));
  }
}

function live() {
  after = part("content").dataset.after || "";
  if (!after) return;
  const changes = () => "/api/v1/changes?after=" + encodeURIComponent(after);
  keepFollowing(changes, () => say("on", "Live"), change, (text) => say("off", text));
  // What comes from other sites is not in this site's feed, nor how the links to them are.
  if (part("content").querySelector("[data-sites]")) {
    const sites = (message) => { if (field(message, "event") === "sites") refresh(); };
    keepFollowing(() => "/api/v1/sites", () => {}, sites, () => {});
  }
}

// ---- signing in and out ----

function enable() {
  for (const button of found("[data-sign-in]")) {
    button.disabled = false;
    button.removeAttribute("title");
    button.onclick = () => { part("key-error").hidden = true; part("sign-in").showModal(); };
  }
  enableLinks();
  for (const button of found("[data-call] [type=submit]")) {
    button.disabled = false;
    button.removeAttribute("title");
  }
  for (const button of found("[data-sign-out]")) {
    // Whoever is shown everything without a key, as at a demo, has nothing to sign out of.
    button.hidden = !sessionStorage.getItem(KEPT);
    button.onclick = () => { sessionStorage.removeItem(KEPT); location.reload(); };
  }
}

// ---- asking the API to do something ----

// The key of each intention, until it is known what became of it: who repeats a request, repeats its key.
const intended = new Map();

function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Sends a write. What was not answered is sent again by asking again: it is done once.
async function send(method, path, body, headers = {}) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const intention = [method, path, text].join(" ");
  if (!intended.has(intention)) intended.set(intention, freshKey());
  const sent = { ...headers, "Idempotency-Key": intended.get(intention) };
  if (text !== undefined) sent["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers: sent, body: text });
  const said = await answer.json().catch(() => ({}));
  if (answer.status < 500) intended.delete(intention);
  return { ok: answer.ok, status: answer.status, said };
}

// A problem in words.
const why = (said) => said.errors?.length > 1
  ? said.errors.map((error) => `${error.pointer.slice(1)}: ${error.detail}`).join(" · ")
  : said.detail || said.title || "It was refused.";

// What a form asks for: its texts that are not empty, and its lines of which there are some.
function bodyOf(form) {
  const body = {};
  for (const one of found("[data-text]", form)) if (one.value.trim()) body[one.dataset.text] = one.value.trim();
  const rows = found("[data-line]", form);
  const lines = rows.map((row) => {
    const line = { sku: row.dataset.sku, quantity: Number(row.querySelector("[data-quantity]").value) };
    if (row.dataset.location) line.location = row.dataset.location;
    const restock = row.querySelector("[data-restock]")?.value;
    if (restock) line.restock = restock;
    return line;
  }).filter((line) => line.quantity > 0);
  // No line means something else than none of the lines that there are.
  if (lines.length || (rows.length && !found("[data-text]", form).length)) body.lines = lines;
  return body;
}

function tell(isDone, text) {
  const said = part("said");
  if (!said) return;
  said.className = isDone ? "note good" : "note bad";
  said.textContent = text;
  said.hidden = false;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.call) return;
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    const { ok, status, said } = await send("POST", form.dataset.call, bodyOf(form), withKey());
    if (ok) form.reset();
    tell(ok, ok ? form.dataset.done : why(said));
    // As at a demo, where everybody reads everything and nobody writes without a key.
    if (status === 401) part("sign-in").showModal();
  } catch {
    tell(false, "The server did not answer. Ask again: it is done once.");
  }
  button.disabled = false;
  refresh();
});

// ---- the links of a demo ----

function enableLinks() {
  for (const button of found("[data-set-links]")) {
    button.disabled = false;
    button.removeAttribute("title");
    button.onclick = async () => {
      try {
        const headers = { "Content-Type": "application/json" };
        const answer = await fetch("/demo/links", { method: "POST", headers, body: button.dataset.setLinks });
        if (!answer.ok) throw new Error();
        refresh();
      } catch {
        say("off", "The demo did not answer.");
      }
    };
  }
}

function prepare() {
  found("[data-live], [data-live=rows] [data-row]").forEach((one) => rendered.set(one, one.innerHTML));
  enable();
  if (said[1]) say(...said);
}

const dialog = part("sign-in");
found("[data-close]", dialog).forEach((button) => { button.onclick = () => dialog.close(); });

dialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = part("key"), wrong = part("key-error");
  const fail = (text) => { wrong.textContent = text; wrong.hidden = false; field.select(); };
  if (!/^[\x21-\x7e]+$/.test(field.value.trim())) return fail("A key is one word of letters, digits and signs.");
  try {
    const { answer } = await ask({ "X-API-Key": field.value.trim() });
    if (answer.status === 401) return fail("This key is not known here.");
    sessionStorage.setItem(KEPT, field.value.trim());
    // Anew, so that the feed too is followed with the key.
    location.reload();
  } catch {
    fail("The server did not answer.");
  }
});

// ---- keys ----

document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName || "");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.querySelector("input[name=q]");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});

// ---- begin ----

async function begin() {
  prepare();
  if (sessionStorage.getItem(KEPT)) {
    // Not the page of everybody for a moment.
    document.documentElement.classList.add("asking");
    try {
      const { answer, page } = await ask(withKey());
      // Somebody has scanned what only holders of keys see.
      if (answer.redirected) return location.replace(answer.url);
      if (answer.status === 401) sessionStorage.removeItem(KEPT);
      else if (page) show(page);
    } catch {
      say("off", "Connecting again…");
    }
    document.documentElement.classList.remove("asking");
  }
  live();
}

begin();
