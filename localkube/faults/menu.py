"""Which faults there are, as data: what Python, the command line and the wire all mean by the same words."""

from __future__ import annotations

import signal
from typing import Annotated, Literal

import msgspec

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
# A pod is NAME (in namespace default) or NAMESPACE/NAME.
# A side of a conversation is a pod; NAMESPACE/KEY=VALUE, the pods with that label; NAMESPACE/*, all its pods;
# node:NAME, that node and its pods; "others", every other pod and node; or "everyone", this whole machine.
Side = tuple[str, ...]


class _Fault(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fault", omit_defaults=True
):
    pass


class Kill(_Fault, frozen=True, kw_only=True, tag="kill"):
    """A signal to process 1 of a container, or to every process of it that is called *process*. Nothing to undo.

    *oom*: to process 1 as the kernel does at the container's memory limit, which localkube does not enforce.
    """

    pod: str
    container: str | None = None
    signal: str = "KILL"
    process: str | None = None
    oom: bool = False


class Freeze(_Fault, frozen=True, kw_only=True, tag="freeze"):
    """All processes of a container stand still: connections stay open and nobody answers."""

    pod: str
    container: str | None = None  # None: all containers of the pod


class Lose(_Fault, frozen=True, kw_only=True, tag="lose"):
    """Packets between two sides vanish: all of them (a cut), or some."""

    between: Side
    and_: Side = msgspec.field(default=("others",), name="and")
    percent: Percent = 100.0
    one_way: bool = False  # only packets from *between* to *and* vanish


class Delay(_Fault, frozen=True, kw_only=True, tag="delay"):
    """Packets between two sides arrive *delay_s* later, give or take *jitter_s*, in order."""

    between: Side
    and_: Side = msgspec.field(default=("others",), name="and")
    delay_s: Seconds
    jitter_s: Seconds = 0.0
    one_way: bool = False


class FillVolume(_Fault, frozen=True, kw_only=True, tag="fill-volume"):
    """A volume of a pod has no room left but *leave_bytes*. Only for volumes that have a size of their own."""

    pod: str
    volume: str
    leave_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class BreakFile(_Fault, frozen=True, kw_only=True, tag="break-file"):
    """A file of a pod's volume is damaged, as by a crash or a bad disk. Nothing to undo.

    truncate: its last *size_bytes* are missing; nuls: they are NUL; delete: it is not there; last-line: its last line
    is *text*; garbage: all of it is *text*. Of several files that match *file*, a pattern, it is the last one by name.
    With *kill*, process 1 of that container is killed first, and begins again with what is left.
    """

    pod: str
    volume: str
    file: str
    how: Literal["truncate", "nuls", "delete", "last-line", "garbage"]
    size_bytes: Annotated[int, msgspec.Meta(ge=1)] = 100
    text: str = "nonsense"
    kill: str | None = None


class SlowScripts(_Fault, frozen=True, kw_only=True, tag="slow-scripts"):
    """Commands in some pods begin *delay_s* late: hooks, probes and what is run by exec.

    Only those that contain *text*, if there is one. With *start*, also a container's own command.
    """

    pods: Side
    delay_s: Seconds
    container: str | None = None
    text: str = ""
    start: bool = False


class HoldResize(_Fault, frozen=True, kw_only=True, tag="hold-resize"):
    """Resizes of some pods go no further than *at*; what a pod has already, it keeps. Undone, they go on.

    deferred, infeasible: the node promises nothing (PodResizePending); in-progress, error: it has promised, and the
    container does not have it (PodResizeInProgress). *message*: of the condition, else a kubelet's own words.
    """

    pods: Side  # pods by name, by label, or all of a namespace
    at: Literal["deferred", "infeasible", "in-progress", "error"]
    message: str = ""


class FailNode(_Fault, frozen=True, kw_only=True, tag="fail-node"):
    """A node is dead: its processes are gone at once and nobody says so; undone, it boots again.

    The cluster notices when the node has been silent for *noticed_after_s* seconds; a real one does after 40.
    """

    node: str
    noticed_after_s: Annotated[int, msgspec.Meta(ge=1)] = 40


