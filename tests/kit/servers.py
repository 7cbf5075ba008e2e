"""A real redis-server for a test, alone on a port of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.kit.waiting import eventually

HOST = "127.0.0.1"
PASSWORD = "right horse"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def redis_server(
    folder: Path, *, password: str = "", cluster: bool = False
) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """Its port, and the process."""
    port = free_port()
    config = folder / "redis.conf"
    lines = [f"bind {HOST}", f"port {port}", 'save ""', f"dir {folder}"]
    lines += [f'requirepass "{password}"'] if password else []
    lines += ["cluster-enabled yes", f"cluster-port {free_port()}"] if cluster else []
    config.write_text("\n".join(lines))
    process = await asyncio.create_subprocess_exec("redis-server", str(config), stdout=asyncio.subprocess.DEVNULL)
    try:
        await eventually(lambda: _listens(port), f"redis-server listens on {port}", pause_s=0.01)
        yield port, process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
