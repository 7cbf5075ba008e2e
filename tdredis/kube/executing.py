"""Decides how a command in a container is run: one WebSocket has channels for stdout, stderr and how it ended."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec

from tdredis.kube.errors import ServerUnavailable, TooMuchOutput
from tdredis.kube.request import Request
from tdredis.kube.resources import PODS

# Of every Kubernetes that we know; v5 adds only that stdin can end, and we send none.
# Source: k8s.io/apimachinery/pkg/util/remotecommand/constants.go.
PROTOCOL = "v4.channel.k8s.io"
MOST_BYTES = 64 * 2**20
_STDOUT, _STDERR, _ENDED = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it wrote."""

    code: int
    out: bytes = field(repr=False)
    err: bytes = field(repr=False)


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] = msgspec.field(default_factory=list)


class _Outcome(msgspec.Struct):
    status: str = ""
    reason: str = ""
    message: str = ""
    details: _Details | None = None


_OUTCOME = msgspec.json.Decoder(_Outcome)


def prepare_execute(namespace: str, pod: str, container: str, command: Sequence[str]) -> Request:
    """Its words are in the address, and so in the server's audit log: nothing secret is to be among them."""
    query = [("container", container), ("stdout", "true"), ("stderr", "true")]
    query += [("command", word) for word in command]
    return Request("execute", "GET", PODS.path(namespace, pod, "exec"), tuple(query))


async def gather_output(frames: AsyncIterator[bytes]) -> Ran:
    """Raises ServerUnavailable where the connection ends before the command does, or the server could not run it,
    TooMuchOutput beyond MOST_BYTES.
    """
    written: dict[int, list[bytes]] = {_STDOUT: [], _STDERR: []}
    total = 0
    async for frame in frames:
        channel, data = frame[0] if frame else -1, frame[1:]
        if channel == _ENDED:
            return Ran(_parse_code(data), b"".join(written[_STDOUT]), b"".join(written[_STDERR]))
        if channel in written:
            written[channel].append(data)
            total += len(data)
            if total > MOST_BYTES:
                raise TooMuchOutput(0, "TooMuchOutput", f"the command wrote more than {MOST_BYTES} bytes")
    raise ServerUnavailable(0, "Unreachable", "the connection ended before the command did")


def _parse_code(body: bytes) -> int:
    """Source: k8s.io/client-go/tools/remotecommand/v4.go, errorDecoderV4."""
    try:
        outcome = _OUTCOME.decode(body)
    except msgspec.DecodeError as error:
        raise ServerUnavailable(
            0, "NotKubernetes", f"how the command ended is not told as Kubernetes does: {error}"
        ) from error
    if outcome.status == "Success":
        return 0
    causes = outcome.details.causes if outcome.details else []
    codes = [each.message for each in causes if each.reason == "ExitCode"]
    if outcome.reason == "NonZeroExitCode" and codes and codes[0].isdecimal():
        return int(codes[0])
    raise ServerUnavailable(0, outcome.reason or "NotRun", outcome.message or "the server could not run the command")
