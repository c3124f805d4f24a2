// Keeps the stock table true: listens to the change feed, reads the stock of the SKUs that changed,
// and writes their rows anew. A client of the public API like any other.
"use strict";

const FIELDS = ["on_hand", "reserved", "committed", "available"];
const live = document.getElementById("live");
const feed = document.getElementById("feed");
const table = document.getElementById("stock");
const filter = document.getElementById("filter");

function say(state, text) {
  live.className = "live " + state;
  live.textContent = text;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// ---- rows ----

function groupOf(sku) {
  return table ? [...table.tBodies].find((group) => group.dataset.sku === sku) : undefined;
}

function headOf(stock, rows) {
  const head = element("th");
  head.scope = "rowgroup";
  head.rowSpan = rows;
  const link = element("a", stock.sku);
  link.href = "/api/v1/stock/" + encodeURIComponent(stock.sku);
  head.append(link);
  const title = element("td", stock.title, "title");
  title.rowSpan = rows;
  return [head, title];
}

function write(group, stock) {
  const before = new Map();
  for (const row of group.rows) {
    for (const cell of row.querySelectorAll("[data-field]")) {
      before.set(row.dataset.location + "/" + cell.dataset.field, cell.textContent);
    }
  }
  const rows = stock.levels.map((level, index) => {
    const row = element("tr");
    row.dataset.location = level.location;
    if (index === 0) row.append(...headOf(stock, stock.levels.length));
    row.append(element("td", level.location));
    for (const field of FIELDS) {
      const cell = element("td", String(level[field]), "number");
      cell.dataset.field = field;
      if (field === "available" && level[field] <= 0) cell.classList.add("short");
      if (before.get(level.location + "/" + field) !== cell.textContent) cell.classList.add("changed");
      row.append(cell);
    }
    return row;
  });
  if (rows.length === 0) {
    const row = element("tr");
    const none = element("td", "Never in stock anywhere", "none");
    none.colSpan = 5;
    row.append(...headOf(stock, 1), none);
    rows.push(row);
  }
  group.dataset.title = stock.title;
  group.replaceChildren(...rows);
}

// ---- reading what changed, a few at a time ----

const wanted = new Set();
let reading = false;

async function readWanted() {
  if (reading) return;
  reading = true;
  while (wanted.size > 0) {
    const skus = [...wanted].slice(0, 8);
    skus.forEach((sku) => wanted.delete(sku));
    await Promise.all(skus.map(async (sku) => {
      const group = groupOf(sku);
      if (!group) return;
      try {
        const answer = await fetch("/api/v1/stock/" + encodeURIComponent(sku));
        if (answer.ok) write(group, await answer.json());
      } catch {
        wanted.add(sku);
      }
    }));
    await new Promise((later) => setTimeout(later, 100));
  }
  reading = false;
}

// ---- the feed ----

function sentences(event) {
  switch (event.type) {
    case "product_created": return [`${event.sku}: ${event.title} was added`];
    case "product_changed": return [`${event.id} was changed`];
    case "product_deleted": return [`${event.id} was deleted`];
    case "location_opened": return [`${event.name} was opened`];
    case "location_renamed": return [`${event.id} is now ${event.name}`];
    case "stock_changed": return event.lines.map((line) => `Stock of ${line.sku} at ${line.location} changed`);
    default: return [];
  }
}

function skusOf(event) {
  return [event.sku, ...(event.lines || []).map((line) => line.sku)].filter(Boolean);
}

function show(change) {
  document.getElementById("feed-empty").hidden = true;
  const time = new Date(change.recorded_at);
  for (const text of change.events.flatMap(sentences).slice(0, 6)) {
    const item = element("li");
    const stamp = element("time", time.toLocaleTimeString());
    stamp.dateTime = change.recorded_at;
    item.append(stamp, " " + text);
    feed.prepend(item);
  }
  while (feed.children.length > 20) feed.lastChild.remove();
  const isNew = change.events.some((event) => event.type === "product_created");
  if (isNew && (!table || !document.querySelector("nav.pages [rel=next]"))) offerReload();
  // A title or a policy of any of the product's SKUs may have changed.
  const edited = change.events.filter((event) => event.type === "product_changed").length > 0;
  if (edited && table) for (const group of table.tBodies) wanted.add(group.dataset.sku);
  change.events.flatMap(skusOf).forEach((sku) => wanted.add(sku));
  readWanted();
}

function offerReload() {
  if (document.getElementById("reload")) return;
  const note = element("p", "There are new products. ", "note");
  note.id = "reload";
  const link = element("a", "Show them");
  link.href = location.href;
  note.append(link);
  document.querySelector(".head").after(note);
}

const source = new EventSource("/api/v1/changes?after=" + feed.dataset.after);
source.addEventListener("open", () => say("on", "Live"));
source.addEventListener("error", () => say("off", "Connecting again…"));
source.addEventListener("change", (message) => show(JSON.parse(message.data)));

// ---- filter and keys ----

function applyFilter() {
  const words = filter.value.trim().toLowerCase();
  for (const group of table.tBodies) {
    const locations = [...group.rows].map((row) => row.dataset.location || "").join(" ");
    const text = `${group.dataset.sku} ${group.dataset.title} ${locations}`.toLowerCase();
    group.hidden = !text.includes(words);
  }
}

if (filter) {
  filter.addEventListener("input", applyFilter);
  filter.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      filter.value = "";
      applyFilter();
      filter.blur();
    }
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName || "");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      filter.focus();
    }
  });
}
