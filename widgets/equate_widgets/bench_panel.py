"""The benchmark panel: choose what to compare, start it, and watch the rows arrive."""

from __future__ import annotations

import threading
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from traitlets import Unicode

from equate_srbench.baselines.environments import PACKAGES
from equate_srbench.baselines.methods import METHODS, spec
from equate_srbench.bench.execution.engines import ENGINES
from equate_srbench.bench.suites.loading import SUITES
from equate_srbench.bench.task import SEEDS
from equate_srbench.runtime.live import duration
from equate_widgets import bench_view
from equate_widgets.bench_glance import Glance, Looker
from equate_widgets.bench_run import BenchRun, BenchRunError, BenchSettings

_BEAT = 1.0  # seconds between looks at the folder
_ACTIVE = ("running", "pausing", "stopping")
_looker = Looker()  # one process for all panels of a kernel


class BenchmarkPanel(widgets.VBox):
    """Start, pause, stop and resume a benchmark, and watch its rows arrive.

    Everything is in the run folder, so a panel on the same folder, in a reloaded page or a new
    kernel, shows the same run. The run is ``equate bench`` in a process of its own: the kernel
    stays free, and neither an interrupt nor a restart of it ends the run.

    Parameters
    ----------
    folder : str or Path, default="runs/benchmark"
        For the rows; made when the run starts.
    **settings
        Fields of ``BenchSettings`` to begin with, instead of those of the folder's last run.

    Attributes
    ----------
    state : {"new", "running", "pausing", "stopping", "ended"}
        Of the run; a trait that can be observed.
    glance : Glance
        What the panel shows.

    Raises
    ------
    BenchRunError
        For settings that cannot be.

    Examples
    --------
    >>> BenchmarkPanel("runs/quick", methods=("equate", "e2e"))  # doctest: +SKIP
    """

    state = Unicode("new", read_only=True)

    def __init__(self, folder: str | Path = "runs/benchmark", **settings: Any) -> None:
        self.run = BenchRun(folder)
        self.glance = Glance()
        self._form = _Form()
        self._wake, self._ended = threading.Event(), threading.Event()
        self._problem = ""  # with the last press of a button
        self._start = _button("Start", "play", self.start, "Make the fits that are missing")
        self._pause = _button("Pause", "pause", self.pause, "Let the fits that run end first")
        self._stop = _button("Stop", "stop", self.stop, "End the fits that run at once")
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
        self._folder.observe(self._moved, "value")
        self._form.observe(lambda _: self._changed())
        threading.Thread(target=self._watch, name="benchmark panel", daemon=True).start()

    # -- what the buttons do ---------------------------------------------------------------------

    def start(self) -> None:
        """Make the fits that are missing or failed, with the settings shown."""
        self._press(lambda: self.run.start(self._form.settings()))

    def pause(self) -> None:
        """Let no more fits begin; those that run come to their end."""
        self._press(self.run.pause)

    def stop(self) -> None:
        """End the fits that run; a second time, by force."""
        self._press(self.run.stop)

    def close(self) -> None:
        """Close the panel; a run goes on."""
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

    def _moved(self, _: Any) -> None:
        """Another folder was chosen."""
        self.run = BenchRun(self._folder.value)
        self._press(self._show_settings)

    def _changed(self) -> None:
        self._problem = ""
        self._wake.set()

    def _show_settings(self, **given: Any) -> None:
        """Those given, else those of the folder's last run, else the defaults."""
        try:
            kept = self.run.settings
        except BenchRunError as error:
            kept, self._problem = None, str(error)
        if given or kept:
            self._form.show(BenchSettings.of(**{**(kept.model_dump() if kept else {}), **given}))

    # -- what is shown ---------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look at the folder until the panel is closed; the only writer of what is shown."""
        seen: object = None
        while not self._ended.is_set():
            seen = self._look(seen)
            self._wake.wait(_BEAT)
            self._wake.clear()

    def _look(self, seen: object) -> object:
        """Show the run as it is; rows are read again only if there is anything new."""
        run, problem, settings = self.run, self._problem, None
        try:
            state = run.state
            settings = run.settings if state in _ACTIVE else self._form.settings()
        except (BenchRunError, OSError) as error:
            state, problem = "ended", problem or str(error)
        now = (run.folder, run.version(), settings)
        if now != seen:
            self.glance = _looker.ask(run.folder, settings)
            self._results.value = bench_view.results(self.glance)
        self.set_trait("state", state)
        self._show(state, problem or self.glance.problem, settings)
        return now

    def _show(self, state: str, problem: str, settings: BenchSettings | None) -> None:
        glance, active = self.glance, state in _ACTIVE
        self._form.disable(active)
        self._folder.disabled = active
        complete = 0 < glance.asked <= glance.done
        self._start.disabled = active or complete or settings is None
        self._start.description = "Start" if state == "new" else "Resume"
        self._pause.disabled = state != "running"
        self._stop.disabled = not active
        self._bar.value = glance.done / glance.asked if glance.asked else 0.0
        words = _words(state, glance, settings)
        last = "" if active or complete or state == "new" else self.run.last_words()
        self._status.value = bench_view.status(words, problem, last)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The panel, and what it shows now for readers without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            where = f"<p>Benchmark in <code>{escape(str(self.run.folder))}</code></p>"
            data["text/html"] = where + bench_view.results(self.glance)
        return bundle


