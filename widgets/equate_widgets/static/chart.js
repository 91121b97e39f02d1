// Small SVG charts: axes, scales, markers, and the search for the nearest point.
// Colours are CSS variables of views.css; text is always set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** In the order of the legends; each has a colour and a shape, so that colour is not needed. */
export const SOURCES = ["family", "library", "backbone", "ascent", "edit", "shorten", "constant"];
const SHAPES = { backbone: "circle", ascent: "triangle", edit: "square", shorten: "diamond", family: "star", library: "hexagon" };
const MAX_NINES = 16; // doubles carry no more digits

/** An HTML element; children that are not nodes become text. */
export function html(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}

/**
 * Make an element the root of a view. JupyterLab has shortcuts on arrows and letters; inside a view
 * those keys are the view's, and JupyterLab, which listens on the document, does not see them.
 */
export function begin(el) {
  el.replaceChildren();
  el.classList.add("equate-view");
  el.onkeydown = (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  };
}

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function colour(source) {
  return `var(--${SOURCES.includes(source) ? source : "constant"})`;
}

/** SVG path of one marker of radius r. */
export function marker(source, x, y, r) {
  const shape = SHAPES[source] ?? "cross";
  const [a, b] = [x.toFixed(1), y.toFixed(1)];
  if (shape === "circle") return `M${(x - r).toFixed(1)} ${b}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
  if (shape === "square") return `M${(x - r).toFixed(1)} ${(y - r).toFixed(1)}h${2 * r}v${2 * r}h${-2 * r}z`;
  if (shape === "triangle") return `M${a} ${(y - 1.2 * r).toFixed(1)}l${1.2 * r} ${2 * r}h${-2.4 * r}z`;
  if (shape === "diamond") return `M${a} ${(y - 1.3 * r).toFixed(1)}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}z`;
  if (shape === "star") return `M${a} ${(y - 1.4 * r).toFixed(1)}l${0.4 * r} ${r}l${r} ${0.4 * r}l${-r} ${0.4 * r}l${-0.4 * r} ${r}l${-0.4 * r} ${-r}l${-r} ${-0.4 * r}l${r} ${-0.4 * r}z`;
  if (shape === "hexagon") return `M${(x - 0.6 * r).toFixed(1)} ${(y - r).toFixed(1)}h${1.2 * r}l${0.6 * r} ${r}l${-0.6 * r} ${r}h${-1.2 * r}l${-0.6 * r} ${-r}z`;
  return `M${(x - r).toFixed(1)} ${(y - 0.4).toFixed(1)}h${2 * r}v.8h${-2 * r}z`;
}

/** R2 on the scale of its nines: 0 -> 0, .9 -> 1, .99 -> 2, exact -> 16. */
export function nines(r2) {
  return Math.abs(Math.log10(Math.min(Math.max(1 - r2, 10 ** -MAX_NINES), 1)));
}

/** Scale and ticks for these R2 values: plain up to .9; above, one step up is one more nine. */
export function r2Axis(values) {
  const best = Math.max(0, ...finite(values).map(nines));
  if (best < 1) {
    const plain = (r2) => Math.min(Math.max(r2, 0), 1);
    return { of: plain, range: [-0.03, 1.04], ticks: [0, 0.25, 0.5, 0.75, 1].map((t) => [t, t ? String(t) : "≤ 0"]) };
  }
  const top = Math.max(Math.ceil(best), 2);
  const step = top <= 5 ? 1 : top <= 10 ? 2 : 4;
  const ticks = [];
  for (let n = 0; n <= top; n += step) ticks.push([n, nineLabel(n)]);
  return { of: nines, range: [-0.03 * top, 1.06 * top], ticks };
}

function nineLabel(n) {
  if (n === 0) return "≤ 0";
  if (n === MAX_NINES) return "exact";
  return n <= 5 ? (1 - 10 ** -n).toFixed(n) : `1 − 1e−${n}`;
}

export function finite(values) {
  return values.filter(isNumber);
}

/** Smallest and largest value, a little apart from the edge. */
export function extent(values, margin = 0.05) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!isNumber(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  const pad = (high - low) * margin || Math.abs(high) * margin || 1;
  return [low - pad, high + pad];
}

/** About `count` round numbers within a range, with their labels. */
export function ticks([low, high], count = 5, whole = false) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? 10 * power;
  if (whole) step = Math.max(1, Math.round(step));
  const out = [];
  for (let k = Math.ceil(low / step); k * step <= high && out.length < 50; k++) {
    const value = k * step;
    out.push([value, number(value, 6)]);
  }
  return out;
}

/** A number with at most `digits` significant digits; what is missing is a dash. */
export function number(value, digits = 4) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size >= 1e6 || size < 1e-4)
      ? value.toExponential(Math.min(digits, 3) - 1)
      : String(Number(value.toPrecision(digits)));
  return text.replaceAll("-", "−");
}

/** R2 with as many digits as tell it from 1. */
export function r2Text(value) {
  if (!isNumber(value)) return "undefined";
  const error = 1 - value;
  if (error < 1e-15) return "1 (exact)";
  if (error < 1e-6) return `1 − ${error.toExponential(1).replaceAll("-", "−")}`;
  return (error < 1e-3 ? value.toFixed(7).replace(/0+$/u, "") : value.toFixed(4)).replace("-", "−");
}

/** Names for a place where a long one would push everything else away. */
export function short(text, limit = 40) {
  const points = [...text];
  return points.length <= limit ? text : `${points.slice(0, limit - 1).join("")}…`;
}

/**
 * An empty chart.
 * @param {{width: number, height: number, x: number[], y: number[], xTicks: any[], yTicks: any[],
 *   xLabel: string, yLabel: string, label: string}} options ranges, ticks as [value, text], and
 *   what the chart shows, in words
 * @returns {{root: SVGElement, plot: SVGElement, px: Function, py: Function}}
 */
export function chart({ width, height, x, y, xTicks, yTicks, xLabel, yLabel, label }) {
  const widest = Math.max(0, ...yTicks.map(([, text]) => text.length));
  const box = { left: 30 + 6.2 * widest, right: 12, top: 10, bottom: 38 };
  const across = (width - box.left - box.right) / (x[1] - x[0]);
  const down = (height - box.top - box.bottom) / (y[1] - y[0]);
  const px = (value) => box.left + (value - x[0]) * across;
  const py = (value) => height - box.bottom - (value - y[0]) * down;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart" });
  for (const [value, text] of yTicks) {
    root.append(
      svg("line", { x1: box.left, x2: width - box.right, y1: py(value), y2: py(value), class: "grid" }),
      svg("text", { x: box.left - 6, y: py(value) + 4, "text-anchor": "end", class: "tick" }, text),
    );
  }
  for (const [value, text] of xTicks) {
    root.append(
      svg("text", { x: px(value), y: height - box.bottom + 16, "text-anchor": "middle", class: "tick" }, text),
    );
  }
  const middle = (height - box.bottom + box.top) / 2;
  root.append(
    svg("line", { x1: box.left, x2: width - box.right, y1: height - box.bottom, y2: height - box.bottom, class: "axis" }),
    svg("text", { x: (width + box.left - box.right) / 2, y: height - 5, "text-anchor": "middle", class: "label" }, short(xLabel)),
    svg("text", { x: 12, y: middle, transform: `rotate(-90 12 ${middle})`, "text-anchor": "middle", class: "label" }, short(yLabel, 28)),
  );
  const plot = svg("g");
  root.append(plot);
  return { root, plot, px, py, box };
}

/** Index of the point nearest to a pointer event, or -1 if none is within `reach` units. */
export function nearest(event, root, xs, ys, reach = 24) {
  const matrix = root.getScreenCTM();
  if (!matrix) return -1;
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
  let [found, least] = [-1, reach * reach];
  for (let i = 0; i < xs.length; i++) {
    const away = (xs[i] - at.x) ** 2 + (ys[i] - at.y) ** 2;
    if (away < least) [found, least] = [i, away];
  }
  return found;
}

/** One row of a legend: shape and name per source that occurs. */
export function legend(sources, extra = []) {
  const items = SOURCES.filter((source) => sources.includes(source)).map((source) => {
    const mark = svg("svg", { viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" });
    mark.append(svg("path", { d: marker(source, 6, 6, 4), fill: colour(source) }));
    return html("span", { class: "key" }, mark, source);
  });
  return html("div", { class: "legend" }, ...items, ...extra);
}
