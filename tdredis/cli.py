"""Decides what the command line offers: run the operator, explain a resource, have it hand over, print the CRDs, try it
in a sandbox.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from tdredis.api.crd import render_crds
from tdredis.api.kinds import KINDS, PLURALS, SHORT_NAMES, InvalidResourceError
from tdredis.api.reference import render_references
from tdredis.controllers.asking import ask_for_handover
from tdredis.controllers.explain import explain
from tdredis.controllers.loop import MOST_ROLLS
from tdredis.controllers.manager import LEASE, Settings, operate
from tdredis.controllers.metrics_page import render_metrics_page
from tdredis.healing.page import render_page
from tdredis.healing.rows import ROWS
from tdredis.kube.credentials import ConfigError
from tdredis.kube.errors import ApiError
from tdredis.kube.kubeconfig import load_config
from tdredis.planning.handover import HANDOVER
from tdredis.planning.snapshot import Key
from tdredis.runtime.listening import parse_address
from tdredis.runtime.logs import configure_logs

SPELLINGS = {spelling: kind for kind in KINDS for spelling in (kind.lower(), PLURALS[kind], SHORT_NAMES[kind])}

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123
LISTEN_HELP = (
    "health and metrics (default: %(default)s, every address by IPv4 and IPv6; "
    "0.0.0.0:8080 IPv4 only, localhost:8080 from this pod only, '' none)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the process's exit code."""
    chosen = _parser().parse_args(arguments)
    configure_logs(chosen.log_format, chosen.log_level)
    try:
        code: int = chosen.command(chosen)
    except (ConfigError, ApiError, ArgumentError, InvalidResourceError, OSError) as error:
        print(f"tdredis: {error}", file=sys.stderr)
        return 2
    return code


class ArgumentError(Exception):
    """An argument that cannot be meant; the message says what to write."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tdredis", description="Runs Redis on Kubernetes from custom resources.")
    parser.add_argument(
        "--log-format", choices=("json", "console"), default="console" if sys.stderr.isatty() else "json"
    )
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the operator until SIGTERM or SIGINT")
    _add_cluster_options(run)
    run.add_argument("--workers", type=int, default=64, help="passes that run at once (default: %(default)s)")
    run.add_argument(
        "--max-concurrent-rolls",
        type=_positive,
        default=MOST_ROLLS,
        metavar="N",
        help="resources whose pods are recreated at once because spec asks for it (default: %(default)s)",
    )
    run.add_argument("--listen", default=":8080", metavar="[ADDRESS]:PORT", help=LISTEN_HELP)
    run.add_argument("--no-leader-election", action="store_true", help="only where nobody else can be running")
    run.add_argument(
        "--namespaces",
        type=_namespaces,
        default=(),
        metavar="A,B,...",
        help="only these namespaces: Roles there are enough (default: all)",
    )
    run.add_argument("--lease-namespace", default=os.environ.get("POD_NAMESPACE", "default"))
    run.add_argument(
        "--lease-name", default=LEASE, help="operators of different namespaces have one each (default: %(default)s)"
    )
    run.add_argument(
        "--identity",
        default=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        help="who holds the lease; the same identity takes its own lease over at once (default: $POD_NAME)",
    )
    run.set_defaults(command=_run)

    look = commands.add_parser("explain", help="print verdict, plan and holds of a resource; does nothing")
    _add_cluster_options(look)
    look.add_argument("resource", metavar="KIND/NAME", help="for example rediscluster/redis-cluster-rat")
    look.set_defaults(command=_explain)

    handover = commands.add_parser("handover", help="have a primary hand over to a replica; no write is lost")
    _add_cluster_options(handover)
    handover.add_argument("resource", metavar="KIND/NAME", help="for example redisstandby/redis-standby-tom")
    handover.add_argument("pod", nargs="?", help="who is to be the primary; of a cluster it must be named")
    handover.set_defaults(command=_handover)

    crds = commands.add_parser("crds", help="print the custom resource definitions")
    crds.add_argument(
        "--reference",
        type=Path,
        metavar="DIRECTORY",
        help="write the pages about fields, faults and metrics there instead",
    )
    crds.set_defaults(command=_crds)

    sandbox = commands.add_parser(
        "sandbox", help="a Kubernetes of one process, the operator, and a manifest, on this machine"
    )
    sandbox.add_argument("--apply", type=Path, required=True, metavar="FILE", help="manifest to apply")
    sandbox.add_argument("--nodes", type=int, default=6, help="nodes of the sandbox (default: %(default)s)")
    sandbox.add_argument("--once", action="store_true", help="write, read, delete, check that nothing is left, exit")
    sandbox.set_defaults(command=_sandbox)
    return parser


def _namespaces(text: str) -> tuple[str, ...]:
    """Raises ArgumentTypeError, which argparse says."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    wrong = next((name for name in names if not _NAMESPACE.fullmatch(name)), None)
    if wrong is not None:
        raise argparse.ArgumentTypeError(f"{wrong!r} is no name of a namespace: write A,B")
    return names


