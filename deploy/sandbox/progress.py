"""Progress of the main job: one line a stage with its time, a bar while it runs.

On a terminal the running stage shows a bar; elsewhere each stage prints one line when it ends, so
that a log stays readable. `on_tick` runs several times a second while a stage works (the
supervisor checks its processes and samples memory there).
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from api.cli.console import err

TICK_S = 0.25


class Stage:
    """The running stage: how far it is and what it says at its end."""

    def __init__(self, update: Callable[[float | None, float | None, str], None]) -> None:
        self._update = update
        self.summary = ""

    def advance(self, done: float, total: float, note: str = "") -> None:
        """Show `done` of `total`."""
        self._update(done, total, note)


class Stages:
    """Runs stages by name and keeps how long each took."""

    def __init__(self, on_tick: Callable[[], object]) -> None:
        self.seconds: dict[str, float] = {}
        self._on_tick = on_tick

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Run one stage; an exception passes through after its line is closed."""
        begun = time.monotonic()
        with self._bar(name) as stage, self._ticking():
            yield stage
        took = time.monotonic() - begun
        self.seconds[name] = round(took, 2)
        err.print(f"  [green]ok[/green] {name:<9} {took:6.1f} s  ", end="")
        err.print(stage.summary, markup=False)

    @contextmanager
    def _bar(self, name: str) -> Iterator[Stage]:
        if not err.is_terminal:
            yield Stage(lambda _done, _total, _note: None)
            return
        columns = (
            SpinnerColumn(finished_text=" "),
            TextColumn("  {task.description:<9}"),
            BarColumn(bar_width=32),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        with Progress(*columns, console=err, transient=True) as progress:
            task = progress.add_task(name, total=None, note="")

            def update(done: float | None, total: float | None, note: str) -> None:
                progress.update(task, completed=done, total=total, note=note)

            yield Stage(update)

    @contextmanager
    def _ticking(self) -> Iterator[None]:
        over = threading.Event()

        def tick() -> None:
            while not over.wait(TICK_S):
                self._on_tick()

        thread = threading.Thread(target=tick, name="stage-tick", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
