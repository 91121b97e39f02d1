"""The benchmark panel: configure a run, start it, and monitor its results."""

from __future__ import annotations

import threading
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from traitlets import Unicode

from equate_srbench.baselines.environments import is_missing
from equate_srbench.baselines.methods import METHODS, spec
from equate_srbench.bench.execution.engines import ENGINES
from equate_srbench.bench.suites.loading import SUITES
from equate_srbench.bench.task import SEEDS
from equate_srbench.runtime.live import duration
from equate_widgets.bench_run import BenchRun, BenchRunError, BenchSettings
from equate_widgets.bench_snapshot import RunSnapshot, SnapshotReader
from equate_widgets.bench_view import results, status

_POLL_INTERVAL = 1.0  # seconds
_ACTIVE = ("running", "pausing", "stopping")
_snapshots = SnapshotReader()  # one process for all panels of a kernel


class BenchmarkPanel(widgets.VBox):
    """Start, pause, stop and resume a benchmark, and monitor its results.

    All state is in the run folder: a panel on the same folder, in a reloaded page or a new kernel,
    shows the same run. The run is ``equate bench`` in a separate process: the kernel stays
    responsive, and neither interrupting nor restarting it ends the run.

    Parameters
    ----------
    folder : str or Path, default="runs/benchmark"
        Run folder; created when the run starts.
    **settings
        Initial fields of ``BenchSettings`` that override those of the last run in the folder.

    Attributes
    ----------
    state : {"new", "running", "pausing", "stopping", "ended"}
        State of the run; an observable trait.
    snapshot : RunSnapshot
        The results that the panel shows.

    Raises
    ------
    BenchRunError
        If a setting is invalid.

    Examples
    --------
    >>> BenchmarkPanel("runs/quick", methods=("equate", "e2e"))  # doctest: +SKIP
    """

    state = Unicode("new", read_only=True)

    def __init__(self, folder: str | Path = "runs/benchmark", **settings: Any) -> None:
        self.run = BenchRun(folder)
        self.snapshot = RunSnapshot()
        self._form = _SettingsForm()
        self._wake, self._ended = threading.Event(), threading.Event()
        self._problem = ""  # error of the last action
        self._start = _button("Start", "play", self.start, "Run the missing fits")
        self._pause = _button(
            "Pause", "pause", self.pause, "Complete the running fits, start no more"
        )
        self._stop = _button("Stop", "stop", self.stop, "Interrupt the running fits")
        self._folder = widgets.Text(str(folder), description="folder", continuous_update=False)
        self._bar = widgets.FloatProgress(0.0, max=1.0, layout={"width": "260px"})
        self._status = widgets.HTML()
        self._results = widgets.HTML()
        css = (files("equate_widgets") / "static" / "bench_panel.css").read_text(encoding="utf-8")
        buttons = widgets.HBox([self._start, self._pause, self._stop, self._bar])
        super().__init__(
            [
                widgets.HTML(f"<style>{css}</style>", layout={"display": "none"}),
                *self._form.rows(self._folder),
                buttons,
                self._status,
                self._results,
            ]
        )
        self.add_class("equate-bench")
        self._show_settings(**settings)
        self._folder.observe(self._on_folder, "value")
        self._form.observe(lambda _: self._on_form())
        threading.Thread(target=self._watch, name="benchmark panel", daemon=True).start()

    # -- actions ---------------------------------------------------------------------

    def start(self) -> None:
        """Run the fits that are missing or failed, with the settings of the form."""
        self._press(lambda: self.run.start(self._form.settings()))

    def pause(self) -> None:
        """Start no more fits; those that are running are completed."""
        self._press(self.run.pause)

    def stop(self) -> None:
        """Interrupt the running fits; the second call kills them."""
        self._press(self.run.stop)

    def close(self) -> None:
        """Close the panel; the run continues."""
        self._ended.set()
        self._wake.set()
        super().close()

    def _press(self, action: Any) -> None:
        self._problem = ""
        try:
            action()
        except (ValueError, OSError) as error:
            self._problem = str(error)
        self._wake.set()

    def _on_folder(self, _: Any) -> None:
        """Switch to another run folder."""
        self.run = BenchRun(self._folder.value)
        self._press(self._show_settings)

    def _on_form(self) -> None:
        self._problem = ""
        self._wake.set()

    def _show_settings(self, **given: Any) -> None:
        """Fill the form: given settings, then those of the last run, then defaults."""
        try:
            kept = self.run.settings
        except BenchRunError as error:
            kept, self._problem = None, str(error)
        if given or kept:
            self._form.show(
                BenchSettings.from_user(**{**(kept.model_dump() if kept else {}), **given})
            )

    # -- display ---------------------------------------------------------------------------

    def _watch(self) -> None:
        """Poll the folder until the panel is closed; only this thread updates the display."""
        seen: object = None
        while not self._ended.is_set():
            seen = self._update(seen)
            self._wake.wait(_POLL_INTERVAL)
            self._wake.clear()

    def _update(self, seen: object) -> object:
        """Display the current state; rows are read again only if something changed."""
        run, problem, settings = self.run, self._problem, None
        try:
            state = run.state
            settings = run.settings if state in _ACTIVE else self._form.settings()
        except (BenchRunError, OSError) as error:
            state, problem = "ended", problem or str(error)
        now = (run.folder, run.version(), settings)
        if now != seen:
            self.snapshot = _snapshots.read(run.folder, settings)
            self._results.value = results(self.snapshot)
        self.set_trait("state", state)
        self._show(state, problem or self.snapshot.problem, settings)
        return now

    def _show(self, state: str, problem: str, settings: BenchSettings | None) -> None:
        snapshot, active = self.snapshot, state in _ACTIVE
        self._form.disable(active)
        self._folder.disabled = active
        complete = 0 < snapshot.requested <= snapshot.done
        self._start.disabled = active or complete or settings is None
        self._start.description = "Start" if state == "new" else "Resume"
        self._pause.disabled = state != "running"
        self._stop.disabled = not active
        self._bar.value = snapshot.done / snapshot.requested if snapshot.requested else 0.0
        ended = not active and not complete and state != "new"
        self._status.value = status(
            _status_text(state, snapshot, settings),
            problem,
            self.run.last_output() if ended else "",
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The panel, and its current results for pages without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            where = f"<p>Benchmark in <code>{escape(str(self.run.folder))}</code></p>"
            data["text/html"] = where + results(self.snapshot)
        return bundle


def _status_text(state: str, snapshot: RunSnapshot, settings: BenchSettings | None) -> str:
    """Describe the state of a run in one line."""
    if settings is None or not snapshot.requested:
        return ""
    missing = snapshot.requested - snapshot.done
    seconds = snapshot.seconds_left
    if seconds is None:
        seconds = missing * settings.max_time / settings.parallel
    left = f"about {duration(seconds)} left"
    if state == "new":
        return f"{snapshot.requested} fits, {left}"
    progress = f"{snapshot.done} of {snapshot.requested} fits done"
    if snapshot.failed:
        progress += f", {snapshot.failed} failed"
    return {
        "running": f"{progress}, {left}",
        "pausing": f"{progress}; pausing: the running fits are being completed",
        "stopping": f"{progress}; stopping: press Stop again to kill it",
        "ended": f"{progress}, {left}" if missing else progress,
    }[state]


class _SettingsForm:
    """Input widgets for the settings of a run."""

    def __init__(self) -> None:
        number, narrow = widgets.BoundedIntText, {"width": "180px"}
        default = BenchSettings()
        self.suite = widgets.Combobox(
            value=default.suite, options=list(SUITES), description="suite",
            continuous_update=False, placeholder="name, folder or file",
        )  # fmt: skip
        self.max_time = widgets.BoundedFloatText(
            default.max_time,
            min=0.1,
            max=86400.0,
            description="seconds per fit",
            layout=narrow,
            style={"description_width": "100px"},
        )
        self.n_seeds = number(1, min=1, max=len(SEEDS), description="seeds", layout=narrow)
        self.every = number(1, min=1, max=10_000, description="every k-th", layout=narrow)
        self.jobs = number(1, min=0, max=10_000, description="parallel", layout=narrow)
        self.noise = widgets.Text("0", description="noise", continuous_update=False, layout=narrow)
        self.engine = widgets.Dropdown(options=ENGINES, description="engine", layout=narrow)
        self.methods = {key: _method_box(key) for key in METHODS}
        self._missing = [box for key, box in self.methods.items() if is_missing(key)]
        self.other = widgets.Text(
            description="other", continuous_update=False, placeholder="package.module:Class, ..."
        )
        self.show(default)

    def rows(self, folder: widgets.Text) -> list[widgets.Widget]:
        """Rows of widgets from top to bottom."""
        columns = {"grid_template_columns": "repeat(auto-fill, minmax(170px, 1fr))"}
        return [
            widgets.HBox([self.suite, folder]),
            widgets.GridBox(list(self.methods.values()), layout=columns),
            self.other,
            widgets.GridBox(
                [self.max_time, self.n_seeds, self.noise, self.every, self.engine, self.jobs],
                layout={"grid_template_columns": "repeat(auto-fill, minmax(190px, 1fr))"},
            ),
        ]

    def settings(self) -> BenchSettings:
        """Settings of the form; raises BenchRunError if they are invalid."""
        chosen = [key for key, box in self.methods.items() if box.value]
        chosen += [word.strip() for word in self.other.value.split(",") if word.strip()]
        if not chosen:
            raise BenchRunError("no method is selected: choose at least one")
        return BenchSettings.from_user(
            suite=self.suite.value.strip(), methods=chosen, n_seeds=self.n_seeds.value,
            noise=[word.strip() for word in self.noise.value.split(",") if word.strip()],
            max_time=self.max_time.value, every=self.every.value, engine=self.engine.value,
            jobs=self.jobs.value,
        )  # fmt: skip

    def show(self, settings: BenchSettings) -> None:
        """Fill the form with settings."""
        for name in ("suite", "max_time", "n_seeds", "every", "jobs", "engine"):
            getattr(self, name).value = getattr(settings, name)
        self.noise.value = ", ".join(f"{level:g}" for level in settings.noise)
        for key, box in self.methods.items():
            box.value = key in settings.methods
        self.other.value = ", ".join(m for m in settings.methods if m not in self.methods)

    def observe(self, changed: Any) -> None:
        """Register a callback for changes of any value."""
        for widget in self._all():
            widget.observe(changed, "value")

    def disable(self, off: bool) -> None:
        """Disable or enable the form."""
        for widget in self._all():
            widget.disabled = off or widget in self._missing

    def _all(self) -> list[widgets.Widget]:
        return [
            self.suite, self.max_time, self.n_seeds, self.every, self.jobs, self.noise,
            self.engine, self.other, *self.methods.values(),
        ]  # fmt: skip


def _method_box(key: str) -> widgets.Checkbox:
    there = not is_missing(key)
    return widgets.Checkbox(
        description=spec(key).label if there else f"{spec(key).label} (not installed)",
        tooltip=METHODS[key].about if there else f"run: equate baselines install {key}",
        disabled=not there,
        indent=False,
        layout={"width": "auto"},
    )


def _button(label: str, icon: str, press: Any, tip: str) -> widgets.Button:
    made = widgets.Button(description=label, icon=icon, tooltip=tip, layout={"width": "100px"})
    made.on_click(lambda _: press())
    return made