def _words(state: str, glance: Glance, settings: BenchSettings | None) -> str:
    """The state of a run in one line."""
    if settings is None or not glance.asked:
        return ""
    missing = glance.asked - glance.done
    seconds = glance.seconds_left
    if seconds is None:
        seconds = missing * settings.max_time / settings.parallel
    left = f"about {duration(seconds)} to go"
    if state == "new":
        return f"{glance.asked} fits, {left}"
    said = f"{glance.done} of {glance.asked} fits done"
    if glance.failed:
        said += f", {glance.failed} failed"
    return {
        "running": f"{said}, {left}",
        "pausing": f"{said}; pausing: the fits that run come to their end",
        "stopping": f"{said}; stopping: press Stop again to end it by force",
        "ended": f"{said}, {left}" if missing else said,
    }[state]


class _Form:
    """The settings as a person gives them."""

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
            description="seconds a fit",
            layout=narrow,
            style={"description_width": "90px"},
        )
        self.n_seeds = number(1, min=1, max=len(SEEDS), description="seeds", layout=narrow)
        self.every = number(1, min=1, max=10_000, description="every k-th", layout=narrow)
        self.jobs = number(1, min=0, max=10_000, description="at once", layout=narrow)
        self.noise = widgets.Text("0", description="noise", continuous_update=False, layout=narrow)
        self.engine = widgets.Dropdown(options=ENGINES, description="engine", layout=narrow)
        self.methods = {key: _method_box(key) for key in METHODS}
        self._missing = [box for key, box in self.methods.items() if not _is_installed(key)]
        self.other = widgets.Text(
            description="other", continuous_update=False, placeholder="package.module:Class, ..."
        )
        self.show(default)

    def rows(self, folder: widgets.Text) -> list[widgets.Widget]:
        """The form from top to bottom."""
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
        """What the form says; raises BenchRunError for what cannot be."""
        chosen = [key for key, box in self.methods.items() if box.value]
        chosen += [word.strip() for word in self.other.value.split(",") if word.strip()]
        if not chosen:
            raise BenchRunError("which methods? Choose at least one")
        return BenchSettings.of(
            suite=self.suite.value.strip(), methods=chosen, n_seeds=self.n_seeds.value,
            noise=[word.strip() for word in self.noise.value.split(",") if word.strip()],
            max_time=self.max_time.value, every=self.every.value, engine=self.engine.value,
            jobs=self.jobs.value,
        )  # fmt: skip

    def show(self, settings: BenchSettings) -> None:
        """Fill the form."""
        for name in ("suite", "max_time", "n_seeds", "every", "jobs", "engine"):
            getattr(self, name).value = getattr(settings, name)
        self.noise.value = ", ".join(f"{level:g}" for level in settings.noise)
        for key, box in self.methods.items():
            box.value = key in settings.methods
        self.other.value = ", ".join(m for m in settings.methods if m not in self.methods)

    def observe(self, changed: Any) -> None:
        """Call when any value changes."""
        for widget in self._all():
            widget.observe(changed, "value")

    def disable(self, off: bool) -> None:
        """Lock the form, or give it back."""
        for widget in self._all():
            widget.disabled = off or widget in self._missing

    def _all(self) -> list[widgets.Widget]:
        return [
            self.suite, self.max_time, self.n_seeds, self.every, self.jobs, self.noise,
            self.engine, self.other, *self.methods.values(),
        ]  # fmt: skip


def _is_installed(key: str) -> bool:
    return key not in PACKAGES or PACKAGES[key].is_installed


def _method_box(key: str) -> widgets.Checkbox:
    there = _is_installed(key)
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
