// Accuracy against size: candidates, the Pareto front, and the selected formula.

import { begin, chart, colour, extent, html, isNumber, legend, marker, nearest, number, r2Axis, r2Text, short, svg, ticks } from "./chart.js";
import { formula } from "./typeset.js";

const HEIGHT = 300;

/**
 * Draw a front.
 * @param {HTMLElement} el emptied and filled
 * @param {object} data equation, latex, source, complexity, r2, loss: one entry per candidate;
 *   front: places of the front's formulas in them, by complexity; chosen: place of the answer or -1
 * @param {{selected?: string, logLoss?: boolean, onSelect?: (equation: string) => void,
 *   onScale?: (logLoss: boolean) => void}} options
 * @returns {{select: (equation: string) => void}}
 */
export function drawFront(el, data, { selected = "", logLoss = false, onSelect = () => {}, onScale = () => {} } = {}) {
  begin(el);
  if (!data.equation?.length) {
    el.append(html("p", { class: "note", role: "note" }, "no formulas yet"));
    return { select: () => {} };
  }
  const view = new FrontView(data, logLoss, onSelect, onScale);
  el.append(view.root);
  view.select(selected);
  return { select: (equation) => view.select(equation) };
}

class FrontView {
  constructor(data, logLoss, onSelect, onScale) {
    this.data = data;
    this.logLoss = logLoss && data.loss.some(isNumber);
    this.onSelect = onSelect;
    this.selected = -1;
    this.details = html("div", { class: "card", "aria-live": "polite" });
    this.plot = html("div", { class: "plot", tabindex: 0, role: "group", "aria-label": "accuracy against size; arrow keys move along the front", onkeydown: (event) => this.key(event) });
    const box = html("input", {
      type: "checkbox",
      checked: logLoss,
      onchange: () => {
        this.logLoss = box.checked;
        this.draw();
        onScale(box.checked);
      },
    });
    const { title, target } = data;
    const total = data.total > data.equation.length ? `· ${data.equation.length} of ${data.total} formulas` : "";
    const known = data.loss.some(isNumber); // a running fit reports R² only
    this.root = html(
      "div",
      {},
      html("div", { class: "heading" }, html("strong", {}, short(title || "Accuracy against size", 80)), html("span", { class: "muted" }, `${short(target ?? "", 60)} ${total}`), known ? html("label", { class: "switch" }, box, "log loss") : ""),
      html("div", { class: "columns" }, this.plot, this.table()),
      this.details,
    );
    this.draw();
  }

  draw() {
    const { data } = this;
    const height = this.logLoss ? lossAxis(data) : r2Axis(data.r2);
    const values = this.logLoss ? data.loss : data.r2;
    const shown = data.front.map((i) => data.complexity[i]);
    const most = 1.3 * Math.max(...shown, 1) + 2; // a few very long formulas would compress all others
    const x = [0, most];
    const made = chart({
      width: 620, height: HEIGHT, x, y: height.range, xTicks: ticks(x, 8, true), yTicks: height.ticks,
      xLabel: "size (nodes)", yLabel: this.logLoss ? "mean squared error" : "R² on the fit rows",
      label: "accuracy against size of the formulas",
    }); // prettier-ignore
    this.x = data.complexity.map((size) => (size <= most ? made.px(size) : NaN));
    this.y = values.map((value) => (isNumber(value) ? made.py(height.of(value)) : NaN));
    this.cloud(made.plot);
    this.steps(made.plot);
    this.cursor = svg("circle", { r: 8, class: "cursor", visibility: "hidden" });
    made.plot.append(this.cursor);
    made.root.addEventListener("pointermove", (event) => this.describe(this.at(event, made), true));
    made.root.addEventListener("pointerleave", () => this.describe(this.selected));
    made.root.addEventListener("click", (event) => this.choose(this.at(event, made)));
    this.made = made;
    const key = html("span", { class: "key" }, html("i", { class: "dash" }), "front");
    this.plot.replaceChildren(legend(data.source, [key]), made.root);
    this.mark();
  }

  at(event, made) {
    return nearest(event, made.root, this.x, this.y);
  }

