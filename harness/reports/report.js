// Theme toggle, and the values under the pointer. The page is whole without it.
(() => {
  const root = document.documentElement;
  document.querySelector("#theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  const number = (value) => value === null ? "–" : Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const chart = JSON.parse(figure.querySelector("script").textContent);
    const svg = figure.querySelector("svg"), cross = svg.querySelector(".cross");
    const tip = document.createElement("div");
    tip.className = "tip"; tip.hidden = true; figure.append(tip);
    const show = (event) => {
      const box = svg.getBoundingClientRect();
      const view = (event.clientX - box.left) / box.width * chart.width;
      const at = (view - chart.left) / (chart.width - chart.left - chart.right) * chart.end;
      let nearest = 0;
      chart.at.forEach((second, index) => { if (Math.abs(second - at) < Math.abs(chart.at[nearest] - at)) nearest = index; });
      const x = chart.left + chart.at[nearest] / chart.end * (chart.width - chart.left - chart.right);
      cross.setAttribute("x1", x); cross.setAttribute("x2", x); cross.removeAttribute("hidden");
      tip.replaceChildren(`${chart.at[nearest].toFixed(1)} s`, ...chart.lines.flatMap((line) => [document.createElement("br"), `${line.name}: ${number(line.values[nearest])}${line.upper ? " to " + number(line.upper[nearest]) : ""} ${chart.unit}`]));
      tip.hidden = false;
      const frame = figure.getBoundingClientRect();
      const left = x / chart.width * box.width + box.left - frame.left;
      tip.style.left = `${left + tip.offsetWidth + 16 > figure.clientWidth ? left - tip.offsetWidth - 8 : left + 8}px`;
      tip.style.top = `${box.top - frame.top + 24}px`;
    };
    svg.addEventListener("pointermove", show);
    svg.addEventListener("pointerdown", show);
    svg.addEventListener("pointerleave", () => { tip.hidden = true; cross.setAttribute("hidden", ""); });
  }
})();
