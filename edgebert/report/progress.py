"""Progress on standard error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from edgebert.steps import Named


class Bars:
    """Progress on standard error: a line for each step, a bar with a time left for the one that runs."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._cached: set[str] = set()

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, step: Named, cached: bool) -> None:
        """Show the step; one that is cached is told when it ends."""
        if cached:
            self._cached.add(step.key)
        elif step.key not in self._tasks:
            self._tasks[step.key] = self._progress.add_task(step.about, total=None)
        if not cached:
            self._progress.reset(self._tasks[step.key], total=None)

    def tell(self, done: int, total: int) -> None:
        """Move the bar of the step that began last."""
        if self._tasks:
            self._progress.update(list(self._tasks.values())[-1], completed=done, total=total)

    def end(self, step: Named) -> None:
        """Leave a line that says how long it took, or that it was there."""
        task = self._tasks.pop(step.key, None)
        if task is None:
            self._console.print(Text.assemble(("cached ", "dim"), (step.about, "dim")))
            return
        elapsed = self._progress.tasks[self._progress.task_ids.index(task)].elapsed or 0.0
        self._progress.remove_task(task)
        self._console.print(Text.assemble(("done   ", "green"), step.about, (f"  {elapsed:.0f} s", "dim")))


@contextlib.contextmanager
def counting(console: Console, about: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error for work that is counted."""
    with Progress(
        TextColumn(about), BarColumn(), TimeRemainingColumn(), console=console, transient=True
    ) as progress:
        task = progress.add_task(about, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
