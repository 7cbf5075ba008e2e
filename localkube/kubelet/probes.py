"""When a container counts as started, ready, alive: probes on real time, and the counting that makes a verdict."""

from __future__ import annotations

import asyncio
import errno
import math
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

from localkube.kubelet.process import ExecProcess, SandboxedProcess

Obj = dict[str, Any]
ProbeName = Literal["Startup", "Readiness", "Liveness"]
OUTPUT_LIMIT_BYTES = 10 * 1024
HTTP_OK = range(200, 400)
TICK_S = 0.05
# A real kubelet hears of a started container a little late. Asked at once, hardly any program would be up, and every
# pod would lose a whole period.
SETTLE_S = 0.2


@dataclass(frozen=True, slots=True)
class Finding:
    """One run of a probe. *message* is what the Unhealthy event says."""

    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    initial_delay_s: float
    period_s: float
    timeout_s: float
    success_threshold: int
    failure_threshold: int


def parse_timing(probe: Obj) -> Timing:
    return Timing(
        initial_delay_s=probe.get("initialDelaySeconds") or 0,
        period_s=probe.get("periodSeconds") or 10,
        timeout_s=probe.get("timeoutSeconds") or 1,
        success_threshold=probe.get("successThreshold") or 1,
        failure_threshold=probe.get("failureThreshold") or 3,
    )


class Verdict:
    """Counts equal findings in a row; only a full count changes the verdict."""

    def __init__(self, timing: Timing, initial: bool | None) -> None:
        self._timing = timing
        self.value = initial  # None: not known yet
        self._last: bool | None = None
        self._run = 0

    def add(self, ok: bool) -> bool:
        """Returns whether the count for *ok* is full, so that it is now the verdict."""
        self._run = self._run + 1 if ok == self._last else 1
        self._last = ok
        if self._run < (self._timing.success_threshold if ok else self._timing.failure_threshold):
            return False
        self.value = ok
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What an action needs to know of its container."""

    pod_ip: str
    node_ip: str
    ports: Mapping[str, int]
    process: SandboxedProcess
    http: aiohttp.ClientSession


def unsupported(action: Obj) -> str | None:
    """The kind of probe or hook that localkube lacks, or None."""
    if "grpc" in action:
        return "grpc"
    return None


async def act(action: Obj, target: Target, timeout_s: float) -> Finding:
    """One run of an exec, httpGet, tcpSocket or sleep action: a probe's or a lifecycle hook's."""
    if "exec" in action:
        return await run_exec(target.process, action["exec"].get("command") or [], timeout_s)
    if "httpGet" in action:
        return await _get(action["httpGet"], target, timeout_s)
    if "tcpSocket" in action:
        wanted = action["tcpSocket"]
        try:
            port = _port(wanted["port"], target)
        except ValueError as error:
            return Finding(False, str(error))
        return await connect(wanted.get("host") or target.pod_ip, port, timeout_s, source=target.node_ip)
    if "sleep" in action:
        await asyncio.sleep(action["sleep"]["seconds"])
        return Finding(True)
    return Finding(False, f"localkube does not provide this action: {', '.join(sorted(action))}")


async def run_exec(process: SandboxedProcess, command: Sequence[str], timeout_s: float) -> Finding:
    try:
        running = ExecProcess(process, command)
    except ProcessLookupError as error:
        return Finding(False, str(error))
    said = b""

    async def listen() -> int:
        nonlocal said
        async for _, data in running.output():
            if len(said) < OUTPUT_LIMIT_BYTES:
                said += data
        return await running.wait()

    try:
        async with asyncio.timeout(timeout_s):
            code = await listen()
    except TimeoutError:
        text = " ".join(command)
        return Finding(False, f'command "{text}" timed out')
    finally:
        running.kill()
    return Finding(code == 0, said[:OUTPUT_LIMIT_BYTES].decode(errors="replace"))


def bind_to_node(made: socket.socket, address: Sequence[Any], node_ip: str) -> None:
    """Addresses of this machine hear a node by the node's own address; others could not answer it."""
    if made.family == socket.AF_INET and str(address[0]).startswith("127.") and node_ip:
        made.bind((node_ip, 0))


