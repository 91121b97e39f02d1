// The trajectory of a search: R2 of every proposal, the steps of one start, and the path through
// the embeddings. Works without a kernel; the page provides views.css.

import { begin, chart, colour, extent, html, isNumber, legend, marker, nearest, number, r2Axis, r2Text, short, svg, ticks } from "./chart.js";
import { complaint, firstLine, linesOf, places } from "./trajectory_data.js";
import { formula } from "./typeset.js";

const STEP_TIME = 700; // milliseconds per step during playback
const MAX_RUNGS = 12; // rows of the table below a step

/**
 * Draw a trajectory.
 * @param {HTMLElement} el emptied and filled
 * @param {object} payload of MIME type application/vnd.equate.trajectory+json
 * @param {{onStep?: (row: number) => void}} options called with the row that is shown
 * @returns {{destroy: () => void, show: (row: number) => void}}
 */
export function drawTrajectory(el, payload, { onStep = () => {} } = {}) {
  begin(el);
  const wrong = complaint(payload);
  if (wrong || !payload.steps.start.length) {
    el.append(html("p", { class: "note", role: wrong ? "alert" : "note" }, wrong || "no steps: the fit ended before its search began"));
    return { destroy: () => el.replaceChildren(), show: () => {} };
  }
  const view = new TrajectoryView(payload, onStep);
  el.append(view.root);
  return {
    destroy: () => {
      view.stop();
      el.replaceChildren();
    },
    show: (row) => view.show(row),
  };
}

class TrajectoryView {
  constructor(payload, onStep) {
    this.payload = payload;
    this.steps = payload.steps;
    this.onStep = onStep;
    this.lines = linesOf(this.steps);
    this.line = firstLine(this.lines, this.steps);
    this.frame = this.line.frames.length - 1;
    this.timer = 0;
    this.drawn = null;
    this.card = html("div", { class: "card", "aria-live": "polite" });
    this.scores = html("div");
    this.overview = new Overview(payload, this.lines, (row) => this.show(row));
    this.path = payload.path ? new PathView(payload, (row) => this.show(row)) : null;
    this.root = html(
      "div",
      { class: "trajectory" },
      this.heading(),
      this.controls(),
      this.card,
      html("div", { class: this.path ? "columns" : "" }, html("div", {}, this.overview.root, this.scores), this.path?.root ?? ""),
    );
    this.refresh();
  }

  heading() {
    const { title, target, features, rows_total: total } = this.payload;
    const shown = this.steps.start.length;
    const count = total > shown ? `${shown} of ${total} proposals` : `${shown} proposals`;
    const from = features?.length ? `${short(target, 60)} from ${short(features.join(", "), 80)}` : short(target ?? "", 60);
    return html("div", { class: "heading" }, html("strong", {}, short(title || "How the formula was found", 80)), html("span", { class: "muted" }, `${from} · ${count}`));
  }

  controls() {
    this.picker = html("select", { "aria-label": "line of the search", onchange: () => this.pick(this.picker.selectedIndex) });
    for (const line of this.lines) this.picker.append(html("option", {}, line.name));
    this.slider = html("input", { type: "range", min: 0, step: 1, "aria-label": "step", oninput: () => this.go(Number(this.slider.value)) });
    this.playing = html("button", { type: "button", "aria-label": "play", onclick: () => this.toggle() }, "▶");
    this.counter = html("output", { class: "muted" });
    return html("div", { class: "controls" }, this.picker, this.playing, this.slider, this.counter);
  }

  pick(index) {
    this.line = this.lines[index];
    this.go(this.line.frames.length - 1);
  }

  go(frame) {
    this.frame = frame;
    this.refresh();
    this.onStep(this.row);
  }

  get row() {
    return this.line.frames[this.frame].best;
  }

  /** Show the step that a row belongs to. */
  show(row) {
    for (const line of this.lines) {
      const frame = line.frames.findIndex((f) => f.rows.includes(row));
      if (frame < 0) continue;
      if (line !== this.line || frame !== this.frame) {
        this.line = line;
        this.go(frame);
      }
      return;
    }
    this.describe(row, { step: 0, rows: [row] }); // an edit that was no improvement has no step
    this.onStep(row);
  }