  cloud(plot) {
    const paths = new Map();
    for (let i = 0; i < this.x.length; i++) {
      if (!isNumber(this.x[i]) || !isNumber(this.y[i])) continue;
      const source = this.data.source[i];
      if (!paths.has(source)) paths.set(source, []);
      paths.get(source).push(marker(source, this.x[i], this.y[i], 3));
    }
    for (const [source, d] of paths) plot.append(svg("path", { d: d.join(""), fill: colour(source), opacity: 0.5 }));
  }

  steps(plot) {
    const at = this.data.front.filter((i) => isNumber(this.x[i]) && isNumber(this.y[i]));
    const corner = (i) => `H${this.x[i].toFixed(1)}V${this.y[i].toFixed(1)}`;
    const d = at.map((i, k) => (k ? corner(i) : `M${this.x[i].toFixed(1)} ${this.y[i].toFixed(1)}`)).join("");
    if (d) plot.append(svg("path", { d, class: "best" }));
    for (const i of at) plot.append(svg("circle", { cx: this.x[i], cy: this.y[i], r: 3.2, class: "dot" }));
  }

  /** The front as a list: what the picture shows, for reading and for the keyboard. */
  table() {
    const { data } = this;
    this.rows = new Map();
    const body = html("tbody");
    for (const i of data.front) {
      const cell = html("td", { class: "formula small" }, formula(data.latex[i], data.equation[i]));
      const pick = html("button", { type: "button", class: "pick", "aria-label": `select the formula of size ${data.complexity[i]}`, onclick: () => this.choose(i) }, String(data.complexity[i]));
      const row = html("tr", { onclick: () => this.choose(i) }, html("td", {}, pick), html("td", {}, r2Text(data.r2[i])), cell);
      if (i === data.chosen) row.append(html("td", { class: "tag good" }, "chosen"));
      this.rows.set(i, row);
      body.append(row);
    }
    const head = html("tr", {}, ...["size", "R²", "formula"].map((name) => html("th", {}, name)));
    return html("div", { class: "scroll" }, html("table", {}, html("thead", {}, head), body));
  }

  key(event) {
    const along = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    const { front } = this.data;
    if (!along || !front.length) return;
    event.preventDefault();
    const now = front.indexOf(this.selected);
    const next = now < 0 ? 0 : Math.min(Math.max(now + along, 0), front.length - 1);
    this.choose(front[next]);
  }

  choose(i) {
    if (i < 0 || i === this.selected) return;
    this.selected = i;
    this.mark();
    this.onSelect(this.data.equation[i]);
  }

  select(equation) {
    this.selected = this.data.equation.indexOf(equation);
    this.mark();
  }

  mark() {
    const i = this.selected;
    const known = i >= 0 && isNumber(this.x[i]) && isNumber(this.y[i]);
    this.cursor.setAttribute("visibility", known ? "visible" : "hidden");
    if (known) {
      this.cursor.setAttribute("cx", this.x[i]);
      this.cursor.setAttribute("cy", this.y[i]);
    }
    for (const [place, row] of this.rows) {
      row.classList.toggle("chosen", place === i);
      row.setAttribute("aria-selected", String(place === i));
    }
    this.describe(i);
  }

  describe(i, hovering = false) {
    if (hovering && i < 0) return;
    if (i < 0) {
      this.details.replaceChildren(html("span", { class: "muted" }, "Hover over a formula to see it, click to select it."));
      return;
    }
    const { data } = this;
    const facts = [["R²", r2Text(data.r2[i])], ["loss", number(data.loss[i])], ["size", String(data.complexity[i])], ["found by", data.source[i]]];
    const list = html("dl", { class: "facts" });
    for (const [name, value] of facts) list.append(html("div", {}, html("dt", {}, name), html("dd", {}, value)));
    this.details.replaceChildren(html("div", { class: "formula", title: short(data.equation[i], 500) }, formula(data.latex[i], data.equation[i])), list);
  }
}

/** Scale and ticks for losses: powers of ten. */
function lossAxis(data) {
  const positive = data.loss.filter((loss) => isNumber(loss) && loss > 0);
  const [low, high] = extent(positive.map(Math.log10), 0.06);
  const of = (loss) => (loss > 0 ? Math.log10(loss) : low);
  const marks = ticks([low, high], 5, high - low > 3);
  return { of, range: [low, high], ticks: marks.map(([t]) => [t, number(10 ** t, 2)]) };
}
