"""How the tests type: the real kubectl in one namespace, to its end or for as long as it is looked at."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KUBECTL = Path(sys.executable).with_name("kubectl")
DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Said:
    code: int | None
    text: str  # of both channels

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def table(self) -> list[list[str]]:
        return [line.split() for line in self.lines]

    def ok(self) -> str:
        assert self.code == 0, f"exit {self.code}: {self.text}"
        return self.text


class Running:
    """A kubectl that goes on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """The next line; "" at the end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def line_with(self, text: str) -> str:
        seen: list[str] = []
        while text not in (line := await self.line()):
            seen.append(line)
            assert line, f"it ended without {text!r}; it had said {seen}"
        return line


@dataclass(frozen=True, slots=True)
class Kubectl:
    kubeconfig: Path
    namespace: str
    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home), **self.environment}
        return await asyncio.create_subprocess_exec(
            KUBECTL,
            f"--namespace={self.namespace}",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
        )

    async def __call__(self, *arguments: str, stdin: str | object = "") -> Said:
        """Runs to the end. *stdin*: text, or an object that is sent as JSON."""
        process = await self._start(*arguments)
        sent = stdin if isinstance(stdin, str) else json.dumps(stdin)
        try:
            async with asyncio.timeout(DEADLINE_S):
                said, _ = await process.communicate(sent.encode())
        except TimeoutError:
            process.kill()
            said, _ = await process.communicate()
            raise AssertionError(f"kubectl {arguments} did not end, it said {said.decode()}") from None
        return Said(process.returncode, said.decode())

    async def json(self, *arguments: str) -> Any:
        return json.loads((await self(*arguments, "-o", "json")).ok())

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[Running]:
        process = await self._start(*arguments)
        try:
            yield Running(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
