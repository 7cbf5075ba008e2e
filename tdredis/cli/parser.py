"""Decides which commands there are and which words each takes: docs/reference/cli.md and the shells' completion are
made from it. Nothing but argparse is loaded here, not even typing, so that the command line starts at once.
"""

from __future__ import annotations

import argparse
import os
import sys

from tdredis import __version__

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any, Final, TypeAlias

    Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"  # argparse has no public name for it

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
    parser = _Parser(prog=program, description="Runs Redis on Kubernetes from custom resources.")
    parser.add_argument(
        "--version", action="version", version=f"{program} {__version__}", help="print the version and exit"
    )
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


class _Parser(argparse.ArgumentParser):
    """argparse asks for the terminal's width with each argument that is added, and loads six modules for it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": _formatter, **kwargs})


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, width=_width())


def _width() -> int:
    """As argparse has it: what COLUMNS says, or the terminal's, or 80; two of them stay free."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns) - 2
    try:
        return os.get_terminal_size(1).columns - 2
    except OSError:
        return 80 - 2


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
    _about_one(commands, "status", "status:status", "show conditions, shards, pods and addresses", output=True)
    explain = _about_one(
        commands, "explain", "explain:explain", "print verdict, plan and holds of a resource; does nothing", output=True
    )
    _add_view(explain)
    diagnose = _add(
        commands,
        "diagnose",
        "diagnose:diagnose",
        "say of all that is wrong: what was seen, what it means, what the operator does, what you can do",
        "Says of all that is wrong or waits: what was seen, what it means, what the operator does about it, and what"
        " you can do. Ends with 1 if there is anything.",
    )
    _add_server_options(diagnose)
    diagnose.add_argument("resource", metavar="RESOURCE", nargs="?", help=RESOURCE_HELP)
    _add_output(diagnose)
    _add_view(diagnose)
    diagnose.add_argument(
        "--reason", action="append", default=[], metavar="NAME", help="of this reason or guard instead; may be repeated"
    )
    diagnose.add_argument("--catalogue", action="store_true", help="of every reason and guard that there is")
    fix = _about_one(
        commands,
        "fix",
        "diagnose:fix",
        "show what the operator is about to do, down to the commands it sends",
        description="Shows what the operator is about to do, down to the commands that it sends. It does so by itself:"
        " nothing is done here, and --dry-run must be written.",
        output=True,
    )
    _add_view(fix)
    fix.add_argument("--dry-run", action="store_true", help="there is no other way")


def _add_view(parser: argparse.ArgumentParser) -> None:
    _add_image_map(parser)
    parser.add_argument(
        "--here",
        action="store_true",
        help="ask Redis from here, even if nobody answers (default: where pods are not reached, the operator's pod"
        " asks)",
    )


def _add_asking(commands: Commands) -> None:
    handover = _about_one(
        commands, "handover", "asking:handover", "have a primary hand over to a replica; no write is lost"
    )
    handover.add_argument(
        "pod", nargs="?", help="who is to be the primary; of a cluster of several shards it must be named"
    )
    restart = _about_one(commands, "restart", "asking:restart", "recreate pods one by one, replicas first")
    restart.add_argument("statefulset", nargs="?", help="only those of this StatefulSet: a shard, or the Sentinels")
    _about_one(commands, "pause", "asking:pause", "have the operator look and report, and change nothing")
    _about_one(commands, "resume", "asking:resume", "have the operator carry out spec and heal again")


def _add_config(commands: Commands) -> None:
    config = commands.add_parser("config", help="parameters of Redis: what processes have, what spec says")
    actions = config.add_subparsers(required=True, metavar="get|set")
    get = _about_one(
        actions, "get", "config:get", "show parameters as spec has them, and as every process has them", output=True
    )
    get.add_argument(
        "parameter", nargs="*", help="names, or patterns such as 'maxmemory*' (default: those that spec.config names)"
    )
    get.add_argument("--pod", help="of this pod alone")
    set_ = _about_one(
        actions,
        "set",
        "config:set_",
        "write parameters into spec.config; the operator gives them to every process",
    )
    set_.add_argument("parameter", nargs="+", metavar="NAME=VALUE", help="or NAME- to have spec name it no more")


