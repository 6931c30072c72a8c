"""What a run says while it works: bars on a terminal, plain lines elsewhere, nothing when quiet; and a JSON log."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

Style = Literal["auto", "bars", "lines", "quiet"]
EVERY = 5.0  # seconds between plain progress lines


class Progress:
    """Reports stages to people (on stderr) and events to `log.jsonl`."""

    def __init__(self, style: Style = "auto", stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.style = ("bars" if self.stream.isatty() else "lines") if style == "auto" else style
        self._log: Path | None = None

    def log_to(self, path: Path) -> None:
        """Append events to this file from now on."""
        self._log = path

    def log(self, event: str, **facts: Any) -> None:
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"time": round(time.time(), 3), "event": event, **facts}) + "\n")

    def say(self, text: str) -> None:
        if self.style != "quiet":
            print(text, file=self.stream)

    @contextmanager
    def stage(self, title: str, tasks: int, size: int, reused: int = 0) -> Iterator[Stage]:
        """A stage of `tasks` pieces of work over `size` bytes; `reused` pieces were done before."""
        self.log("begin", stage=title, tasks=tasks, reused=reused)
        stage = (_Bars if self.style == "bars" else Stage)(self, title, tasks, size, reused)
        try:
            yield stage
            stage.end()
        finally:
            stage.close()
        self.log("end", stage=title, documents=stage.documents, bytes=stage.text, seconds=stage.seconds)


class Stage:
    """Progress of one stage as plain lines."""

    def __init__(self, progress: Progress, title: str, tasks: int, size: int, reused: int):
        self.progress, self.title, self.tasks, self.size, self.reused = progress, title, tasks, size, reused
        self.documents = self.text = self.done = self.finished = 0
        self._began = self._said = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def advance(self, documents: int, size: int, text: int) -> None:
        """One task is finished: `size` bytes of input, `text` bytes of text."""
        self.documents += documents
        self.text += text
        self.done += size
        self.finished += 1
        self.show()

    def rates(self) -> str:
        seconds = max(self.seconds, 1e-9)
        left = seconds * (self.size - self.done) / self.done if self.done else 0.0
        speed = f"{self.documents / seconds:,.0f} documents/s, {self.text / seconds / 1e6:.1f} MB/s"
        return f"{speed}, {left:.0f} s left" if left >= 1 else speed

    def show(self) -> None:
        if self.progress.style == "lines" and time.perf_counter() - self._said > EVERY:
            self._said = time.perf_counter()
            self.progress.say(f"{self.title}: {self.finished} of {self.tasks} tasks, {self.rates()}")

    def end(self) -> None:
        if self.progress.style != "lines":
            return
        reused = f", {self.reused} shards reused" if self.reused else ""
        what = f"{self.documents:,} documents in {self.seconds:.1f} s ({self.rates()})" if self.documents else "done"
        self.progress.say(f"{self.title}: {what}{reused}")

    def close(self) -> None:
        """Leave the terminal as it was."""


class _Bars(Stage):
    """Progress of one stage as a bar."""

    def __init__(self, progress: Progress, title: str, tasks: int, size: int, reused: int):
        super().__init__(progress, title, tasks, size, reused)
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description:<28}"), BarColumn(), TextColumn("{task.fields[rates]}"))
        self._bar = Bar(*columns, console=Console(file=progress.stream))
        self._bar.start()
        note = f"{reused} shards reused" if reused and not tasks else ""
        self._task = self._bar.add_task(title, total=max(tasks, 1), rates=note)

    def show(self) -> None:
        self._bar.update(self._task, completed=self.finished, rates=self.rates())

    def end(self) -> None:
        self._bar.update(self._task, completed=max(self.tasks, 1))

    def close(self) -> None:
        self._bar.stop()