  toggle() {
    if (this.timer) {
      this.stop();
      return;
    }
    if (this.frame === this.line.frames.length - 1) this.go(0);
    this.playing.textContent = "❚❚";
    this.playing.setAttribute("aria-label", "pause");
    this.timer = setInterval(() => {
      if (this.frame + 1 < this.line.frames.length) this.go(this.frame + 1);
      if (this.frame + 1 >= this.line.frames.length) this.stop();
    }, STEP_TIME);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.playing.textContent = "▶";
    this.playing.setAttribute("aria-label", "play");
  }

  refresh() {
    const { frames } = this.line;
    this.picker.selectedIndex = this.lines.indexOf(this.line);
    this.slider.max = frames.length - 1;
    this.slider.value = this.frame;
    const word = this.line.climbs ? "step" : "improvement";
    const now = this.line.climbs ? frames[this.frame].step : this.frame + 1;
    const last = this.line.climbs ? frames.at(-1).step : frames.length;
    this.counter.textContent = `${word} ${now} of ${last}`;
    this.slider.setAttribute("aria-valuetext", this.counter.textContent);
    this.describe(this.row, frames[this.frame]);
    if (this.drawn !== this.line) {
      this.drawn = this.line;
      this.moveScores = drawScores(this.scores, this.line, this.steps);
    }
    this.moveScores(this.frame);
    this.overview.focus(this.line, this.row);
    this.path?.focus(this.line, this.row);
  }

  describe(row, frame) {
    const { steps } = this;
    const known = steps.equation[row] !== "";
    const title = known ? formula(steps.latex[row], steps.equation[row]) : html("span", { class: "muted" }, "no decoded formula is defined on the rows");
    const facts = [
      ["R²", r2Text(steps.r2[row])],
      ["score", number(steps.score[row])],
      ["predicted", number(steps.predicted_score[row])],
      ["moved", number(steps.distance[row])],
      ["size", known ? String(steps.complexity[row]) : "–"],
    ];
    const list = html("dl", { class: "facts" });
    for (const [name, value] of facts) list.append(html("div", {}, html("dt", {}, name), html("dd", {}, value)));
    const verdict = html("span", { class: steps.accepted[row] ? "tag good" : "tag" }, steps.accepted[row] ? "✓ accepted" : "not accepted");
    const box = html("div", { class: "formula", title: short(steps.equation[row], 500) }, title);
    this.card.replaceChildren(box, html("div", { class: "factline" }, list, verdict));
    if (frame.rows.length > 1) this.card.append(rungTable(frame.rows, row, steps));
  }
}

/** All decodings of one step; folded, because the best of them is what matters. */
function rungTable(rows, chosen, steps) {
  const head = html("tr", {}, ...["multiple", "predicted", "score", "R²", "formula"].map((name) => html("th", {}, name)));
  const body = rows.slice(0, MAX_RUNGS).map((i) =>
    html(
      "tr",
      { class: i === chosen ? "chosen" : "" },
      html("td", {}, number(steps.rung[i])),
      html("td", {}, number(steps.predicted_score[i])),
      html("td", {}, number(steps.score[i])),
      html("td", {}, r2Text(steps.r2[i])),
      html("td", { class: "code" }, short(steps.equation[i] || "–", 90)),
    ),
  );
  const more = rows.length > MAX_RUNGS ? `, first ${MAX_RUNGS}` : "";
  return html("details", {}, html("summary", {}, `${rows.length} decodings of this step${more}`), html("table", {}, html("thead", {}, head), html("tbody", {}, ...body)));
}