async def connect(host: str, port: int, timeout_s: float, *, source: str = "") -> Finding:
    """Whether somebody accepts on host:port. On loopback the answer is there at once, without waiting."""
    prefix = f"dial tcp {host}:{port}: "
    family = _family_of(host)
    address: Any = (host, port)
    if family is None:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            return Finding(False, f"{prefix}lookup {host}: {error.strerror}")
        family, address = found[0][0], found[0][4]
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        bind_to_node(sock, address, source)
        code = sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            # On loopback the handshake is over by now; asking again says so.
            code = sock.connect_ex(address)
        if code in (errno.EALREADY, errno.EINPROGRESS):
            try:
                async with asyncio.timeout(timeout_s):
                    await asyncio.get_running_loop().sock_connect(sock, address)
                code = 0
            except TimeoutError:
                return Finding(False, f"{prefix}i/o timeout")
            except OSError as error:
                code = error.errno or errno.EIO
    if code in (0, errno.EISCONN):
        return Finding(True)
    return Finding(False, f"{prefix}connect: {_error_text(code)}")


async def _get(wanted: Obj, target: Target, timeout_s: float) -> Finding:
    try:
        port = _port(wanted["port"], target)
    except ValueError as error:
        return Finding(False, str(error))
    scheme = wanted.get("scheme", "HTTP").lower()
    path = wanted.get("path") or "/"
    url = f"{scheme}://{wanted.get('host') or target.pod_ip}:{port}{'' if path.startswith('/') else '/'}{path}"
    headers = {"User-Agent": "kube-probe/localkube", "Accept": "*/*"}
    headers.update({header["name"]: header["value"] for header in wanted.get("httpHeaders") or []})
    # As a real kubelet: https without checking the certificate, for the pod is asked by its address.
    context: bool = scheme != "https"
    try:
        async with (
            asyncio.timeout(timeout_s),
            target.http.get(url, headers=headers, ssl=context, max_redirects=10) as answer,
        ):
            if answer.status in HTTP_OK:
                return Finding(True)
            return Finding(False, f"HTTP probe failed with statuscode: {answer.status}")
    except TimeoutError:
        return Finding(
            False, f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        )
    except (aiohttp.ClientError, OSError) as error:
        refused = isinstance(error, aiohttp.ClientConnectorError)
        code = error.os_error.errno if isinstance(error, aiohttp.ClientConnectorError) else None
        text = f"dial tcp {target.pod_ip}:{port}: connect: {_error_text(code or 0)}" if refused else str(error)
        return Finding(False, f'Get "{url}": {text}')


def _family_of(host: str) -> socket.AddressFamily | None:
    """Of an address; None for a name. Almost every probe goes to an address, and needs no resolver's thread."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return family
    return None


def _port(named: str | int, target: Target) -> int:
    """Raises ValueError for a name that no port of the container has."""
    if isinstance(named, int):
        return named
    if named.isdigit():
        return int(named)
    if named in target.ports:
        return target.ports[named]
    raise ValueError(f"port name {named!r} not found in the container's ports")


def _error_text(code: int) -> str:
    return {errno.ECONNREFUSED: "connection refused", errno.ECONNRESET: "connection reset by peer"}.get(
        code, errno.errorcode.get(code, str(code))
    )


async def run_probe(
    timing: Timing,
    run: Callable[[float], Awaitable[Finding]],
    verdict: Verdict,
    on_finding: Callable[[Finding, bool], bool],
) -> None:
    """Runs until *on_finding(finding, verdict is full)* says stop by returning False."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(max(timing.initial_delay_s, SETTLE_S))
    due = loop.time()
    while True:
        finding = await run(timing.timeout_s)
        if not on_finding(finding, verdict.add(finding.ok)):
            return
        # Probes of many pods fall on common ticks: one wake-up for several, which is most of what idling costs.
        due = math.ceil(max(due + timing.period_s, loop.time()) / TICK_S) * TICK_S
        await asyncio.sleep(due - loop.time())
