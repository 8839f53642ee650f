// Puts a field for a scenario on Locust's start form. While one is chosen, what it says itself (streams, rates, seed, budget, duration) is switched off.
(() => {
  "use strict";
  const EVERY_MS = 200, QUIET_MS = 300, KEPT = ["scenario", "runs"]; // fields that count beside a scenario
  const make = (name, cls, text) => { const e = document.createElement(name); if (cls) e.className = cls; if (text !== undefined) e.textContent = text; return e; };
  const fields = new WeakMap(); // form → its field, once it is there
  let asking = false;

  const place = async form => {
    if (fields.has(form)) return switched(form);
    if (asking) return;
    asking = true;
    try {
      const offered = await (await fetch("./p2p/scenarios")).json();
      if (form.isConnected && !fields.has(form)) attach(form, offered);
    } catch { /* Locust does not answer: the banner says so, and the next look asks again */ }
    asking = false;
  };
  const attach = (form, offered) => {
    const box = make("label", "p2p-scenario"), input = make("input"), list = make("datalist"), says = make("span", "soft"), sent = make("input");
    for (const name of offered.names) { const option = make("option"); option.value = name; list.append(option); }
    list.id = "p2p-scenarios-" + Math.random().toString(36).slice(2); input.setAttribute("list", list.id); input.placeholder = "none"; input.autocomplete = "off"; input.spellcheck = false; says.setAttribute("role", "status");
    sent.type = "hidden"; sent.name = "scenario"; form.prepend(sent);
    box.append(make("b", "", "Scenario"), input, list, says);
    const before = form.previousElementSibling, picker = before && before.querySelector("input[type=checkbox]") ? before : null;
    form.parentNode.insertBefore(box, picker || form);
    const field = { sent, picker, timer: 0 };
    fields.set(form, field);
    const changed = () => {
      const named = sent.value = input.value.trim();
      says.className = "soft"; says.textContent = named ? "…" : offered.without;
      switched(form); clearTimeout(field.timer);
      if (named) field.timer = setTimeout(() => hint(named, sent, says), QUIET_MS);
    };
    input.oninput = changed; input.value = offered.chosen; changed();
  };
  const hint = async (named, sent, says) => { // what it would play, or why it cannot
    try {
      const answer = await (await fetch("./p2p/do/scenario", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ named }) })).json();
      if (sent.value === named) { says.textContent = answer.says; says.className = answer.plays ? "good" : "bad"; }
    } catch { says.textContent = "Locust does not answer"; says.className = "bad"; }
  };
  const switched = form => {
    whole(form);
    const { sent, picker } = fields.get(form), off = sent.value !== "";
    form.classList.toggle("p2p-off", off);
    for (const input of form.querySelectorAll("input, select, textarea")) if (!KEPT.includes(input.name)) input.disabled = off;
    if (picker) { picker.inert = off; picker.classList.toggle("p2p-dim", off); }
  };
  const whole = form => { // what Locust cuts off of a field's name stands below the field
    for (const label of form.querySelectorAll("label.MuiInputLabel-root")) {
      const help = label.parentNode.querySelector(".p2p-help"), cut = label.scrollWidth > label.clientWidth + 1;
      if (help) help.hidden = !cut; else if (cut) label.parentNode.append(make("small", "p2p-help", label.textContent));
    }
  };
  setInterval(() => { for (const users of document.querySelectorAll("form input[name=userCount]")) place(users.form); }, EVERY_MS);
})();
