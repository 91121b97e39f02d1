import { drawTrajectory } from "./draw_trajectory.js";

function render({ model, el }) {
  let view;
  const draw = () => {
    view?.destroy();
    view = drawTrajectory(el, model.get("data"), {
      onStep: (row) => {
        if (row === model.get("row")) return;
        model.set("row", row);
        model.set("equation", model.get("data").steps.equation[row]);
        model.save_changes();
      },
    });
    if (model.get("row") >= 0) view.show(model.get("row"));
  };
  const show = () => view.show(model.get("row"));
  model.on("change:data", draw);
  model.on("change:row", show);
  draw();
  return () => {
    model.off("change:data", draw);
    model.off("change:row", show);
    view.destroy();
  };
}

export default { render };
