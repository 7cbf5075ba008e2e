"""What a container said: its lines on disk with time and stream, of bounded size, readable while they grow."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Stream = Literal["stdout", "stderr"]
LIMIT_BYTES = 10 * 2**20  # a file that grew to this becomes `.1`, and the older `.1` goes
LONGEST_LINE_BYTES = 16 * 2**10
FOLLOWER_BACKLOG_LINES = 50_000


@dataclass(frozen=True, slots=True)
class Line:
    when: bytes  # RFC 3339 with nanoseconds
    text: bytes  # with its newline, if it had one


class LogFile:
    """One container instance's log, written as `TIME STREAM F|P TEXT` lines as container runtimes do."""

    def __init__(self, path: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._limit_bytes = limit_bytes
        self._file = path.open("ab", buffering=0)
        self._size_bytes = self._file.tell()
        self._partial: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
        self._followers: list[Follower] = []
        self.closed = False

    def write(self, stream: Stream, data: bytes) -> None:
        *lines, rest = (self._partial[stream] + data).split(b"\n")
        entries = [Line(b"", line + b"\n") for line in lines]
        while len(rest) >= LONGEST_LINE_BYTES:
            entries.append(Line(b"", rest[:LONGEST_LINE_BYTES]))
            rest = rest[LONGEST_LINE_BYTES:]
        self._partial[stream] = rest
        if entries:
            self._append(stream, entries)

    def close(self) -> None:
        """Writes what has no newline yet, and ends every follower."""
        if self.closed:
            return
        for stream, rest in self._partial.items():
            if rest:
                self._append(stream, [Line(b"", rest)])
        self.closed = True
        self._file.close()
        for follower in self._followers:
            follower.end()

    def lines(self) -> Iterator[Line]:
        """Everything kept, oldest first."""
        return read_lines(self.path)

    def follow(self) -> Follower:
        """Hears what is written from now on."""
        follower = Follower()
        if self.closed:
            follower.end()
        else:
            self._followers.append(follower)
            follower.on_close = lambda: self._followers.remove(follower)
        return follower

    def _append(self, stream: Stream, entries: list[Line]) -> None:
        when = _now_text()
        name = stream.encode()
        data = b"".join(
            when + b" " + name + (b" F " + line.text if line.text.endswith(b"\n") else b" P " + line.text + b"\n")
            for line in entries
        )
        if self._size_bytes + len(data) > self._limit_bytes:
            self._rotate()
        self._file.write(data)
        self._size_bytes += len(data)
        for follower in self._followers:
            for line in entries:
                follower.offer(Line(when, line.text))

    def _rotate(self) -> None:
        self._file.close()
        self.path.rename(rotated(self.path))
        self._file = self.path.open("ab", buffering=0)
        self._size_bytes = 0


class Follower:
    """Lines of a log as they are written, until the container ends."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Line | None] = asyncio.Queue()
        self.on_close: Callable[[], None] = lambda: None

    async def lines(self) -> AsyncIterator[Line]:
        try:
            while (line := await self._queue.get()) is not None:
                yield line
        finally:
            self.on_close()

    def offer(self, line: Line) -> None:
        # A reader that does not keep up misses lines rather than have them held in memory without end.
        if self._queue.qsize() < FOLLOWER_BACKLOG_LINES:
            self._queue.put_nowait(line)

    def end(self) -> None:
        self._queue.put_nowait(None)


def rotated(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def read_lines(path: Path) -> Iterator[Line]:
    for part in (rotated(path), path):
        with suppress(FileNotFoundError), part.open("rb") as file:
            for raw in file:
                when, _, rest = raw.partition(b" ")
                _, _, rest = rest.partition(b" ")
                tag, _, text = rest.partition(b" ")
                yield Line(when, text if tag == b"F" else text[:-1])


def select_lines(lines: Iterator[Line], *, tail: int | None, since: str | None) -> Iterator[Line]:
    """*since*: RFC 3339 text in UTC."""
    if since is not None:
        edge = since.encode()
        lines = (line for line in lines if line.when >= edge)
    return iter(deque(lines, maxlen=tail)) if tail is not None else lines


def render(line: Line, *, timestamps: bool) -> bytes:
    return line.when + b" " + line.text if timestamps else line.text


def _now_text() -> bytes:
    now_ns = time.time_ns()
    seconds, nanos = divmod(now_ns, 10**9)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z".encode()
