import { drawFront } from "./draw_front.js";

function render({ model, el }) {
  let view;
  const draw = () => {
    view = drawFront(el, model.get("data"), {
      selected: model.get("selected"),
      logLoss: model.get("log_loss"),
      onSelect: (equation) => {
        model.set("selected", equation);
        model.save_changes();
      },
      onScale: (logLoss) => {
        model.set("log_loss", logLoss);
        model.save_changes();
      },
    });
  };
  const select = () => view.select(model.get("selected"));
  model.on("change:data", draw);
  model.on("change:selected", select);
  draw();
  return () => {
    model.off("change:data", draw);
    model.off("change:selected", select);
  };
}

export default { render };
