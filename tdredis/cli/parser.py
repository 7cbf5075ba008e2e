"""Decides which commands there are and which words each takes: docs/reference/cli.md and the shells' completion are
made from it. Nothing but argparse is loaded here, not even typing, so that the command line starts at once.
"""

from __future__ import annotations

import argparse
import os
import sys

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Final, TypeAlias

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it

PROGRAM: Final = "tdredis"
PLUGIN: Final = "kubectl tdredis"
OUTPUTS: Final = ("text", "json", "yaml")
SHELLS: Final = ("bash", "zsh", "fish")
COMPONENTS: Final = ("redis", "sentinel", "proxy")
ROLLS: Final = (
    10  # controllers.loop.MOST_ROLLS, and the next controllers.manager.LEASE: a test holds them to each other
)
LEASE: Final = "td-redis-operator"

LISTEN_HELP: Final = (
    "health and metrics (default: %(default)s, every address by IPv4 and IPv6; "
    "0.0.0.0:8080 IPv4 only, localhost:8080 from this pod only, '' none)"
)
RESOURCE_HELP: Final = (
    "KIND/NAME, for example rediscluster/redis-cluster-rat (short: rdc/, rdsb/, rdsa/); or NAME, where only one kind"
    " has it"
)


def build_parser(program: str) -> argparse.ArgumentParser:
    """*program*: as whom it is called, for usage and errors. What it reads has `command`, "MODULE:FUNCTION"."""
    parser = argparse.ArgumentParser(prog=program, description="Runs Redis on Kubernetes from custom resources.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.add_argument(
        "--log-format",
        choices=("json", "console"),
        default="console" if sys.stderr.isatty() else "json",
        help="of what is logged, on stderr (default: console on a terminal, else json)",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="the least that is logged (default: %(default)s; of commands other than run, warning)",
    )
    parser.set_defaults(program=program)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in _GROUPS:
        add(commands)
    return parser


class _Version(argparse.Action):
    """The version is looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415 it takes as long as everything else here

        print(f"{parser.prog} {version('td-redis-operator')}")
        parser.exit()


def _add(commands: Commands, name: str, command: str, help_: str, description: str = "") -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help_, description=description or f"{help_[0].upper()}{help_[1:]}.")
    parser.set_defaults(command=command)
    return parser


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kubeconfig", type=_path, help="default: $KUBECONFIG, the pod's own credentials, ~/.kube/config"
    )
    parser.add_argument("--context", help="which context of the kubeconfig (default: its present one)")
    parser.add_argument("-n", "--namespace", help="default: that of the context, else 'default'")


def _add_image_map(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image-map",
        action="append",
        default=[],
        metavar="FROM=TO",
        help="use image TO where a resource says FROM (exact, or a prefix ending in / or :); may be repeated",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=OUTPUTS, default="text", help="default: %(default)s")


def _about_one(
    commands: Commands, name: str, command: str, help_: str, *, description: str = "", output: bool = False
) -> argparse.ArgumentParser:
    """A command about one resource."""
    parser = _add(commands, name, command, help_, description)
    _add_server_options(parser)
    parser.add_argument("resource", metavar="RESOURCE", help=RESOURCE_HELP)
    if output:
        _add_output(parser)
    return parser


def _add_operator(commands: Commands) -> None:
    run = _add(commands, "run", "run:run", "run the operator until SIGTERM or SIGINT")
    run.add_argument("--kubeconfig", type=_path, help="default: $KUBECONFIG, the pod's own credentials, ~/.kube/config")
    run.add_argument("-n", "--namespace", help="only this namespace (default: all)")
    run.add_argument(
        "--namespaces",
        type=_namespaces,
        default=(),
        metavar="A,B,...",
        help="only these namespaces: Roles there are enough (default: all)",
    )
    _add_image_map(run)
    run.add_argument("--workers", type=int, default=64, help="passes that run at once (default: %(default)s)")
    run.add_argument(
        "--max-concurrent-rolls",
        type=_positive,
        default=ROLLS,
        metavar="N",
        help="resources whose pods are recreated at once because spec asks for it (default: %(default)s)",
    )
    run.add_argument("--listen", default=":8080", metavar="[ADDRESS]:PORT", help=LISTEN_HELP)
    run.add_argument("--no-leader-election", action="store_true", help="only where nobody else can be running")
    run.add_argument(
        "--lease-namespace",
        default=os.environ.get("POD_NAMESPACE", "default"),
        help="where the lease is (default: $POD_NAMESPACE, else 'default')",
    )
    run.add_argument(
        "--lease-name", default=LEASE, help="operators of different namespaces have one each (default: %(default)s)"
    )
    run.add_argument(
        "--identity",
        default=os.environ.get("POD_NAME"),
        help="who holds the lease; the same identity takes its own lease over at once (default: $POD_NAME, else"
        " host and process)",
    )

    crds = _add(commands, "crds", "definitions:crds", "print the custom resource definitions")
    crds.add_argument(
        "--reference", type=_path, metavar="DIRECTORY", help="write the pages that are made from code there instead"
    )

    sandbox = _add(
        commands,
        "sandbox",
        "run:sandbox",
        "a Kubernetes of one process, the operator, and a manifest, on this machine",
    )
    sandbox.add_argument("--apply", type=_path, required=True, metavar="FILE", help="manifest to apply")
    sandbox.add_argument("--nodes", type=int, default=6, help="nodes of the sandbox (default: %(default)s)")
    sandbox.add_argument("--once", action="store_true", help="write, read, delete, check that nothing is left, exit")


def _add_looking(commands: Commands) -> None:
    explain = _about_one(
        commands, "explain", "explain:explain", "print verdict, plan and holds of a resource; does nothing", output=True
    )
    _add_image_map(explain)


def _add_asking(commands: Commands) -> None:
    handover = _about_one(
        commands,
        "handover",
        "asking:handover",
        "have a primary hand over to a replica; no write is lost",
    )
    handover.add_argument("pod", nargs="?", help="who is to be the primary; of a cluster it must be named")


_GROUPS: Final[tuple[Callable[[Commands], None], ...]] = (_add_looking, _add_asking, _add_operator)


def _path(text: str) -> Path:
    from pathlib import Path  # noqa: PLC0415 no command that has no file needs it

    return Path(text)


def _namespaces(text: str) -> tuple[str, ...]:
    """Raises ArgumentTypeError, which argparse says."""
    import re  # noqa: PLC0415 argparse has loaded it

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    # Source: RFC 1123, "label".
    wrong = next((name for name in names if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name)), None)
    if wrong is not None:
        raise argparse.ArgumentTypeError(f"{wrong!r} is no name of a namespace: write A,B")
    return names


def _positive(text: str) -> int:
    """Raises ArgumentTypeError, which argparse says."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)
