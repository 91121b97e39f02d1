// Renderer of search trajectories in outputs and files, without a kernel.

import { Widget } from "@lumino/widgets";

import { drawTrajectory } from "../../equate_widgets/static/draw_trajectory.js";
import "../../equate_widgets/static/views.css";

const MIME = "application/vnd.equate.trajectory+json";

class TrajectoryRenderer extends Widget {
  constructor({ mimeType }) {
    super();
    this.mimeType = mimeType;
    this.drawn = null;
    this.addClass("equate-trajectory");
    this.node.style.overflow = "auto"; // a document view has no scroll bar of its own
  }

  async renderModel(model) {
    this.clear();
    this.drawn = drawTrajectory(this.node, model.data[this.mimeType] ?? null);
  }

  dispose() {
    this.clear();
    super.dispose();
  }

  /** Stop the playback. */
  clear() {
    this.drawn?.destroy();
    this.drawn = null;
  }
}

export default {
  id: "equate-srbench:trajectory",
  description: "Shows how EQUATE found a formula.",
  dataType: "json",
  rendererFactory: {
    safe: true, // the payload is drawn as text and shapes, never as markup
    mimeTypes: [MIME],
    createRenderer: (options) => new TrajectoryRenderer(options),
  },
  fileTypes: [
    {
      name: "equate-trajectory",
      displayName: "EQUATE trajectory",
      mimeTypes: [MIME],
      extensions: [".equate.json"],
      fileFormat: "text", // as JupyterLab reads JSON files; the factory parses them
    },
  ],
  documentWidgetFactoryOptions: {
    name: "EQUATE trajectory",
    modelName: "text",
    primaryFileType: "equate-trajectory",
    fileTypes: ["equate-trajectory"],
    defaultFor: ["equate-trajectory"],
  },
};
