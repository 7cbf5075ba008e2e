"""The `localkube fault` command: asks a running localkube for a fault, and holds it until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml

from localkube.faults.admin import PATH, Ask, Told
from localkube.faults.menu import (
    BadFault,
    BreakFile,
    Delay,
    DelayWatch,
    DropWatch,
    ExchangeAddresses,
    FailNode,
    Fault,
    FillVolume,
    ForgetHistory,
    Freeze,
    Hang,
    HoldResize,
    Kill,
    Lose,
    PartitionNode,
    Refuse,
    RefuseGone,
    SlowScripts,
    StopApi,
)

_SIDES = (
    "A side is a pod (NAME or NAMESPACE/NAME), pods by label (NAMESPACE/KEY=VALUE), all pods of a namespace "
    "(NAMESPACE/*), node:NAME, several of these with commas, `others` (all other pods and nodes) or `everyone` (this "
    "whole machine, the probes of the kubelet and what runs outside of pods included)."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "fault",
        help="break something in a running localkube, and mend it again",
        description="Each fault lasts until Ctrl-C, or for the time that --for says; then it is undone.",
    )
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="of the localkube (default: $KUBECONFIG)")
    parser.add_argument("--clear", action="store_true", help="undo all faults in force, whoever asked for them")
    parser.set_defaults(build=_nothing_asked)
    faults = parser.add_subparsers(dest="fault", metavar="FAULT")
    faults.add_parser("list", help="say which faults are in force")
    faults.add_parser("clear", help="undo all faults in force, whoever asked for them")
    _add_process_faults(faults)
    _add_network_faults(faults)
    _add_node_faults(faults)
    _add_api_faults(faults)


def _lasting(
    faults: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    parser = faults.add_parser(name, help=summary, description=summary, epilog=epilog)
    parser.add_argument("--for", dest="for_s", type=_seconds, metavar="TIME", help="such as 10s, 500ms, 2m")
    return parser


def _add_process_faults(faults: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    kill = faults.add_parser("kill", help="send a signal to process 1 of a container (nothing to undo)")
    kill.add_argument("pod", metavar="POD", help="NAME or NAMESPACE/NAME")
    kill.add_argument("-c", "--container", metavar="NAME")
    kill.add_argument("-s", "--signal", default="KILL", metavar="SIGNAL", help="by name or number (default KILL)")
    kill.add_argument("--process", metavar="NAME", help="to every process of that name in the container instead")
    kill.add_argument("--oom", action="store_true", help="as the kernel does at the memory limit: OOMKilled")
    kill.set_defaults(
        build=lambda a: Kill(pod=a.pod, container=a.container, signal=a.signal, process=a.process, oom=a.oom)
    )
    freeze = _lasting(faults, "freeze", "stop all processes of a pod or container; connections stay open")
    freeze.add_argument("pod", metavar="POD", help="NAME or NAMESPACE/NAME")
    freeze.add_argument("-c", "--container", metavar="NAME", help="only this one")
    freeze.set_defaults(build=lambda a: Freeze(pod=a.pod, container=a.container))
    damage = faults.add_parser("break-file", help="damage a file of a pod's volume (nothing to undo)")
    damage.add_argument("pod", metavar="POD", help="NAME or NAMESPACE/NAME")
    damage.add_argument("volume", metavar="VOLUME", help="its name in the pod's spec")
    damage.add_argument("file", metavar="FILE", help="path or pattern in the volume; of several, the last by name")
    damage.add_argument("--how", required=True, choices=("truncate", "nuls", "delete", "last-line", "garbage"))
    damage.add_argument("--bytes", type=int, default=100, metavar="N", help="how many at its end (default 100)")
    damage.add_argument("--text", default="nonsense", help="what last-line and garbage write (default: nonsense)")
    damage.add_argument("--kill", metavar="CONTAINER", help="kill its process 1 first")
    damage.set_defaults(
        build=lambda a: BreakFile(
            pod=a.pod, volume=a.volume, file=a.file, how=a.how, size_bytes=a.bytes, text=a.text, kill=a.kill
        )
    )
    slow = _lasting(faults, "slow-scripts", "let hooks, probes and what exec runs begin late in some pods")
    slow.add_argument("pods", metavar="PODS", type=_side, help="by name, NAMESPACE/KEY=VALUE or NAMESPACE/*")
    slow.add_argument("--by", type=_seconds, required=True, metavar="TIME", help="such as 5s")
    slow.add_argument("-c", "--container", metavar="NAME", help="only in this one")
    slow.add_argument("--text", default="", help="only commands that contain it, such as stop.sh")
    slow.add_argument("--start", action="store_true", help="a container's own command as well")
    slow.set_defaults(
        build=lambda a: SlowScripts(pods=a.pods, delay_s=a.by, container=a.container, text=a.text, start=a.start)
    )
    exchange = faults.add_parser(
        "exchange-addresses", help="delete two pods; those that follow have each other's address (nothing to undo)"
    )
    exchange.add_argument("pod", metavar="POD", help="NAME or NAMESPACE/NAME")
    exchange.add_argument("other", metavar="POD", help="NAME or NAMESPACE/NAME")
    exchange.add_argument("--grace", type=int, metavar="SECONDS", help="of the deletion (default: the pods' own)")
    exchange.set_defaults(build=lambda a: ExchangeAddresses(pod=a.pod, other=a.other, grace_s=a.grace))
    fill = _lasting(faults, "fill-volume", "leave no room on a volume of a pod")
    fill.add_argument("pod", metavar="POD", help="NAME or NAMESPACE/NAME")
    fill.add_argument("volume", metavar="VOLUME", help="its name in the pod's spec")
    fill.add_argument("--leave", type=int, default=0, metavar="BYTES", help="so much room stays (default 0)")
    fill.set_defaults(build=lambda a: FillVolume(pod=a.pod, volume=a.volume, leave_bytes=a.leave))


def _add_network_faults(faults: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    cut = _lasting(faults, "cut", "lose every packet between two sides", _SIDES)
    drop = _lasting(faults, "drop", "lose some packets between two sides", _SIDES)
    delay = _lasting(faults, "delay", "hold back packets between two sides", _SIDES)
    for parser in (cut, drop, delay):
        parser.add_argument("between", metavar="SIDE", type=_side)
        parser.add_argument("and_", metavar="SIDE", type=_side, nargs="?", default=("others",))
        parser.add_argument("--one-way", action="store_true", help="only packets from the first side to the second")
    gone = _lasting(
        faults, "refuse-gone", "refuse connections to addresses that no pod has, which otherwise are silent"
    )
    gone.set_defaults(build=lambda _: RefuseGone())
    drop.add_argument("--percent", type=float, required=True, metavar="P")
    delay.add_argument("--by", type=_seconds, required=True, metavar="TIME", help="such as 100ms")
    delay.add_argument("--jitter", type=_seconds, default=0.0, metavar="TIME")
    cut.set_defaults(build=lambda a: Lose(between=a.between, and_=a.and_, one_way=a.one_way))
    drop.set_defaults(build=lambda a: Lose(between=a.between, and_=a.and_, one_way=a.one_way, percent=a.percent))
    delay.set_defaults(
        build=lambda a: Delay(between=a.between, and_=a.and_, one_way=a.one_way, delay_s=a.by, jitter_s=a.jitter)
    )


def _add_node_faults(faults: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    fail = _lasting(faults, "fail-node", "a node is dead: all its processes are gone, and nobody says so")
    fail.add_argument("node", metavar="NODE")
    partition = _lasting(faults, "partition-node", "a node lives on, out of reach of the API server and other nodes")
    partition.add_argument("node", metavar="NODE")
    partition.add_argument("--api-only", action="store_true", help="no packets between pods are lost (needs no root)")
    hold = _lasting(faults, "hold-resize", "let resizes in place of some pods go only so far")
    hold.add_argument("pods", metavar="PODS", type=_side, help="by name, NAMESPACE/KEY=VALUE or NAMESPACE/*")
    hold.add_argument(
        "--at",
        required=True,
        choices=("deferred", "infeasible", "in-progress", "error"),
        help="what the pod's conditions say: PodResizePending, or PodResizeInProgress",
    )
    hold.add_argument("--message", default="", metavar="TEXT", help="of the condition (default: a kubelet's words)")
    hold.set_defaults(build=lambda a: HoldResize(pods=a.pods, at=a.at, message=a.message))
    for parser in (fail, partition):
        parser.add_argument(
            "--noticed-after", type=int, default=40, metavar="SECONDS", help="when the cluster calls the node Unknown"
        )
    fail.set_defaults(build=lambda a: FailNode(node=a.node, noticed_after_s=a.noticed_after))
    partition.set_defaults(
        build=lambda a: PartitionNode(node=a.node, noticed_after_s=a.noticed_after, api_only=a.api_only)
    )


def _add_api_faults(faults: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    stop = _lasting(faults, "stop-api", "the API server is gone; its objects are there again afterwards")
    stop.add_argument("--forget", action="store_true", help="it comes back without history: watches must list again")
    stop.set_defaults(build=lambda a: StopApi(forget=a.forget))
    forget = faults.add_parser("forget-history", help="end all watches; resuming them gets 410 (nothing to undo)")
    forget.set_defaults(build=lambda _: ForgetHistory())
    refuse = _lasting(faults, "refuse", "answer API requests with an error")
    refuse.add_argument("--percent", type=float, default=100.0, metavar="P")
    refuse.add_argument("--code", type=int, default=503, metavar="HTTP")
    refuse.add_argument("--verb", action="append", default=[], metavar="METHOD", help="GET, POST ... (default: all)")
    refuse.add_argument("--path", default="", metavar="TEXT", help="only paths that contain it, such as /leases/")
    refuse.add_argument("--after", action="store_true", help="carry the request out, then answer with the error")
    refuse.add_argument("--delay", type=_seconds, default=0.0, metavar="TIME", help="before the answer")
    refuse.set_defaults(
        build=lambda a: Refuse(
            percent=a.percent,
            code=a.code,
            verbs=tuple(verb.upper() for verb in a.verb),
            path=a.path,
            after=a.after,
            delay_s=a.delay,
        )
    )
    hang = _lasting(faults, "hang", "do not answer some API requests until the fault is undone; then carry them out")
    hang.add_argument("--verb", action="append", default=[], metavar="METHOD", help="GET, PATCH ... (default: all)")
    hang.add_argument("--path", default="", metavar="TEXT", help="only paths that contain it, such as /pods/")
    hang.add_argument("--count", type=int, default=0, metavar="N", help="only the first N of them (default: all)")
    hang.add_argument("--each", type=_seconds, metavar="TIME", help="each for so long only")
    hang.add_argument("--after", action="store_true", help="carry them out at once; only the answer hangs")
    hang.set_defaults(
        build=lambda a: Hang(
            verbs=tuple(verb.upper() for verb in a.verb), path=a.path, count=a.count, each_s=a.each, after=a.after
        )
    )
    late = _lasting(faults, "delay-watch", "tell watchers of changes later")
    late.add_argument("--by", type=_seconds, required=True, metavar="TIME", help="such as 500ms")
    late.add_argument("--path", default="", metavar="TEXT", help="only watches whose path contains it")
    late.set_defaults(build=lambda a: DelayWatch(delay_s=a.by, path=a.path))
    lost = _lasting(faults, "drop-watch", "never tell watchers of some changes")
    lost.add_argument("--percent", type=float, default=100.0, metavar="P")
    lost.add_argument("--path", default="", metavar="TEXT", help="only watches whose path contains it")
    lost.set_defaults(build=lambda a: DropWatch(percent=a.percent, path=a.path))


def _nothing_asked(_: argparse.Namespace) -> Fault:
    raise BadFault("say which fault; `localkube fault --help` names them")


def run(arguments: argparse.Namespace) -> int:
    """0: the fault was in force and is undone; 1: it could not be."""
    try:
        server = _server_of(arguments.kubeconfig)
        if arguments.clear or arguments.fault == "clear":
            return asyncio.run(_clear(server))
        if arguments.fault == "list":
            return asyncio.run(_list(server))
        return asyncio.run(_hold(server, arguments.build(arguments), getattr(arguments, "for_s", None)))
    except (BadFault, msgspec.ValidationError) as error:
        print(f"localkube fault: {error}", file=sys.stderr)
    except (aiohttp.ClientError, OSError) as error:
        print(f"localkube fault: no localkube answers there: {error}", file=sys.stderr)
    return 1


async def _hold(server: str, fault: Fault, for_s: float | None) -> int:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    patience = aiohttp.ClientWSTimeout(ws_close=1.0)
    async with aiohttp.ClientSession() as session, session.ws_connect(server + PATH, timeout=patience) as socket:
        state = "asked"
        await socket.send_bytes(msgspec.json.encode(Ask(fault, for_s)))
        ending = asyncio.create_task(_end_when(ended, socket))
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.BINARY:
                    continue
                told = msgspec.json.decode(message.data, type=Told)
                if told.state == "error":
                    raise BadFault(told.text)
                state = told.state
                print(f"{told.state}: {told.text}", flush=True)
        finally:
            ending.cancel()
    if state not in ("done", "undone"):
        raise BadFault("localkube has ended, and the fault with it")
    return 0


async def _end_when(ended: asyncio.Event, socket: aiohttp.ClientWebSocketResponse) -> None:
    await ended.wait()
    # Any message ends the fault; the server says so once it is undone.
    await socket.send_str("end")


async def _list(server: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(server + PATH) as response:
        for one in await _content(response):
            print(f"{one['number']}: {one['fault']}")
    return 0


async def _clear(server: str) -> int:
    async with aiohttp.ClientSession() as session, session.delete(server + PATH) as response:
        print(f"undone: {(await _content(response))['undone']}")
    return 0


async def _content(response: aiohttp.ClientResponse) -> Any:
    if response.status != 200:
        raise BadFault(f"this is no localkube, or not this one's kubeconfig: HTTP {response.status}")
    return await response.json()


def _server_of(kubeconfig: Path | None) -> str:
    """The address of the API server, token included. Raises BadFault."""
    path = kubeconfig or Path(os.environ.get("KUBECONFIG") or "")
    if path == Path():
        raise BadFault("say --kubeconfig FILE, or export KUBECONFIG as `localkube up` printed it")
    try:
        config = yaml.safe_load(path.read_text())
        contexts = {one["name"]: one["context"] for one in config["contexts"]}
        clusters = {one["name"]: one["cluster"] for one in config["clusters"]}
        server: str = clusters[contexts[config["current-context"]]["cluster"]]["server"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise BadFault(f"{path} is no kubeconfig: {error}") from error
    return server


def _side(text: str) -> tuple[str, ...]:
    return tuple(one for one in text.split(",") if one)


def _seconds(text: str) -> float:
    for suffix, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
        if text.endswith(suffix):
            with contextlib.suppress(ValueError):
                return float(text.removesuffix(suffix)) * factor
    raise argparse.ArgumentTypeError(f"{text!r} is no time: write 10s, 500ms or 2m")