def _positive(text: str) -> int:
    """Raises ArgumentTypeError, which argparse says."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _add_cluster_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kubeconfig", type=Path, help="default: $KUBECONFIG, the pod's own credentials, ~/.kube/config"
    )
    parser.add_argument("-n", "--namespace", help="only this namespace (run: default all; explain: default 'default')")
    parser.add_argument(
        "--image-map",
        action="append",
        default=[],
        metavar="FROM=TO",
        help="use image TO where a resource says FROM (exact, or a prefix ending in / or :); may be repeated",
    )


def _run(chosen: argparse.Namespace) -> int:
    settings = Settings(
        images=_image_map(chosen.image_map),
        namespaces=chosen.namespaces or ((chosen.namespace,) if chosen.namespace else ()),
        workers=chosen.workers,
        max_rolls=chosen.max_concurrent_rolls,
        listen=_listen(chosen.listen),
        leader_election=not chosen.no_leader_election,
        lease_namespace=chosen.lease_namespace,
        lease_name=chosen.lease_name,
        identity=chosen.identity,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(operate(load_config(chosen.kubeconfig), settings))


def _explain(chosen: argparse.Namespace) -> int:
    key = _key(chosen)
    text = asyncio.run(explain(load_config(chosen.kubeconfig), key, images=_image_map(chosen.image_map)))
    print(text)
    return 0


def _handover(chosen: argparse.Namespace) -> int:
    value = chosen.pod or datetime.now(UTC).isoformat(timespec="milliseconds")
    key = _key(chosen)
    asyncio.run(ask_for_handover(load_config(chosen.kubeconfig), key, value))
    print(f"{key} in namespace {key.namespace} was asked to hand over: {HANDOVER}={value}")
    return 0


def _key(chosen: argparse.Namespace) -> Key:
    """Raises ArgumentError."""
    kind, slash, name = chosen.resource.partition("/")
    if not slash or kind.lower() not in SPELLINGS:
        raise ArgumentError(f"{chosen.resource!r}: write KIND/NAME, for example rediscluster/redis-cluster-rat")
    return Key(SPELLINGS[kind.lower()], chosen.namespace or "default", name)


def _crds(chosen: argparse.Namespace) -> int:
    if chosen.reference is None:
        print(render_crds(), end="")
        return 0
    for name, text in render_references().items():
        (chosen.reference / name).write_text(text)
    numbers = chosen.reference / "healing.json"
    measured = json.loads(numbers.read_text()) if numbers.exists() else {}
    (chosen.reference / "healing.md").write_text(render_page(ROWS, measured))
    (chosen.reference / "metrics.md").write_text(render_metrics_page())
    return 0


def _sandbox(chosen: argparse.Namespace) -> int:
    try:
        from tdredis.sandbox import run_sandbox  # noqa: PLC0415 its packages are not installed in production
    except ModuleNotFoundError as error:
        raise ArgumentError(f"{error}: install td-redis-operator[sandbox]") from error
    return asyncio.run(run_sandbox(chosen.apply, nodes=chosen.nodes, once=chosen.once))


def _image_map(texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise ArgumentError(f"--image-map {text!r}: write FROM=TO")
        found[old] = new
    return found


def _listen(text: str) -> tuple[str, int] | None:
    try:
        return parse_address(text) if text else None
    except ValueError as error:
        raise ArgumentError(f"--listen {error}") from error


if __name__ == "__main__":
    sys.exit(main())
