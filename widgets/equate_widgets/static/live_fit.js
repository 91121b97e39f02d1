import { begin, html, number, r2Text, short } from "./chart.js";
import { drawFront } from "./draw_front.js";
import { formula } from "./typeset.js";

const PHASES = {
  columns: "selecting columns", families: "solving known families", propose: "sampling from the backbone", align: "adapting to the data set",
  ascend: "gradient ascent", edit: "editing the best formulas", shorten: "simplifying",
};

function render({ model, el }) {
  begin(el);
  const head = html("div", { class: "controls" });
  const status = html("span", { "aria-live": "polite" });
  const stop = html("button", { type: "button", onclick: () => model.send({ do: "stop" }) }, "■ stop, keep the best");
  const bar = html("progress", { max: 1, value: 0, "aria-label": "share of the time limit" });
  head.append(stop, bar, status);
  const alert = html("p", { role: "alert" });
  const best = html("div", { class: "card" });
  const front = html("div");
  el.append(head, alert, best, front);
  const draw = () => {
    const state = model.get("state");
    stop.hidden = !state.running;
    bar.hidden = !state.running;
    bar.value = Math.min(state.seconds / state.limit, 1);
    const doing = state.running ? (PHASES[state.phase] ?? "starting") : state.ending;
    status.textContent = `${doing} · ${number(state.seconds, 3)} s · ${state.candidates} formulas tried`;
    alert.textContent = state.error;
    alert.hidden = !state.error;
    const shown = state.equation
      ? [html("div", { class: "formula", title: short(state.equation, 500) }, formula(state.latex, state.equation)), html("span", { class: "muted" }, `R² ${r2Text(state.r2)} · size ${state.complexity}`)]
      : [html("span", { class: "muted" }, "no formula yet")];
    best.replaceChildren(...shown);
    drawFront(front, state.front);
  };
  model.on("change:state", draw);
  draw();
  return () => model.off("change:state", draw);
}

export default { render };
