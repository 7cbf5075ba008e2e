"""The `localkube` command: a small Kubernetes that stays until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from localkube.cluster import Cluster
from localkube.faults import cli as faults
from localkube.kubelet.backoff import Pace
from localkube.kubelet.images import Catalogue


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.command == "fault":
        return faults.run(arguments)
    # Forwarded connections take half the time on it; the rest is the same.
    return uvloop.run(_up(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localkube", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start, print one line when ready, stay until SIGINT or SIGTERM")
    up.add_argument("--nodes", type=int, default=3, metavar="N", help="how many nodes (default 3)")
    up.add_argument("--state", type=Path, metavar="DIR", help="keep objects and volumes here (default: temporary)")
    up.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="where to write it (default: in the state directory)"
    )
    up.add_argument("--port", type=int, default=0, metavar="P", help="of the API server (default: any free one)")
    up.add_argument("--node-cpu", default="16", metavar="Q", help="what each node claims to have (default 16)")
    up.add_argument("--node-memory", default="64Gi", metavar="Q", help="what each node claims to have (default 64Gi)")
    up.add_argument(
        "--restart-pace",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="of a container's restart back-off, 10 s doubling to 5 min (default 1; 0.1: ten times as quick)",
    )
    up.add_argument(
        "--empty-dir-size", metavar="Q", help="each emptyDir is a filesystem in memory of this size (needs root)"
    )
    up.add_argument(
        "--address-reuse", action="store_true", help="give a pod's address to the next pod of its node at once"
    )
    up.add_argument(
        "--gone-addresses",
        choices=("silent", "refused"),
        help="what a connection meets at an address that no pod has: nothing and, after 3 s, 'no route to host', as in "
        "a network of machines (needs root and nftables; the default where they are), or a refusal at once",
    )
    up.add_argument(
        "--play",
        type=_played,
        action="append",
        default=[],
        metavar="IMAGE=FILE",
        help="images of this name and tag are played by this program, in place of the one that is found; may be given "
        "again: --play redis:8.6=/opt/redis-8.6/redis-server",
    )
    up.add_argument(
        "--seen",
        action="append",
        default=[],
        metavar="DIR",
        help="containers of such images see this folder, read-only, where it is: libraries of the program; may be "
        "given again",
    )
    faults.add_parser(commands)
    return parser


def _played(text: str) -> tuple[str, str]:
    image, equals, file = text.partition("=")
    if not equals or not os.access(file, os.X_OK):
        raise argparse.ArgumentTypeError(f"IMAGE=FILE is wanted, a file that can be executed, not {text!r}")
    return image, str(Path(file).absolute())


async def _up(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        cluster = Cluster(
            nodes=arguments.nodes,
            state=arguments.state,
            kubeconfig=arguments.kubeconfig,
            port=arguments.port,
            node_cpu=arguments.node_cpu,
            node_memory=arguments.node_memory,
            pace=Pace().scaled(arguments.restart_pace),
            address_reuse=arguments.address_reuse,
            empty_dir_size=arguments.empty_dir_size,
            gone_addresses=arguments.gone_addresses,
            catalogue=Catalogue(played=dict(arguments.play), seen=arguments.seen),
        )
    except (OSError, RuntimeError) as error:
        print(f"localkube: {error}", file=sys.stderr)
        return 1
    try:
        try:
            await cluster.start()
        except (OSError, RuntimeError) as error:
            print(f"localkube: {error}", file=sys.stderr)
            return 1
        _spare_the_collector()
        took_s = time.monotonic() - began
        print(f"localkube is ready after {took_s:.1f} s: export KUBECONFIG={cluster.kubeconfig}", flush=True)
        await ended.wait()
    finally:
        await cluster.stop()
    return 0


def _spare_the_collector() -> None:
    """Stored objects live long and form no circles: to search them for garbage as often as usual finds nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
