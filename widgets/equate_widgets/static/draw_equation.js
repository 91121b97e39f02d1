// A formula in detail: its tree with the impact of each branch, sliders for its constants,
// its predictions, the partial effect of each column, and its text to copy.

import { begin, chart, extent, html, isNumber, number, r2Text, short, svg, ticks } from "./chart.js";
import { formula } from "./typeset.js";

const LEVEL = 62; // pixels from a node to its arguments
const LEAF = 58; // pixels per leaf
const NOTCHES = 400; // of a slider

/**
 * The view of one formula; `actions` tell the model what the reader wants.
 * @param {HTMLElement} el emptied and filled
 * @param {{onConstants: (values: number[]) => void, onPrune: (node: number) => void,
 *   onRefit: () => void, onReset: () => void}} actions
 */
export class EquationView {
  constructor(el, actions) {
    this.actions = actions;
    this.node = -1;
    begin(el);
    this.alert = html("p", { role: "alert" });
    this.head = html("div", { class: "card" });
    this.tree = html("div", { class: "tree scroll" });
    this.hint = html("div", { class: "hint", "aria-live": "polite" });
    this.sliders = html("div", { class: "sliders" });
    this.fit = html("div");
    this.effects = html("div", { class: "effects" });
    this.copies = html("div");
    this.pruneButton = this.button("prune branch and refit", () => actions.onPrune(this.node));
    this.buttons = [this.pruneButton, this.button("refit constants", actions.onRefit), this.button("undo all", actions.onReset)];
    const section = (name, ...parts) => html("section", { "aria-label": name }, html("h4", {}, name), ...parts);
    el.append(
      this.head,
      this.alert,
      html("div", { class: "columns" }, html("div", {}, section("impact of each branch on R²", this.tree, this.hint), html("div", { class: "controls" }, ...this.buttons)), html("div", {}, section("fit", this.fit), section("constants", this.sliders))),
      section("partial effect of each column, averaged over the rows", this.effects),
      section("copy", this.copies),
    );
  }

  button(text, action) {
    return html("button", { type: "button", onclick: action }, text);
  }

  message(text) {
    this.alert.textContent = text;
    this.alert.hidden = !text;
  }

  /** A new formula: everything anew. */
  formula(view) {
    this.view = view;
    this.node = -1;
    this.pruneButton.disabled = true;
    this.tree.replaceChildren(drawTree(view.nodes, (node) => this.point(node), (node) => this.pick(node)));
    this.point(-1);
    this.drawSliders();
  }

  /** Scores, points and effects for the constants of this moment. */
  live(live) {
    const list = html("dl", { class: "facts" });
    const facts = [["R²", r2Text(live.r2)], ["RMSE", number(live.rmse)], ["size", String(this.view.complexity)], ["rows", String(this.view.rows)]];
    for (const [name, value] of facts) list.append(html("div", {}, html("dt", {}, name), html("dd", { "data-fact": name }, value)));
    const left = html("span", { class: "muted" }, `${short(this.view.target, 60)} =`);
    this.head.replaceChildren(left, html("div", { class: "formula", title: short(live.text, 500) }, formula(live.latex, live.text)), list);
    this.fit.replaceChildren(drawFit(this.view, live));
    this.effects.replaceChildren(...live.effects.map((effect) => drawEffect(effect, this.view.target)));
    if (!live.effects.length) this.effects.replaceChildren(html("span", { class: "muted" }, "the formula contains no columns"));
    this.drawCopies(live);
  }

  point(node) {
    const shown = node >= 0 ? node : this.node;
    const found = this.view.nodes[shown];
    if (!found) {
      this.hint.replaceChildren(html("span", { class: "muted" }, "Hover over a node to see its branch; select a node to prune it."));
      return;
    }
    const words = isNumber(found.impact) ? `without it R² falls by ${number(found.impact, 3)}` : found.impact === null && found.prunable ? "undefined without it" : "";
    this.hint.replaceChildren(html("span", { class: "formula small" }, formula(found.latex, found.text)), html("span", { class: "muted" }, ` ${words}`));
  }

