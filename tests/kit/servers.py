"""A real redis-server for a test, alone on a port of its own."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.kit.waiting import eventually

HOST = "127.0.0.1"
PASSWORD = "right horse"


# Below the ports that Linux gives to connections (32768 and above, ip_local_port_range), in an order of this process.
_PORTS = iter(random.sample(range(12_000, 29_000), 17_000))


def free_port() -> int:
    """One that nobody listens on, and that is told once only: servers that start side by side never get the same."""
    for port in _PORTS:
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is left")


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
