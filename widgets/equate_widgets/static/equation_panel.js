import { EquationView } from "./draw_equation.js";

function render({ model, el }) {
  let waiting = null; // constants that changed while Python was processing earlier ones
  let busy = false;
  const send = (values) => {
    busy = true;
    model.set("constants", values);
    model.save_changes();
  };
  const view = new EquationView(el, {
    onConstants: (values) => {
      if (busy) waiting = values;
      else send(values);
    },
    onPrune: (node) => model.send({ do: "prune", node }),
    onRefit: () => model.send({ do: "refit" }),
    onReset: () => model.send({ do: "reset" }),
  });
  const onView = () => {
    waiting = null;
    view.formula(model.get("view"));
    view.live(model.get("live")); // the old formula may have been drawn in the meantime
  };
  const onLive = () => {
    busy = false;
    view.live(model.get("live"));
    if (waiting) {
      send(waiting);
      waiting = null;
    }
  };
  const onMessage = () => view.message(model.get("message"));
  const handlers = { "change:view": onView, "change:live": onLive, "change:message": onMessage };
  for (const [name, handler] of Object.entries(handlers)) model.on(name, handler);
  onView();
  onMessage();
  return () => {
    for (const [name, handler] of Object.entries(handlers)) model.off(name, handler);
  };
}

export default { render };