  pick(node) {
    this.node = node === this.node ? -1 : node;
    this.pruneButton.disabled = this.node < 0 || !this.view.nodes[this.node].prunable;
    for (const made of this.tree.querySelectorAll("[data-node]")) {
      const mine = Number(made.dataset.node) === this.node;
      made.classList.toggle("chosen", mine);
      made.setAttribute("aria-pressed", String(mine));
    }
    this.point(this.node);
  }

  drawSliders() {
    const { constants } = this.view;
    this.values = constants.map((constant) => constant.value);
    this.sliders.replaceChildren();
    if (!constants.length) this.sliders.append(html("span", { class: "muted" }, "no constants"));
    constants.forEach(({ value, low, high, error }, i) => {
      const exact = isNumber(error) ? ` ± ${number(error, 2)}` : "";
      const text = html("output", {}, number(value, 6) + exact);
      const slider = html("input", {
        type: "range",
        min: 0,
        max: NOTCHES,
        step: 1,
        value: Math.round((NOTCHES * (value - low)) / (high - low)),
        "aria-label": `constant ${i + 1}`,
        "aria-valuetext": number(value, 6),
        oninput: () => {
          this.values[i] = low + ((high - low) * Number(slider.value)) / NOTCHES;
          text.textContent = number(this.values[i], 6);
          slider.setAttribute("aria-valuetext", text.textContent);
          this.actions.onConstants([...this.values]);
        },
      });
      this.sliders.append(html("label", {}, html("span", { class: "muted" }, `c${i + 1}`), slider, text));
    });
  }

  drawCopies(live) {
    if (!this.texts) {
      this.texts = new Map();
      for (const name of ["LaTeX", "SymPy", "Python"]) {
        const code = html("pre", { class: "code" });
        const button = this.button(`copy ${name}`, () => copy(code, button, name));
        this.texts.set(name, code);
        this.copies.append(html("details", {}, html("summary", {}, button), code));
      }
    }
    for (const [name, code] of this.texts) code.textContent = live.exports[name];
  }
}

async function copy(code, button, name) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "copied";
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    getSelection().selectAllChildren(code); // without clipboard permission the user has to press the copy key
    code.parentElement.open = true;
    button.textContent = "selected: press Ctrl+C";
  }
  setTimeout(() => (button.textContent = `copy ${name}`), 1500);
}

/** Leaves side by side, every operator above the middle of its arguments. */
function layout(nodes) {
  const at = nodes.map(() => ({ x: 0, y: 0 }));
  let leaves = 0;
  const visit = (i, depth) => {
    const { children } = nodes[i];
    for (const child of children) visit(child, depth + 1);
    at[i].x = children.length ? (at[children[0]].x + at[children.at(-1)].x) / 2 : leaves++;
    at[i].y = depth;
  };
  visit(0, 0);
  return at;
}

function drawTree(nodes, onPoint, onPick) {
  const at = layout(nodes);
  const width = (Math.max(...at.map((p) => p.x)) + 1) * LEAF;
  const height = (Math.max(...at.map((p) => p.y)) + 1) * LEVEL + 10;
  const px = (i) => (at[i].x + 0.5) * LEAF;
  const py = (i) => at[i].y * LEVEL + 22;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "the formula as a tree", class: "nodes" });
  nodes.forEach((node, i) => {
    for (const child of node.children) root.append(svg("line", { x1: px(i), y1: py(i), x2: px(child), y2: py(child), class: "edge" }));
  });
  nodes.forEach((node, i) => root.append(drawNode(node, i, px(i), py(i), onPoint, onPick)));
  return root;
}