def _add_processes(commands: Commands) -> None:
    _about_one(commands, "slots", "redis:slots", "show who owns which slots, as the nodes say", output=True)
    top = _about_one(commands, "top", "redis:top", "show memory, load, clients and keys of every process", output=True)
    top.add_argument("--pod", help="of this pod alone")
    top.add_argument(
        "--sort", choices=("memory", "ops", "clients", "keys"), default="memory", help="default: %(default)s"
    )
    slowlog = _about_one(
        commands, "slowlog", "redis:slowlog", "show the slowest commands of all processes", output=True
    )
    slowlog.add_argument("--pod", help="of this pod alone")
    slowlog.add_argument("--count", type=_positive, default=32, help="entries of each process (default: %(default)s)")


def _add_terminal(commands: Commands) -> None:
    logs = _about_one(commands, "logs", "kubectl:logs", "show the logs of its pods, by kubectl")
    logs.add_argument("--pod", help="of this pod alone")
    logs.add_argument("--component", choices=COMPONENTS, default="redis", help="default: %(default)s")
    logs.add_argument("-c", "--container", help="default: the one that is called as the component")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    logs.add_argument("--previous", action="store_true", help="of the container before the present one")
    logs.add_argument("--since", metavar="DURATION", help="such as 10m")
    logs.add_argument("--tail", type=int, default=100, help="lines of each pod, -1 for all (default: %(default)s)")
    cli = _about_one(
        commands,
        "cli",
        "kubectl:cli",
        "open redis-cli in a pod, with its password, which is shown nowhere",
        description="Opens redis-cli in the pod of a primary. The password goes from its file in the container into"
        " redis-cli's environment: it is in no command line, and never leaves the pod.",
    )
    cli.add_argument("words", nargs=argparse.REMAINDER, metavar="WORDS", help="a command of Redis, and its words")
    cli.add_argument("--pod", help="in this pod (default: the primary's)")
    cli.add_argument("--shard", help="of a cluster: in the pod of this shard's primary (default: the first one's)")
    forward = _about_one(
        commands, "forward", "kubectl:forward", "forward a local port to the proxy, or to the primary, by kubectl"
    )
    forward.add_argument("--pod", help="to this pod")
    forward.add_argument("--port", type=int, help="the local port (default: 6379)")


def _add_bundles(commands: Commands) -> None:
    report = _about_one(
        commands,
        "report",
        "report:report",
        "write a support bundle: objects, events, logs, what Redis says; passwords are taken out",
    )
    _add_image_map(report)
    report.add_argument("--file", type=_path, help="default: tdredis-report-NAME-TIME.zip")
    report.add_argument("--tail", type=_positive, default=2000, help="lines of each log (default: %(default)s)")
    install = commands.add_parser("install", help="what is applied to install the operator")
    actions = install.add_subparsers(required=True, metavar="generate")
    generate = _add(actions, "generate", "install:generate", "print the manifests of the definitions and the operator")
    generate.add_argument("--image", required=True, help="of the operator")
    generate.add_argument("-n", "--namespace", help="of the operator (default: td-redis-operator)")
    generate.add_argument("--replicas", type=_positive, default=2, help="one of them leads (default: %(default)s)")
    generate.add_argument("--crds-only", action="store_true", help="the definitions alone")
    generate.add_argument("--without-crds", action="store_true", help="all but the definitions")
    _add_image_map(generate)
    completion = _add(commands, "completion", "completion:completion", "print a script that completes words in a shell")
    completion.add_argument("shell", choices=SHELLS, help="which shell")
    complete = _add(commands, "complete", "completion:complete", "print what a word may become; for shells")
    complete.add_argument("words", nargs=argparse.REMAINDER, metavar="WORDS", help="the last one is being typed")


_GROUPS: Final[tuple[Callable[[Commands], None], ...]] = (
    _add_looking,
    _add_asking,
    _add_config,
    _add_processes,
    _add_terminal,
    _add_bundles,
    _add_operator,
)


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
