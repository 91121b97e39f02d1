// A Launcher card that opens a notebook with the benchmark panel.

import { ILauncher } from "@jupyterlab/launcher";
import { LabIcon } from "@jupyterlab/ui-components";

import card from "./card.svg";
import notebook from "./notebook.json";

const COMMAND = "equate-srbench:open-benchmark";
const NAME = "equate-benchmark.ipynb";

/** Path of the notebook in a folder; the notebook is created if it does not exist. */
async function notebookIn(folder, { contents, kernelspecs }) {
  const path = folder ? `${folder}/${NAME}` : NAME;
  const listing = await contents.get(folder, { content: true });
  if (listing.content.some((file) => file.name === NAME)) return path;
  await kernelspecs.ready;
  const name = kernelspecs.specs?.default;
  const spec = kernelspecs.specs?.kernelspecs[name];
  const kernelspec = spec && { name, display_name: spec.display_name, language: spec.language };
  const content = { ...notebook, metadata: kernelspec ? { kernelspec } : {} };
  await contents.save(path, { type: "notebook", format: "json", content });
  return path;
}

export default {
  id: "equate-srbench:launcher",
  description: "Opens the benchmark panel of EQUATE.",
  autoStart: true,
  optional: [ILauncher],
  activate: (app, launcher) => {
    app.commands.addCommand(COMMAND, {
      label: "EQUATE benchmark",
      caption: "Open a notebook with the benchmark panel",
      icon: new LabIcon({ name: "equate-srbench:card", svgstr: card }),
      execute: async ({ cwd = "" }) => {
        const path = await notebookIn(cwd, app.serviceManager);
        return app.commands.execute("docmanager:open", { path, factory: "Notebook" });
      },
    });
    launcher?.add({ command: COMMAND, category: "Notebook", rank: 10 });
  },
};