class PartitionNode(_Fault, frozen=True, kw_only=True, tag="partition-node"):
    """A node lives on, but reaches neither the API server nor any other address of this machine, nor they it.

    *api_only*: no packets between pods are lost, which an ordinary user can do as well.
    """

    node: str
    noticed_after_s: Annotated[int, msgspec.Meta(ge=1)] = 40
    api_only: bool = False


class StopApi(_Fault, frozen=True, kw_only=True, tag="stop-api"):
    """The API server is gone: connections are refused, those that stood are cut. Undone, it serves the same objects."""

    forget: bool = False  # when it comes back it knows no history: every watch must list again


class ExchangeAddresses(_Fault, frozen=True, kw_only=True, tag="exchange-addresses"):
    """Two pods are deleted, and those that come after them have each other's address. Nothing to undo.

    As with networks that give addresses out again at once: whoever knows a pod by its address meets the other one.
    """

    pod: str
    other: str
    grace_s: Annotated[int, msgspec.Meta(ge=0)] | None = None  # of the deletion; None: the pods' own


class RefuseGone(_Fault, frozen=True, kw_only=True, tag="refuse-gone"):
    """Who connects to an address that no pod has is refused at once, where otherwise nothing answers for 3 s."""


class ForgetHistory(_Fault, frozen=True, kw_only=True, tag="forget-history"):
    """All watches end, and the server knows no history: every resumed watch gets 410. Nothing to undo."""


class Refuse(_Fault, frozen=True, kw_only=True, tag="refuse"):
    """Some API requests are answered with an error before anything is done."""

    percent: Percent = 100.0
    code: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    verbs: tuple[str, ...] = ()  # HTTP methods; none: all
    path: str = ""  # only requests whose path contains it, such as /leases/
    after: bool = False  # the request is carried out, and only then answered with the error
    delay_s: Seconds = 0.0  # before the answer


class Hang(_Fault, frozen=True, kw_only=True, tag="hang"):
    """Some API requests are not answered until the fault is undone, or for *each_s*; then they are carried out.

    *after*: they are carried out at once, and only the answer hangs. *count*: only so many of them; 0: all.
    """

    verbs: tuple[str, ...] = ()  # HTTP methods; none: all
    path: str = ""  # only requests whose path contains it
    count: Annotated[int, msgspec.Meta(ge=0)] = 0
    each_s: Seconds | None = None
    after: bool = False


class DelayWatch(_Fault, frozen=True, kw_only=True, tag="delay-watch"):
    """Watchers hear of changes *delay_s* later, in order."""

    delay_s: Seconds
    path: str = ""


class DropWatch(_Fault, frozen=True, kw_only=True, tag="drop-watch"):
    """Some changes are never told to watchers, as no server should do: only a new list shows them."""

    percent: Percent = 100.0
    path: str = ""


Strike = Kill | ForgetHistory | ExchangeAddresses | BreakFile
Lasting = (
    Freeze
    | Lose
    | Delay
    | FillVolume
    | HoldResize
    | SlowScripts
    | Hang
    | FailNode
    | PartitionNode
    | StopApi
    | Refuse
    | RefuseGone
    | DelayWatch
    | DropWatch
)
Fault = Strike | Lasting


class BadFault(Exception):
    """The text says what is wrong with the request, or what this machine or user lacks for it."""


def signal_named(text: str) -> signal.Signals:
    """KILL, SIGKILL or 9. Raises BadFault."""
    try:
        if text.isdigit():
            return signal.Signals(int(text))
        return signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"]
    except (KeyError, ValueError) as error:
        raise BadFault(f"{text} is no signal") from error


def describe(fault: Fault) -> str:
    """One line for lists and logs: the fault's name and what differs from its defaults."""
    said = [str(fault.__struct_config__.tag)]
    for field in msgspec.structs.fields(fault):
        value = getattr(fault, field.name)
        if value != field.default:
            said.append(f"{field.encode_name}={','.join(value) if isinstance(value, tuple) else value}")
    return " ".join(said)
