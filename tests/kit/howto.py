"""What a page tells its reader to type, and what it says that he will see: the fences of one page, in order."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
HOWTO: Final = ROOT / "docs/howto"
SHELLS: Final = frozenset(("sh", "shell", "bash", "console"))
SHOWN: Final = "text"  # the language of what the block before it prints
NOT_RUN: Final = "not run: "  # before the reason, after the language
WILDCARD: Final = "…"
_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """*shows*: what it prints, "…" for what may be anything. None: the page does not say."""

    page: str
    line: int
    command: str
    not_run: str = ""  # why nobody can try it here
    shows: str | None = None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def is_shown_by(self, output: str) -> bool:
        return self.shows is None or bool(_pattern(self.shows).fullmatch(f"{_trimmed(output)}\n"))


def read_blocks(path: Path) -> tuple[Block, ...]:
    """Raises ValueError for a block of output that belongs to no command, and for words that mean nothing."""
    return tuple(parse_blocks(path.relative_to(ROOT).as_posix(), path.read_text()))


def parse_blocks(page: str, text: str) -> Iterator[Block]:
    before: Block | None = None
    for fence in _FENCE.finditer(text):
        language, _, mark = fence["info"].strip().partition(" ")
        line = 1 + text.count("\n", 0, fence.start())
        body = textwrap.dedent(fence["body"])
        if language == SHOWN:
            if before is None:
                raise ValueError(f"{page}:{line}: of which command is this the output?")
            before = Block(
                page=page, line=before.line, command=before.command, not_run=before.not_run, shows=_trimmed(body)
            )
        if before is not None:
            yield before
            before = None
        if language in SHELLS:
            if mark and not mark.startswith(NOT_RUN):
                raise ValueError(f"{page}:{line}: what does {mark!r} mean?")
            before = Block(page=page, line=line, command=body, not_run=mark.removeprefix(NOT_RUN))
    if before is not None:
        yield before


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _pattern(shows: str) -> re.Pattern[str]:
    """A line that is "…" alone stands for any number of lines, also none."""
    lines = []
    for line in shows.splitlines():
        words = ".*".join(re.escape(part) for part in line.split(WILDCARD))
        lines.append(r"(?:.*\n)*?" if line == WILDCARD else f"{words}\n")
    return re.compile("".join(lines))