function drawNode(node, i, x, y, onPoint, onPick) {
  const strength = isNumber(node.impact) ? Math.min(Math.max(node.impact, 0), 1) : node.prunable ? 1 : 0;
  const words = node.prunable ? `, impact ${isNumber(node.impact) ? number(node.impact, 2) : "undefined without it"}` : "";
  const made = svg(
    "g",
    {
      class: "node", "data-node": i, tabindex: 0, role: "button", "aria-pressed": "false",
      "aria-label": short(node.text, 120) + words,
      onpointerenter: () => onPoint(i), onpointerleave: () => onPoint(-1), onfocus: () => onPoint(i),
      onclick: () => onPick(i),
      onkeydown: (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        onPick(i);
      },
    }, // prettier-ignore
    svg("rect", { x: x - 25, y: y - 14, width: 50, height: 28, rx: node.children.length ? 14 : 5, style: `--strength: ${(100 * Math.sqrt(strength)).toFixed(0)}%` }),
    svg("text", { x, y: y + 4, "text-anchor": "middle" }, short(node.label, 7)),
  );
  if (node.prunable) made.append(svg("text", { x, y: y + 26, "text-anchor": "middle", class: "impact" }, isNumber(node.impact) ? number(node.impact, 2) : "needed"));
  return made;
}

function drawFit(view, live) {
  const alone = view.curve !== null;
  const across = alone ? view.curve : view.actual;
  const up = alone ? view.actual : live.predicted;
  const both = alone ? [...up, ...live.curve.y] : [...across, ...up];
  const [x, y] = alone ? [extent(across), extent(both)] : [extent(both), extent(both)];
  const made = chart({
    width: 420, height: 330, x, y, xTicks: ticks(x, 4), yTicks: ticks(y, 5),
    xLabel: alone ? view.columns[0] : `actual ${view.target}`, yLabel: alone ? view.target : "predicted",
    label: alone ? "the formula and the rows" : "predicted against actual values",
  }); // prettier-ignore
  if (!alone) made.plot.append(svg("line", { x1: made.px(x[0]), y1: made.py(y[0]), x2: made.px(x[1]), y2: made.py(y[1]), class: "axis" }));
  const dots = across.map((value, i) => (isNumber(value) && isNumber(up[i]) ? `M${made.px(value).toFixed(1)} ${made.py(up[i]).toFixed(1)}h0` : ""));
  made.plot.append(svg("path", { d: dots.join(""), class: "dots" }));
  if (alone) made.plot.append(svg("path", { d: lineOf(live.curve.x, live.curve.y, made), class: "curve" }));
  return made.root;
}

function drawEffect(effect, target) {
  const x = extent(effect.x, 0);
  const y = extent([...effect.low, ...effect.high], 0.08);
  const made = chart({
    width: 280, height: 180, x, y, xTicks: ticks(x, 3), yTicks: ticks(y, 3), xLabel: effect.name,
    yLabel: target, label: `effect of ${effect.name}`,
  }); // prettier-ignore
  const known = [...effect.x.keys()].filter((i) => isNumber(effect.low[i]) && isNumber(effect.high[i]));
  const edge = (values, order) => order.map((i) => `${made.px(effect.x[i]).toFixed(1)} ${made.py(values[i]).toFixed(1)}`).join("L");
  if (known.length > 1) made.plot.append(svg("path", { d: `M${edge(effect.high, known)}L${edge(effect.low, known.toReversed())}z`, class: "band" }));
  made.plot.append(svg("path", { d: lineOf(effect.x, effect.mean, made), class: "curve" }));
  return html("div", {}, made.root);
}

function lineOf(x, y, { px, py }) {
  let d = "";
  let pen = "M";
  for (let i = 0; i < x.length; i++) {
    if (isNumber(y[i])) d += `${pen}${px(x[i]).toFixed(1)} ${py(y[i]).toFixed(1)}`;
    pen = isNumber(y[i]) ? "L" : "M"; // a gap where the formula is undefined
  }
  return d;
}
