"""Decides which words kubectl is called with, for what only it can do at a terminal: follow logs, open redis-cli,
forward a port. No password is among them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence

from tdredis.cli.errors import CommandError
from tdredis.cli.pods import Pod, primary_pod, running_redis_pods, selector_of
from tdredis.cli.redis_cli import OPEN
from tdredis.cli.target import get_resource, with_client
from tdredis.kube.client import Client
from tdredis.manifests.names import PROXY_COMPONENT, REDIS_CONTAINER, proxy_name
from tdredis.planning.snapshot import Key
from tdredis.redis.ports import REDIS_PORT

MOST_PODS = 200  # of which logs are followed at once; kubectl takes five if it is told nothing


def logs(chosen: argparse.Namespace) -> int:
    async def work(_client: Client, key: Key) -> Key:
        return key

    return _replace(chosen, logs_words(with_client(chosen, work), chosen))


def logs_words(key: Key, chosen: argparse.Namespace) -> list[str]:
    words = ["logs", "-n", key.namespace, "--prefix", f"--tail={chosen.tail}"]
    if chosen.previous:
        words.append("--previous")
    if chosen.follow:
        words += ["--follow", f"--max-log-requests={MOST_PODS}"]
    if chosen.since:
        words.append(f"--since={chosen.since}")
    words += ["--container", chosen.container or chosen.component]
    return [*words, f"pod/{chosen.pod}"] if chosen.pod else [*words, "-l", selector_of(key, chosen.component)]


def cli(chosen: argparse.Namespace) -> int:
    async def work(client: Client, key: Key) -> tuple[Key, Pod]:
        if chosen.pod:
            (pod,) = await running_redis_pods(client, key, chosen.pod)
            return key, pod
        return key, await primary_pod(client, key, chosen.shard)

    key, pod = with_client(chosen, work)
    return _replace(chosen, cli_words(key, pod, chosen.words, is_terminal=sys.stdin.isatty() and sys.stdout.isatty()))


def cli_words(key: Key, pod: Pod, words: Sequence[str], *, is_terminal: bool) -> list[str]:
    """The password is read from its file, in the container, into redis-cli's environment."""
    given = list(words[1:] if words[:1] == ["--"] else words)
    if key.kind == "RedisCluster":
        given.insert(0, "-c")  # redirections are followed
    typed = ["exec", "-n", key.namespace, "-it" if is_terminal else "-i", pod.name, "-c", REDIS_CONTAINER, "--"]
    return [*typed, "sh", "-c", OPEN, "tdredis", *given]


def forward(chosen: argparse.Namespace) -> int:
    async def work(client: Client, key: Key) -> list[str]:
        local = chosen.port if chosen.port is not None else REDIS_PORT
        if chosen.pod:
            (pod,) = await running_redis_pods(client, key, chosen.pod)
            return forward_words(key, f"pod/{pod.name}", local)
        resource = await get_resource(client, key)
        spec = resource["spec"]
        proxy = spec.get("proxy") if isinstance(spec, dict) else None
        behind = key.kind == "RedisCluster" and not (isinstance(proxy, dict) and proxy.get("enabled") is False)
        if behind and await _has_proxy(client, key):
            return forward_words(key, f"service/{proxy_name(key.name)}", local)
        return forward_words(key, f"pod/{(await primary_pod(client, key)).name}", local)

    words = with_client(chosen, work)
    print(
        f"forwarding to {words[3]}; Ctrl-C ends it. The password, if there is one, is what spec has, or names.",
        file=sys.stderr,
    )
    return _replace(chosen, words)


async def _has_proxy(client: Client, key: Key) -> bool:
    from tdredis.cli.pods import list_pods  # noqa: PLC0415 only of a cluster

    return bool(await list_pods(client, key, PROXY_COMPONENT))


def forward_words(key: Key, to: str, local: int) -> list[str]:
    return ["port-forward", "-n", key.namespace, to, f"{local}:{REDIS_PORT}"]


def server_words(chosen: argparse.Namespace) -> list[str]:
    """The same server for kubectl as for us."""
    words = [f"--kubeconfig={chosen.kubeconfig}"] if chosen.kubeconfig else []
    return [*words, f"--context={chosen.context}"] if chosen.context else words


def _replace(chosen: argparse.Namespace, words: Sequence[str]) -> int:
    """This process becomes kubectl: its terminal, its signals and its exit code are ours."""
    program = shutil.which("kubectl")
    if program is None:
        raise CommandError("kubectl is not on the PATH, and this needs it: https://kubernetes.io/docs/tasks/tools/")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(program, [program, *server_words(chosen), *words])  # noqa: S606 no shell is wanted
