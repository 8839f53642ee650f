// Draws our tabs into Locust's page from the JSON of ./p2p/view/TAB, once a second; text is never HTML but for blocks "svg".
(() => {
  "use strict";
  const EVERY_MS = 1000, LATE_MS = 5000, LOOK_MS = 60000, SVG = "http://www.w3.org/2000/svg";
  const make = (name, cls, text) => { const e = document.createElement(name); if (cls) e.className = cls; if (text !== undefined) e.textContent = text; return e; };
  const banner = make("div", "p2p-banner"), panel = make("section", "p2p-panel"), body = make("div"), forms = make("div");
  const filter = make("input", "p2p-filter"), says = make("p", "p2p-says");
  filter.placeholder = "filter"; filter.type = "search"; filter.setAttribute("aria-label", "filter"); banner.setAttribute("role", "status"); says.setAttribute("role", "status");
  const still = make("p", "soft p2p-still", "the table below stands still while you are at one of its buttons");
  panel.append(filter, says, still, body, forms); still.hidden = true;
  let shown = "", busy = false, acts = 0, drawn = 0; // of the acts so far, how many the table shows: what was asked before an act does not show it

  const selected = () => { // the tab of ours that is chosen, "" where it is one of Locust's
    const tab = document.querySelector('[role=tab][aria-selected="true"]');
    const key = tab ? tab.textContent.trim().toLowerCase() : "";
    return ["cluster", "faults", "topology", "verdict", "delivery"].includes(key) ? key : "";
  };
  const post = async (route, what) => {
    says.textContent = "…"; says.className = "p2p-says";
    try {
      const answer = await fetch("./p2p/do/" + route, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) });
      says.textContent = (await answer.json()).says; says.className = "p2p-says " + (answer.ok ? "good" : "bad");
    } catch { says.textContent = "Locust does not answer"; says.className = "p2p-says bad"; }
    acts += 1; draw();
  };
  const spark = text => {
    const values = text.split(" ");
    const chart = document.createElementNS(SVG, "svg"), line = document.createElementNS(SVG, "polyline");
    chart.setAttribute("viewBox", "0 0 60 16"); chart.setAttribute("class", "p2p-spark");
    line.setAttribute("points", values.map((v, i) => `${i * 60 / Math.max(1, values.length - 1)},${15 - 0.14 * v}`).join(" "));
    chart.append(line); return chart;
  };
  const cell = (value, column) => {
    const td = make("td", column.number ? "number" : "");
    td.dataset.label = column.title;
    if (value !== null && typeof value === "object" && "spark" in value) { td.textContent = value.text; if (value.spark.includes(" ")) td.append(spark(value.spark)); }
    else if (value !== null && typeof value === "object") { td.textContent = value.text; if (value.level) td.classList.add(value.level); }
    else td.textContent = value;
    return td;
  };
  const kinds = {
    text: b => make("p", b.level, b.text),
    link: b => { const a = make("a", "", b.text); a.href = b.href; a.target = "_blank"; return a; },
    svg: b => { const d = make("div"); d.innerHTML = b.svg; return d; },
    table: b => {
      const box = make("div", "p2p-scroll"), table = make("table"), head = make("tr"), acts = b.rows.some(r => r.actions.length);
      for (const c of b.columns) head.append(make("th", c.number ? "number" : "", c.title));
      if (acts) head.append(make("th"));
      table.append(make("thead")); table.tHead.append(head); table.append(make("tbody"));
      for (const row of b.rows) {
        const tr = make("tr");
        row.cells.forEach((value, i) => tr.append(cell(value, b.columns[i])));
        if (acts) { const td = make("td", "acts"); for (const a of row.actions) { const button = make("button", "", a.label); button.onclick = () => post(a.route, a.body); td.append(button); } tr.append(td); }
        table.tBodies[0].append(tr);
      }
      box.append(table); if (b.note) box.append(make("p", "soft", b.note)); return box;
    },
    form: b => {
      const form = make("form"), kind = make("select"), kinds = make("label", "p2p-kind"), labels = {}; form.append(make("h3", "", b.title));
      b.kinds.forEach((k, i) => { const option = make("option", "", k.title); option.value = i; kind.append(option); });
      const note = make("span", "soft"); kinds.append(make("b", "", "what"), kind, note); form.append(kinds);
      for (const f of b.fields) {
        const label = make("label"); label.append(make("b", "", f.name));
        let input = make("input");
        if (f.choices.length) { input = make("select"); for (const c of ["", ...f.choices]) input.append(make("option", "", c)); } else input.placeholder = f.example;
        input.name = f.name; label.append(input, make("span", "soft", f.sentence)); form.append(label); labels[f.name] = label;
      }
      kind.onchange = () => { // only what a fault of this kind takes is offered, and sent
        note.textContent = b.kinds[kind.value].note;
        for (const [name, label] of Object.entries(labels)) { const off = !b.kinds[kind.value].fields.includes(name); label.hidden = off; label.children[1].disabled = off; }
      };
      kind.onchange();
      form.append(make("button", "", b.submit));
      form.onsubmit = e => { e.preventDefault(); post(b.route, { ...b.kinds[kind.value].says, ...Object.fromEntries(new FormData(form)) }); };
      return form;
    },
  };
  const place = key => {
    for (const name of ["userCount", "spawnRate"]) { const box = document.querySelector(`input[name=${name}]`)?.closest(".MuiFormControl-root"); if (box) box.style.display = "none"; } // one user a stream
    for (const button of document.querySelectorAll("#root button")) if (button.textContent.trim().toLowerCase() === "edit") button.style.display = "none"; // rates of a run are fixed
    const dark = getComputedStyle(document.body).backgroundColor.match(/\d+/g) || [255];
    document.documentElement.classList.toggle("p2p-dark", Number(dark[0]) < 128);
    const root = document.querySelector("#root");
    if (banner.parentNode !== document.body) document.body.prepend(banner);
    const list = document.querySelector("[role=tablist]"), home = list && (list.closest(".MuiContainer-root") || list.parentNode) || root;
    if (!key) panel.remove(); else if (panel.parentNode !== home) home.append(panel);
  };
  const fill = (blocks, after) => { // a row that went away under somebody's hand would have another node's button pressed
    still.hidden = after > drawn || !body.querySelector(".acts button:is(:hover, :active, :focus-visible)");
    if (!still.hidden) return;
    const scrolled = [...body.querySelectorAll(".p2p-scroll")].map(box => box.scrollLeft);
    body.replaceChildren(...blocks.map(b => kinds[b.kind](b)));
    body.querySelectorAll(".p2p-scroll").forEach((box, i) => { box.scrollLeft = scrolled[i] || 0; });
    drawn = after;
  };
  const said_of = line => {
    const said = make("p", line.level, line.text);
    if (line.href) said.append(" · ", kinds.link({ href: line.href, text: "the report" }));
    return said;
  };
  const unanswered = () => banner.replaceChildren(make("p", "bad", "Locust does not answer: it has ended, or it or its host is too busy; what is shown is old"));
  const draw = async () => {
    if (busy) return;
    busy = true;
    const key = selected(), after = acts;
    place(key);
    if (key !== shown) { says.textContent = ""; filter.value = ""; body.replaceChildren(); forms.replaceChildren(); } // a filter is one tab's
    const late = setTimeout(unanswered, LATE_MS); // and what it answers later is shown all the same
    try {
      const answer = await fetch(`./p2p/view/${key || "banner"}?filter=${encodeURIComponent(filter.value)}`, { signal: AbortSignal.timeout(LOOK_MS) }), said = await answer.json();
      const lines = said.problem ? [{ text: said.problem, level: "bad" }, ...said.banner] : said.banner;
      banner.replaceChildren(...lines.map(said_of));
      if (key && key === selected()) fill(said.blocks, after);
      if (key !== shown) {
        shown = key;
        if (key === "faults") forms.append(kinds.form(await (await fetch("./p2p/form")).json()));
      }
    } catch { unanswered(); }
    clearTimeout(late);
    busy = false;
  };
  filter.oninput = draw;
  document.addEventListener("click", () => setTimeout(draw, 50));
  setInterval(draw, EVERY_MS); draw();
})();
