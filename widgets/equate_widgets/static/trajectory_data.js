// Preparation of the rows of a trajectory for drawing, independent of the page.

/** Columns of `payload.steps`: all of one length. */
export const COLUMNS = [
  "start", "step", "rung", "distance", "predicted_score", "score", "r2", "complexity", "accepted",
  "source", "equation", "latex",
];

/** Why a payload cannot be shown, or "" if it can. */
export function complaint(payload) {
  if (payload === null || typeof payload !== "object") return "this is not a trajectory";
  if (payload.kind !== "trajectory") return `this is a "${payload.kind}", not a trajectory`;
  if (payload.version !== 1) return `format version ${payload.version} is not supported: this viewer reads version 1`;
  const { steps, path } = payload;
  const n = steps?.start?.length;
  const missing = COLUMNS.filter((name) => !Array.isArray(steps?.[name]) || steps[name].length !== n);
  if (missing.length) return `damaged trajectory: ${missing.join(", ")} missing or truncated`;
  if (path && !(path.x?.length === n && path.y?.length === n)) return "damaged trajectory: the path needs one point per row";
  return "";
}

/**
 * Rows as lines to step along: one per start of the ascent, one per other source.
 * @returns {{key: string, name: string, source: string, frames: {step: number, rows: number[], best: number}[]}[]}
 */
export function linesOf(steps) {
  const lines = new Map();
  for (let i = 0; i < steps.start.length; i++) {
    const climbs = steps.start[i] >= 0;
    const key = climbs ? `start ${steps.start[i]}` : steps.source[i];
    if (!lines.has(key)) lines.set(key, { key, climbs, source: steps.source[i], rows: [] });
    lines.get(key).rows.push(i);
  }
  const out = [...lines.values()].map((line) => ({
    key: line.key,
    source: line.source,
    climbs: line.climbs,
    frames: line.climbs ? climbed(line.rows, steps) : improved(line.rows, steps),
  }));
  const rank = { family: -2, library: -1, backbone: 0, edit: 2, shorten: 3 };
  const place = (line) => (line.climbs ? 1 : (rank[line.source] ?? 4));
  out.sort((a, b) => place(a) - place(b) || a.frames[0].rows[0] - b.frames[0].rows[0]);
  for (const line of out) line.name = named(line, steps);
  return out;
}

function named(line, steps) {
  if (line.climbs) return `start ${steps.start[line.frames[0].rows[0]]}`;
  return { family: "families", backbone: "backbone's proposals", edit: "edits", library: "small formulas" }[line.source] ?? line.source;
}

/** One frame per gradient step, holding all rungs and samples. */
function climbed(rows, steps) {
  const frames = new Map();
  for (const i of rows) {
    if (!frames.has(steps.step[i])) frames.set(steps.step[i], []);
    frames.get(steps.step[i]).push(i);
  }
  return [...frames.entries()]
    .sort(([a], [b]) => a - b)
    .map(([step, members]) => ({ step, rows: members, best: bestOf(members, steps) }));
}

/** One frame per row that was better than all before; the last rows where none was. */
function improved(rows, steps) {
  const better = rows.filter((i) => steps.accepted[i]);
  return (better.length ? better : rows.slice(-1)).map((i, step) => ({ step, rows: [i], best: i }));
}

function bestOf(rows, steps) {
  const value = (i) => steps.score[i] ?? -Infinity;
  return rows.reduce((best, i) => (value(i) > value(best) ? i : best));
}

/** The line to show first: the one with the best score that has steps to take. */
export function firstLine(lines, steps) {
  const value = (line) => Math.max(...line.frames.map((f) => steps.score[f.best] ?? -Infinity));
  const long = lines.filter((line) => line.climbs && line.frames.length > 1);
  const pool = long.length ? long : lines;
  return pool.reduce((best, line) => (value(line) > value(best) ? line : best), pool[0]);
}

/**
 * Where each row stands across: zones side by side for what has no steps and what has.
 * @returns {{x: number[], zones: {name: string, from: number, to: number}[], ticks: any[]}}
 */
export function places(steps) {
  const kinds = { before: [], climb: [], after: [] };
  for (let i = 0; i < steps.start.length; i++) {
    const kind = steps.start[i] >= 0 ? "climb" : steps.source[i] === "backbone" ? "before" : "after";
    kinds[kind].push(i);
  }
  const x = new Array(steps.start.length).fill(0);
  const zones = [];
  const marks = [];
  let from = 0;
  for (const [kind, rows] of Object.entries(kinds)) {
    if (!rows.length) continue;
    const width = kind === "climb" ? 2 : 1;
    const last = kind === "climb" ? rows.reduce((m, i) => Math.max(m, steps.step[i]), 1) : rows.length - 1 || 1;
    const inside = 0.04 * width;
    const to = (t) => from + inside + ((width - 2 * inside) * t) / last;
    rows.forEach((i, order) => (x[i] = to(kind === "climb" ? steps.step[i] : order)));
    if (kind === "climb") {
      const every = Math.ceil(last / 10);
      for (let t = 0; t <= last; t += every) marks.push([to(t), String(t)]);
    }
    const name = { before: "backbone", climb: "gradient steps", after: "edits" }[kind];
    zones.push({ name, from, to: from + width });
    from += width;
  }
  return { x, zones, ticks: marks };
}
