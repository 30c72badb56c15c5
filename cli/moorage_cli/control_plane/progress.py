"""How long-running steps tell what they are at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

Report = Callable[[str, str], None]
"""Called with what is being done (``building etcd 3.6.16``) and what it is at just now."""

_LINE_EVERY_S: Final = 30.0


@contextmanager
def shown_progress() -> Iterator[Report]:
    """A reporter on stderr: a live display on a terminal, a line now and then elsewhere."""
    console = Console(stderr=True)
    if console.is_terminal:
        with _live_display(console) as report:
            yield report
    else:
        yield _line_printer(console)


@contextmanager
def _live_display(console: Console) -> Iterator[Report]:
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[detail]}"),
    )
    progress = Progress(*columns, console=console)
    tasks: dict[str, TaskID] = {}

    def report(step: str, detail: str) -> None:
        progress.start()
        if step not in tasks:
            _finish(progress)
            tasks[step] = progress.add_task(step, total=1, detail=detail)
        progress.update(tasks[step], detail=detail)

    try:
        yield report
    finally:
        if tasks:
            _finish(progress)
            progress.stop()


def _line_printer(console: Console) -> Report:
    printed_s: dict[str, float] = {}

    def report(step: str, detail: str) -> None:
        now_s = time.monotonic()
        if now_s - printed_s.get(step, float("-inf")) >= _LINE_EVERY_S:
            printed_s[step] = now_s
            console.print(f"{step}: {detail}", highlight=False, soft_wrap=True)

    return report


def _finish(progress: Progress) -> None:
    for task in progress.tasks:
        progress.update(task.id, completed=1, detail="")
