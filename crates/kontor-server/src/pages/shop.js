// The cart of a buyer, who has no key: a client of the public API, like any shop's own page. The cart's id and
// token are kept by the browser, one cart for each currency; all else is asked for.
"use strict";

{
  const KEPT_CART = "kontor.cart.";
  let cart, order, timer;

  const currency = () => part("cart")?.dataset.currency;

  function kept() {
    try {
      return JSON.parse(localStorage.getItem(KEPT_CART + currency()));
    } catch {
      return null;
    }
  }

  function keep(opened) {
    if (opened) localStorage.setItem(KEPT_CART + currency(), JSON.stringify({ id: opened.id, token: opened.token }));
    else localStorage.removeItem(KEPT_CART + currency());
  }

  // A buyer shows the cart's token, and never a key of the seller.
  const asBuyer = () => ({ "X-Cart-Token": kept().token });
  const pathOf = (rest = "") => "/api/v1/carts/" + encodeURIComponent(kept().id) + rest;
  const orderPath = (rest = "") => "/api/v1/orders/" + encodeURIComponent(order.id) + rest;

  // One after another, so that two quick clicks open one cart.
  let turn = Promise.resolve();
  function inTurn(task) {
    turn = turn.then(task).catch(() => notice("The server did not answer. Try again: nothing is done twice."));
    return turn;
  }

  // ---- building ----

  function make(tag, fields = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(fields)) {
      if (name === "on") made.addEventListener(...value);
      else if (name in made) made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== undefined && child !== ""));
    return made;
  }

  const money = (amount) => `${amount.amount} ${amount.currency}`;
  const button = (text, click, fields = {}) => make("button", { type: "button", textContent: text, on: ["click", click], ...fields });

  function put(id, text) {
    const place = part(id);
    place.textContent = text || "";
    place.hidden = !text;
  }

  const notice = (text) => put("notice", text);
  const wrong = (text) => put("buy-error", text);

  // ---- what is missing, in words ----

  function inWords(missing) {
    switch (missing.code) {
      case "insufficient_stock":
        return missing.available > 0 ? `Only ${missing.available} can be had: take fewer.` : "It is sold out.";
      case "quota_exhausted_here":
        return `Only ${Math.max(missing.available, 0)} can be had this moment; others are being asked for. Try again.`;
      case "price_changed": return "Its price has changed.";
      case "price_missing": return `It has no price in ${missing.currency} any more.`;
      case "product_archived": case "product_draft": case "unknown_sku": return "It is not sold any more.";
      case "cart_empty": return "Nothing is in it yet.";
      default: return missing.detail;
    }
  }

  const about = (sku) => cart.requirements.filter((missing) => missing.sku === sku);
  const isWarned = (code) => cart?.warnings.some((warning) => warning.code === code);

  // ---- showing ----

  function line(of) {
    const id = "quantity-" + of.sku, called = of.title || of.sku;
    const quantity = make("input", {
      id, type: "number", min: "0", max: "1000000000", value: of.quantity, "aria-label": "Units of " + called,
      on: ["change", (event) => inTurn(() => set(of.sku, Number(event.target.value)))],
    });
    const remove = button("Remove", () => inTurn(() => set(of.sku, 0)), { "aria-label": "Remove " + called });
    const now = of.price_now && make("p", { className: "bad" }, `It costs ${money(of.price_now)} now. `,
      button("Accept the prices of now", () => inTurn(accept), { id: "accept-" + of.sku }));
    const missing = about(of.sku).filter((one) => !(now && one.code === "price_changed"));
    return make("li", {},
      make("div", { className: "what" }, make("b", { textContent: called }), make("div", { className: "sub", textContent: of.sku })),
      make("div", { className: "line" }, quantity, make("span", { textContent: of.price ? "× " + money(of.price) : "" }),
        make("span", { className: "number", textContent: of.total ? money(of.total) : "" }), remove),
      now, ...missing.map((one) => make("p", { className: "bad", textContent: inWords(one) })));
  }

  function cartShown() {
    if (!cart || (cart.lines.length === 0 && cart.status === "open")) {
      return [make("p", { className: "none", textContent: "Nothing is in it yet." })];
    }
    const rest = cart.requirements.filter((missing) => !cart.lines.some((one) => one.sku === missing.sku));
    return [
      make("ul", { className: "lines" }, ...cart.lines.map(line)),
      ...cart.amounts.map((one) => make("p", { textContent: `${one.label}: ${money(one.amount)}` })),
      make("p", { className: "total" }, "Total ", make("b", { id: "total", textContent: cart.total ? money(cart.total) : "not known yet" })),
      ...rest.map((missing) => make("p", { className: "bad", textContent: inWords(missing) })),
      cart.held_until ? make("p", { className: "hint", textContent: "Held for you until " + clock(cart.held_until) + "." }) : undefined,
      isWarned("hold_expired") ? make("p", { className: "bad", textContent: "It is not held for you any more. Change a line to have it held again." }) : undefined,
    ].filter(Boolean);
  }

  const clock = (time) => time.slice(11, 16) + " UTC";
  const words = (word) => word.replaceAll("_", " ");
  const isAsked = () => order.payments.some((payment) => payment.pending && !payment.pending.parked);
  const isOver = () => ["canceled", "completed"].includes(order.status);
  const isUndecided = () => order.payment_status === "pending" && order.payments.some((payment) => payment.pending);
  const canPay = () => !isOver() && (order.payment_status === "failed" || (order.payment_status === "pending" && !isUndecided()));

  function verdict() {
    const said = order.payments.at(-1)?.reason;
    const held = order.held_until ? ` Your goods are held until ${clock(order.held_until)}.` : "";
    if (order.status === "canceled") return ["bad", "The order is canceled. What was taken of your money goes back."];
    if (order.payment_status === "failed") {
      return ["bad", `The card was not taken${said ? ": " + words(said) : ""}. Try another one.${held}`];
    }
    if (isUndecided()) return ["", "The payment provider is being asked…" + held];
    if (order.status === "open") return ["", "The order is placed, and waits to be paid." + held];
    if (order.fulfillment_status === "unfulfilled") return ["good", "Thank you. It is paid for, and is yours."];
    return ["good", `Thank you. Your goods: ${words(order.fulfillment_status)}.`];
  }

  function orderShown() {
    const [kind, text] = verdict();
    const canCancel = !isOver() && order.fulfillment_status === "unfulfilled";
    const why = isOver() ? `It is ${order.status}.` : "Some of it was handed out.";
    return [
      make("h3", { id: "order-number", textContent: "Order " + order.number }),
      make("p", { id: "verdict", tabIndex: -1, className: "verdict " + kind, role: "status", textContent: text }),
      make("ul", {}, ...order.lines.map((one) => make("li", { textContent: `${one.quantity} × ${one.title || one.sku}: ${money(one.total)}` }))),
      make("p", { className: "total" }, "Total ", make("b", { textContent: money(order.total) })),
      make("p", { className: "hint", textContent: ["status", "payment_status", "fulfillment_status"].map((axis) => words(order[axis])).join(" · ") }),
      make("div", { className: "buttons" },
        button("Cancel the order", () => inTurn(cancel), { id: "cancel", disabled: !canCancel, title: canCancel ? "" : why }),
        button("Begin a new cart", () => { keep(null); inTurn(load); }, {
          id: "new-cart", disabled: canPay() || isUndecided(), title: canPay() || isUndecided() ? "Pay or cancel this order first" : "",
        })),
    ];
  }

  function render() {
    if (!part("cart")) return;
    keepFocus(part("cart-lines"), () => part("cart-lines").replaceChildren(...(order ? orderShown() : cartShown())), () => part("cart-lines"));
    part("cart-title").textContent = order ? "Your order" : "Cart";
    const closed = order && (canPay() || isUndecided() ? "Pay or cancel your order first" : "Begin a new cart first");
    for (const one of found("[data-put]")) {
      one.disabled = Boolean(closed);
      one.title = closed || "";
    }
    const isFilled = cart?.status === "open" && cart.lines.length > 0;
    part("buy").hidden = order ? !canPay() : !isFilled;
    part("reached").hidden = Boolean(order);
    put("email-why", isWarned("no_email") ? "Without it nobody can write to you." : "");
    put("ship-why", isWarned("no_ship_to") ? "Without an address nobody knows where the goods go." : "");
    const total = order?.total ?? cart?.total;
    const isFree = total && Number(total.amount) === 0;
    part("paying").hidden = Boolean(isFree);
    const missing = !order && cart?.requirements[0];
    const why = missing ? inWords(missing)
      : part("cart").dataset.pays !== "true" && !isFree ? "This site makes no payments." : "";
    part("pay").disabled = Boolean(why);
    part("pay").textContent = isFree ? "Order" : total ? "Pay " + money(total) : "Pay";
    put("pay-why", why);
  }

  // What is known is filled in where nothing is typed.
  function fill() {
    const contact = cart?.contact;
    const known = { email: contact?.email, ...(contact?.ship_to || {}) };
    for (const id of ["email", ...ADDRESS]) if (known[id] && !part(id).value) part(id).value = known[id];
  }

  // ---- asking ----

  async function load() {
    let found, placed;
    if (kept()) {
      const answer = await fetch(pathOf(), { headers: asBuyer() });
      const said = await answer.json().catch(() => ({}));
      if (answer.ok) found = said;
      else if (answer.status === 404) {
        // Nobody came back for too long.
        keep(null);
        notice("Your cart is not kept any more. Begin a new one.");
      } else notice(why(said));
    }
    if (found?.status === "ordered") placed = await readOrder(found.order_id);
    // Where nobody answered, what is shown stays.
    [cart, order] = [found, placed];
    fill();
    render();
    watch();
  }

  async function readOrder(id) {
    const answer = await fetch("/api/v1/orders/" + encodeURIComponent(id), { headers: asBuyer() });
    return answer.ok ? answer.json() : undefined;
  }

  // Looks again, soon while somebody is asked, until nothing becomes of it any more.
  function watch() {
    clearTimeout(timer);
    if (!order || (isOver() && !isAsked())) return;
    timer = setTimeout(() => inTurn(async () => {
      if (order && !document.hidden) {
        order = (await readOrder(order.id)) ?? order;
        render();
      }
      watch();
    }), isAsked() ? 1500 : 15000);
  }

  // Takes a cart as it was answered, or says why not.
  async function take({ ok, status, said }) {
    if (ok) {
      notice("");
      cart = said;
      render();
    } else {
      notice(why(said));
      if (status === 404 || status === 409) await load();
    }
    return ok;
  }

  async function putIn(sku) {
    const lines = [{ sku, quantity: 1 }];
    if (kept()) return take(await send("POST", pathOf("/lines"), { lines }, asBuyer()));
    // Without an idempotency key: the token is told once, and whoever missed it opens another cart.
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch("/api/v1/carts", { method: "POST", headers, body: JSON.stringify({ currency: currency(), lines }) });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) keep(said);
    return take({ ok: answer.ok, status: answer.status, said });
  }

  async function set(sku, quantity) {
    if (!Number.isInteger(quantity) || quantity < 0) return render();
    await take(await send("PUT", pathOf("/lines/" + encodeURIComponent(sku)), { quantity }, asBuyer()));
  }

  const accept = async () => take(await send("POST", pathOf("/accept-prices"), {}, asBuyer()));

  async function cancel() {
    const { ok, said } = await send("POST", orderPath("/cancel"), {}, asBuyer());
    notice(ok ? "" : why(said));
    await load();
  }

  const ADDRESS = ["name", "line1", "line2", "postal_code", "city", "country"];
  const typed = (id) => part(id).value.trim();

  // Keeps where the buyer is reached; says what is wrong with it only to whoever wants to pay.
  async function reach(isPaying) {
    const contact = {};
    if (typed("email") && (isPaying || part("email").checkValidity())) contact.email = typed("email");
    const address = Object.fromEntries(ADDRESS.filter(typed).map((id) => [id, typed(id)]));
    const missing = ["name", "line1", "city", "country"].find((id) => !address[id]);
    if (Object.keys(address).length > 0) {
      address.country = address.country?.toUpperCase();
      if (!missing) contact.ship_to = address;
      else if (isPaying) {
        wrong("An address has a name, a street, a town and a country; or leave all of it empty.");
        part(missing).focus();
        return false;
      }
    }
    if (Object.keys(contact).length === 0) return true;
    const sent = await send("PATCH", pathOf(), { contact }, asBuyer());
    if (sent.ok) return take(sent);
    if (isPaying) wrong(why(sent.said));
    return false;
  }

  // Exchanges the card. Its number is sent here and nowhere else, and under no key that would be remembered.
  async function token() {
    const number = typed("card");
    const until = typed("expires").match(/^(\d{1,2}) ?\/ ?(?:20)?(\d{2})$/);
    if (!number || (typed("expires") && !until)) {
      wrong(number ? "Good until when? Two digits of the month, a slash, and two of the year." : "Which card? Type its number.");
      part(number ? "expires" : "card").focus();
      return undefined;
    }
    const card = until ? { number, expires: { month: Number(until[1]), year: 2000 + Number(until[2]) } } : { number };
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch("/api/v1/payments/tokens", { method: "POST", headers, body: JSON.stringify(card) });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      wrong(why(said));
      part("card").select();
      return undefined;
    }
    for (const id of ["card", "expires"]) part(id).value = "";
    return said.payment_method;
  }

  async function pay() {
    wrong("");
    part("pay").disabled = true;
    try {
      if (!order && !(await reach(true))) return;
      const isFree = Number((order ?? cart).total.amount) === 0;
      const method = isFree ? undefined : await token();
      if (!method && !isFree) return;
      notice("The payment provider is being asked…");
      const body = order ? { method, wait_s: 10 } : { ...(method && { payment_method: method }), wait_s: 10 };
      const { ok, said } = await send("POST", order ? orderPath("/payments") : pathOf("/checkout"), body, asBuyer());
      notice("");
      if (!ok) wrong(why(said));
      await load();
      if (!order) return;
      part(canPay() ? "card" : "verdict")?.focus();
    } catch {
      notice("");
      wrong("The server did not answer. Pay again: there is one order, whatever happens.");
    } finally {
      render();
    }
  }

  // ---- begin ----

  document.addEventListener("click", (event) => {
    const sku = event.target.closest("[data-put]")?.dataset.put;
    if (sku) inTurn(() => putIn(sku));
    const card = event.target.closest("[data-card]")?.dataset.card;
    if (card) {
      part("card").value = card;
      part("card").focus();
    }
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "buy") return;
    event.preventDefault();
    inTurn(pay);
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest("#reached") && cart?.status === "open") inTurn(() => reach(false));
  });
  // The page was asked for anew, because something that it shows is not as it was.
  document.addEventListener("renewed", () => { if (currency()) inTurn(load); });
  if (currency()) inTurn(load);
}
