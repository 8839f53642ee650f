// Theme, the values under the pointer, and the series of single nodes. The page is whole without it.
(() => {
  const root = document.documentElement;
  document.querySelector("#theme").addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : system;
    root.dataset.theme = dark ? "light" : "dark";
  });
  const number = (value) => {
    if (value === null || value === undefined) return "–";
    return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
  };
  const range = (low, high) => low === high ? number(low) : `${number(low)} to ${number(high)}`;

  // Puts what `told` says of the nearest point beside the pointer. `at(seconds)` → {second, lines}.
  const point = (figure, svg, end, told) => {
    const left = +svg.dataset.left, right = +svg.dataset.right, width = +svg.dataset.width;
    const cross = svg.querySelector(".cross");
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    figure.append(tip);
    const show = (event) => {
      const box = svg.getBoundingClientRect(), frame = figure.getBoundingClientRect();
      const across = width - left - right;
      const view = (event.clientX - box.left) / box.width * width;
      const found = told((view - left) / across * end);
      const x = left + Math.min(Math.max(found.second, 0), end) / end * across;
      cross.setAttribute("x1", x);
      cross.setAttribute("x2", x);
      cross.removeAttribute("hidden");
      tip.replaceChildren(...found.lines.flatMap((line, index) =>
        index ? [document.createElement("br"), line] : [line]));
      tip.hidden = false;
      const at = x / width * box.width + box.left - frame.left;
      const fits = at + tip.offsetWidth + 16 <= figure.clientWidth;
      tip.style.left = `${Math.max(fits ? at + 8 : at - tip.offsetWidth - 8, 0)}px`;
      tip.style.top = `${box.top - frame.top + 24}px`;
    };
    svg.addEventListener("pointermove", show);
    svg.addEventListener("pointerdown", show);
    svg.addEventListener("pointerleave", () => {
      tip.hidden = true;
      cross.setAttribute("hidden", "");
    });
  };
  const nearest = (moments, at) => {
    let best = 0;
    moments.forEach((second, index) => {
      if (Math.abs(second - at) < Math.abs(moments[best] - at)) best = index;
    });
    return best;
  };

  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    let chart = null;  // read when it is first pointed at: a page has many
    const read = () => chart ??= JSON.parse(figure.querySelector("script").textContent);
    const svg = figure.querySelector("svg");
    figure.addEventListener("pointerenter", () => {
      if (chart) return;
      const { end } = read();
      point(figure, svg, end, (at) => {
        const index = nearest(chart.at, at), first = chart.pair ? index - index % 2 : index;
        const last = chart.pair ? first + 1 : index;
        const lines = chart.lines.map((line) => {
          const all = [line.values[first], line.values[last]];
          if (line.upper) all.push(line.upper[first], line.upper[last]);
          const known = all.filter((value) => value !== null && value !== undefined);
          const said = known.length ? range(Math.min(...known), Math.max(...known)) : "–";
          return `${line.name}: ${said} ${chart.unit}`;
        });
        const marks = chart.marks.filter(([from, until]) => chart.at[index] >= from && chart.at[index] < until);
        return {
          second: chart.at[index],
          lines: [`${chart.at[index].toFixed(1)} s`, ...lines, ...marks.map((mark) => mark[2])],
        };
      });
    });
  }

  // The series of single nodes: drawn when asked for.
  const single = document.querySelector("#single");
  if (!single) return;
  const SVG = "http://www.w3.org/2000/svg";
  const NOTHING = 65535, WIDTH = 520, HEIGHT = 220, LEFT = 64, RIGHT = 12, TOP = 10, FLOOR = 192;
  const data = JSON.parse(document.querySelector("#single-data").textContent);
  const what = document.querySelector("#single-what"), name = document.querySelector("#single-name");
  const plot = document.querySelector("#single-plot"), keys = document.querySelector("#single-keys");
  const decoded = new Map();
  let chosen = [];
  const decode = (text) => {
    if (!decoded.has(text)) {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      decoded.set(text, new Uint16Array(bytes.buffer));
    }
    return decoded.get(text);
  };
  const seriesOf = (one, node) => {
    const low = decode(one.low), high = one.high ? decode(one.high) : low;
    const count = low.length / data.names.length, from = node * count;
    const value = (raw) => raw === NOTHING ? null : one.least + raw * one.step;
    return {
      low: Array.from(low.subarray(from, from + count), value),
      high: Array.from(high.subarray(from, from + count), value),
    };
  };
  const element = (kind, attributes, text) => {
    const made = document.createElementNS(SVG, kind);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const axis = (most) => {
    const rough = (most > 0 ? most : 1) / 4, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999);
    const count = Math.ceil((most > 0 ? most : 1) / step * 0.999);
    return { top: count * step, ticks: Array.from({ length: count + 1 }, (_, at) => at * step) };
  };
  const outline = (low, high, x, y) => {
    let path = "", drawing = false;
    low.forEach((value, index) => {
      if (value === null) { drawing = false; return; }
      path += `${drawing ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      if (high[index] !== value) path += `L${x(index).toFixed(1)} ${y(high[index]).toFixed(1)}`;
      if (!drawing && (low[index + 1] ?? null) === null) path += "h2";
      drawing = true;
    });
    return path;
  };
  const draw = () => {
    const one = data.series[what.value];
    const lines = chosen.map((node) => ({ node, ...seriesOf(one, node) }));
    const known = lines.flatMap((line) => line.high).filter((value) => value !== null);
    const { top, ticks } = axis(known.reduce((most, value) => Math.max(most, value), 0));
    const x = (index) => LEFT + Math.min((index + .5) * data.seconds, data.end) / data.end * (WIDTH - LEFT - RIGHT);
    const y = (value) => FLOOR - value / top * (FLOOR - TOP);
    const svg = element("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": one.title,
      "data-left": LEFT, "data-right": RIGHT, "data-width": WIDTH,
    });
    for (const tick of ticks) {
      const at = y(tick);
      svg.append(element("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at }));
      const text = +tick.toPrecision(6);
      svg.append(element("text", { x: LEFT - 5, y: at + 4, "text-anchor": "end" }, text.toLocaleString("en")));
    }
    const [far, unit] = data.end >= 600 ? [60, "min"] : [1, "s"];
    for (const tick of axis(data.end / far).ticks.filter((one) => one * far <= data.end)) {
      const at = LEFT + tick * far / data.end * (WIDTH - LEFT - RIGHT), last = at > WIDTH - 40;
      const place = { x: last ? WIDTH - 2 : at, y: HEIGHT - 10, "text-anchor": last ? "end" : "middle" };
      svg.append(element("text", place, `${+tick.toPrecision(6)} ${unit}`));
    }
    lines.forEach((line, index) => {
      const path = element("path", { class: `line c${index % 7}`, d: outline(line.low, line.high, x, y) });
      path.append(element("title", {}, data.names[line.node]));
      svg.append(path);
    });
    svg.append(element("line", { class: "cross", y1: TOP, y2: FLOOR, hidden: "" }));
    plot.replaceChildren(svg);
    plot.parentElement.querySelectorAll(".tip").forEach((tip) => tip.remove());
    keys.replaceChildren(...chosen.map((node, index) => {
      const key = document.createElement("button");
      key.type = "button";
      key.className = `key c${index % 7}`;
      key.textContent = `${data.names[node]} ×`;
      key.title = "leave it out";
      key.addEventListener("click", () => { chosen = chosen.filter((other) => other !== node); draw(); });
      return key;
    }));
    point(plot.parentElement, svg, data.end, (at) => {
      const most = (lines[0]?.low.length ?? 1) - 1;
      const index = Math.min(Math.max(Math.floor(at / data.seconds), 0), most);
      const told = lines.map((line) =>
        `${data.names[line.node]}: ${range(line.low[index], line.high[index])} ${one.unit}`);
      const second = (index + .5) * data.seconds;
      return { second, lines: [`${second.toFixed(1)} s`, ...told] };
    });
  };
  const add = (node) => {
    if (node >= 0 && !chosen.includes(node)) chosen = [...chosen, node];
    draw();
  };
  const worst = () => { chosen = data.series[what.value].worst; draw(); };
  what.addEventListener("change", draw);
  document.querySelector("#single-worst").addEventListener("click", worst);
  name.addEventListener("change", () => {
    const node = data.names.indexOf(name.value.trim());
    name.setCustomValidity(node < 0 && name.value ? "there is no node of that name" : "");
    name.reportValidity();
    if (node >= 0) { name.value = ""; add(node); }
  });
  for (const picture of document.querySelectorAll("svg.topology")) {
    picture.classList.add("pickable");
    picture.addEventListener("click", (event) => {
      const node = event.target.closest?.("[data-node]");
      if (!node) return;
      add(+node.dataset.node);
      single.scrollIntoView({ block: "nearest" });
    });
  }
  single.hidden = false;
  worst();
})();