/** R2 of every row, one thin line per start, and the best so far. */
class Overview {
  constructor(payload, lines, onPick) {
    const { steps } = payload;
    this.steps = steps;
    this.axis = r2Axis(steps.r2);
    const { x, zones, ticks: marks } = places(steps);
    const width = zones.at(-1).to;
    const made = chart({
      width: 620, height: 260, x: [0, width], y: this.axis.range, xTicks: marks, yTicks: this.axis.ticks,
      xLabel: zones.some((zone) => zone.name === "gradient steps") ? "gradient step" : "in chronological order",
      yLabel: "R² on the fit rows", label: "R² of every proposal of the search",
    }); // prettier-ignore
    Object.assign(this, { made, x: x.map(made.px), y: steps.r2.map((r2) => (isNumber(r2) ? made.py(this.axis.of(r2)) : NaN)) });
    if (zones.length > 1) this.zones(zones);
    this.points();
    this.strands = new Map(lines.filter((line) => line.climbs).map((line) => [line, this.strand(line)]));
    this.best();
    this.cursor = svg("circle", { r: 7, class: "cursor" });
    made.plot.append(this.cursor);
    made.root.addEventListener("click", (event) => {
      const found = nearest(event, made.root, this.x, this.y);
      if (found >= 0) onPick(found);
    });
    const line = html("span", { class: "key" }, html("i", { class: "dash" }), "best so far");
    this.root = html("div", {}, legend(steps.source, [line]), made.root);
  }

  zones(zones) {
    const { px, box } = this.made;
    for (const zone of zones) {
      const middle = (px(zone.from) + px(zone.to)) / 2;
      this.made.plot.append(svg("text", { x: middle, y: box.top + 2, "text-anchor": "middle", class: "zone" }, zone.name));
      if (zone.from) this.made.plot.append(svg("line", { x1: px(zone.from), x2: px(zone.from), y1: box.top, y2: 260 - box.bottom, class: "divider" }));
    }
  }

  points() {
    const paths = new Map();
    for (let i = 0; i < this.x.length; i++) {
      if (!isNumber(this.y[i])) continue;
      const key = `${this.steps.source[i]}|${this.steps.accepted[i]}`;
      if (!paths.has(key)) paths.set(key, { source: this.steps.source[i], accepted: this.steps.accepted[i], d: [] });
      paths.get(key).d.push(marker(this.steps.source[i], this.x[i], this.y[i], this.steps.accepted[i] ? 3.5 : 2.2));
    }
    for (const { source, accepted, d } of paths.values()) {
      this.made.plot.append(svg("path", { d: d.join(""), fill: colour(source), opacity: accepted ? 0.9 : 0.35 }));
    }
  }

  strand(line) {
    const at = line.frames.map((f) => f.best).filter((i) => isNumber(this.y[i]));
    const d = at.map((i, k) => `${k ? "L" : "M"}${this.x[i].toFixed(1)} ${this.y[i].toFixed(1)}`).join("");
    const made = svg("path", { d, class: "strand" });
    this.made.plot.append(made);
    return made;
  }

  best() {
    const order = [...this.x.keys()].filter((i) => isNumber(this.y[i])).sort((a, b) => this.x[a] - this.x[b] || a - b);
    let top = Infinity;
    let d = "";
    for (const i of order) {
      if (this.y[i] >= top) continue;
      d += d ? `H${this.x[i].toFixed(1)}V${this.y[i].toFixed(1)}` : `M${this.x[i].toFixed(1)} ${this.y[i].toFixed(1)}`;
      top = this.y[i];
    }
    if (d) this.made.plot.append(svg("path", { d: `${d}H${Math.max(...this.x).toFixed(1)}`, class: "best" }));
  }

  focus(line, row) {
    for (const [other, strand] of this.strands) strand.classList.toggle("focus", other === line);
    place(this.cursor, this.x[row], this.y[row]);
  }
}

/** Predicted and true score along the line; returns a function that moves the cursor. */
function drawScores(el, line, steps) {
  const rows = line.frames.map((f) => f.best);
  const values = [...rows.map((i) => steps.score[i]), ...rows.map((i) => steps.predicted_score[i])];
  const across = line.climbs ? line.frames.map((f) => f.step) : line.frames.map((_, k) => k + 1);
  const x = extent([...across], 0.03);
  const y = extent(values, 0.08);
  const made = chart({
    width: 620, height: 170, x, y, xTicks: ticks(x, 10, true), yTicks: ticks(y, 4),
    xLabel: line.climbs ? `gradient step of ${line.name}` : "improvement", yLabel: "score",
    label: "predicted and true score per step",
  }); // prettier-ignore
  const draw = (column, name) => {
    let d = "";
    rows.forEach((i, k) => {
      const value = steps[column][i];
      if (isNumber(value)) d += `${d ? "L" : "M"}${made.px(across[k]).toFixed(1)} ${made.py(value).toFixed(1)}`;
    });
    if (d) made.plot.append(svg("path", { d, class: name }));
    return Boolean(d);
  };
  const predicted = draw("predicted_score", "line predicted");
  draw("score", "line true");
  const cursor = svg("line", { y1: made.box.top, y2: 170 - made.box.bottom, class: "cursor" });
  made.plot.append(cursor);
  const keys = [html("span", { class: "key" }, html("i", { class: "solid" }), "true score")];
  if (predicted) keys.push(html("span", { class: "key" }, html("i", { class: "dotted" }), "predicted by the evaluator"));
  el.replaceChildren(html("div", { class: "legend" }, ...keys), made.root);
  return (frame) => {
    cursor.setAttribute("x1", made.px(across[frame]));
    cursor.setAttribute("x2", made.px(across[frame]));
  };
}

/** The joint embeddings in two dimensions; the darker, the higher R2. */
class PathView {
  constructor(payload, onPick) {
    const { steps, path } = payload;
    const [x, y] = [extent(path.x), extent(path.y)];
    const made = chart({
      width: 400, height: 430, x, y, xTicks: [], yTicks: [], xLabel: "first principal component",
      yLabel: "second principal component", label: "Joint embeddings of the search in two dimensions",
    }); // prettier-ignore
    this.made = made;
    this.x = path.x.map((value) => (isNumber(value) ? made.px(value) : NaN));
    this.y = path.y.map((value) => (isNumber(value) ? made.py(value) : NaN));
    const { of } = r2Axis(steps.r2);
    const known = [...this.x.keys()].filter((i) => isNumber(this.x[i]) && isNumber(this.y[i]));
    const heights = new Map(known.map((i) => [i, isNumber(steps.r2[i]) ? of(steps.r2[i]) : 0]));
    const [low, high] = extent([...heights.values()], 0.001);
    const bins = Array.from({ length: 5 }, () => []);
    for (const [i, height] of heights) {
      bins[Math.floor((4.999 * (height - low)) / (high - low))].push(marker("backbone", this.x[i], this.y[i], 2.6));
    }
    bins.forEach((d, level) => made.plot.append(svg("path", { d: d.join(""), class: `level${level}` })));
    this.way = svg("path", { class: "way" });
    this.cursor = svg("circle", { r: 7, class: "cursor" });
    made.plot.append(this.way, this.cursor);
    made.root.addEventListener("click", (event) => {
      const found = nearest(event, made.root, this.x, this.y);
      if (found >= 0) onPick(found);
    });
    const scale = [0, 1, 2, 3, 4].map((level) => html("i", { class: `swatch level${level}` }));
    this.root = html("div", {}, html("div", { class: "legend" }, html("span", { class: "key" }, "R² low ", ...scale, " high")), made.root);
  }

  focus(line, row) {
    const at = line.frames.map((f) => f.best).filter((i) => isNumber(this.x[i]));
    const d = at.map((i, k) => `${k ? "L" : "M"}${this.x[i].toFixed(1)} ${this.y[i].toFixed(1)}`).join("");
    this.way.setAttribute("d", d);
    place(this.cursor, this.x[row], this.y[row]);
  }
}

function place(cursor, x, y) {
  const known = isNumber(x) && isNumber(y);
  cursor.setAttribute("visibility", known ? "visible" : "hidden");
  if (!known) return;
  cursor.setAttribute("cx", x);
  cursor.setAttribute("cy", y);
}
