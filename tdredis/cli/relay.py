"""Decides where to look from: Redis processes are asked at their pods' addresses, which a laptop does not reach. Then
the operator's pod, which does, runs the same command.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from tdredis.cli.pods import Pod, list_pods
from tdredis.cli.target import read_image_map, with_client
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError, Forbidden
from tdredis.kube.executing import Ran
from tdredis.kube.resources import LEASES, PODS, Resource
from tdredis.manifests.names import MANAGER, REDIS_COMPONENT
from tdredis.planning.snapshot import Key
from tdredis.redis.ports import REDIS_PORT

OPERATOR_NAME: Final = MANAGER  # of its namespace, and a part of its lease's name
OPERATOR_SELECTOR: Final = f"app.kubernetes.io/name={OPERATOR_NAME}"
REACHED_S: Final = 1.5  # on the same network a connection takes a millisecond
MOST_TRIED: Final = 5
RELAY_S: Final = 60.0
NOBODY_ANSWERS: Final = (
    "Redis processes cannot be reached from here, and no pod of the operator that could be asked to look was found"
    f" ({OPERATOR_SELECTOR}): what follows takes every process for one that does not answer"
)
OTHER_VERSION: Final = (
    "Redis processes cannot be reached from here, and the operator's pod does not know this command: it runs another"
    " version. What follows takes every process for one that does not answer"
)
NO_PROGRAM, NOT_UNDERSTOOD = 127, 2  # exit codes
# Wherever an image has it.
RELAY: Final = """\
for program in tdredis /opt/tdredis/bin/tdredis; do
  command -v "$program" >/dev/null 2>&1 && exec "$program" "$@"
done
echo 'tdredis is not in this container' >&2
exit 127
"""


def relayed(chosen: argparse.Namespace, command: str) -> int | None:
    """The exit code of *command* where it was run in the operator's pod, and its output is printed; None: look here."""
    if chosen.here:
        return None

    async def work(client: Client, key: Key) -> tuple[bool, Ran | None]:
        pods = [pod for pod in await list_pods(client, key, REDIS_COMPONENT) if pod.running and pod.ip]
        if not pods or await is_reached(pods):
            return False, None
        return True, await _relay(client, key, command, chosen)

    is_far, ran = with_client(chosen, work)
    if ran is None:
        if is_far:
            print(f"{chosen.program}: {NOBODY_ANSWERS}", file=sys.stderr)
        return None
    if is_of_another_version(ran):
        print(f"{chosen.program}: {OTHER_VERSION}", file=sys.stderr)
        return None
    sys.stdout.write(ran.out.decode("utf-8", "replace"))
    sys.stderr.write(ran.err.decode("utf-8", "replace"))
    return ran.code


def is_of_another_version(ran: Ran) -> bool:
    """The program there is none, or took the words for none of its own (argparse)."""
    return ran.code == NO_PROGRAM or (ran.code == NOT_UNDERSTOOD and b"usage:" in ran.err)


async def is_reached(pods: Sequence[Pod], port: int = REDIS_PORT) -> bool:
    """One of them takes a connection, or refuses it itself."""
    tried = (_reaches(pod.ip, port) for pod in pods[:MOST_TRIED])
    return any(await asyncio.gather(*tried))


async def _reaches(ip: str, port: int) -> bool:
    try:
        async with asyncio.timeout(REACHED_S):
            _, writer = await asyncio.open_connection(ip, port)
    except ConnectionRefusedError:
        return True
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    return True


async def _relay(client: Client, key: Key, command: str, chosen: argparse.Namespace) -> Ran | None:
    operators = await find_operators(client, key.namespace)
    if not operators:
        return None
    pod = operators[0]
    container = pod["spec"]["containers"][0]
    words = relay_words(command, key, chosen, image_map_of(container))
    metadata = pod["metadata"]
    return await client.execute(
        metadata["namespace"],
        metadata["name"],
        container["name"],
        ("sh", "-c", RELAY, "tdredis", *words),
        deadline_s=RELAY_S,
    )


def relay_words(command: str, key: Key, chosen: argparse.Namespace, image_map: Sequence[str]) -> list[str]:
    """What the program in the operator's pod is called with."""
    words = ["--log-level", "error", command, "--here", "-n", key.namespace, "-o", chosen.output]
    for each in chosen.image_map or image_map:
        words += ["--image-map", each]
    if command == "fix":
        words.append("--dry-run")
    return [*words, str(key)]


async def operator_images(client: Client, namespace: str, given: Sequence[str]) -> dict[str, str]:
    """FROM=TO of *given*, or else of the operator: with others a plan would be seen that it does not have.

    Raises CommandError for words that are no such pair.
    """
    if given:
        return read_image_map(given)
    try:
        operators = await find_operators(client, namespace)
    except ApiError:
        return {}
    return read_image_map(image_map_of(operators[0]["spec"]["containers"][0])) if operators else {}


async def find_operators(client: Client, namespace: str) -> list[Mapping[str, Any]]:
    """Pods of the operator that run and look after *namespace*. Raises ApiError."""
    labelled = await _list_everywhere(client, PODS, namespace, OPERATOR_SELECTOR)
    return _able(labelled, namespace) or _able(await _lease_holders(client, namespace), namespace)


def _able(pods: Sequence[Mapping[str, Any]], namespace: str) -> list[Mapping[str, Any]]:
    return [pod for pod in pods if _is_running(pod) and _looks_after(pod, namespace)]


async def _lease_holders(client: Client, namespace: str) -> list[Mapping[str, Any]]:
    """Where a chart's release has another name, so have its labels; in its lease stands the pod that leads."""
    found: list[Mapping[str, Any]] = []
    for lease in await _list_everywhere(client, LEASES, namespace):
        metadata, holder = lease["metadata"], (lease.get("spec") or {}).get("holderIdentity")
        if OPERATOR_NAME in metadata["name"] and holder:
            pod = await client.find(PODS, metadata["namespace"], holder)
            found += [pod] if pod is not None else []
    return found


async def _list_everywhere(
    client: Client, resource: Resource, namespace: str, selector: str | None = None
) -> list[Mapping[str, Any]]:
    """Of all namespaces, or, for whom that is too much, of those where the operator may be."""
    try:
        return list(await client.list(resource, None, label_selector=selector))
    except Forbidden:
        found: list[Mapping[str, Any]] = []
        for each in dict.fromkeys((OPERATOR_NAME, namespace)):
            with contextlib.suppress(Forbidden):
                found += await client.list(resource, each, label_selector=selector)
        return found


def _is_running(pod: Mapping[str, Any]) -> bool:
    states = (pod.get("status") or {}).get("containerStatuses") or []
    return "deletionTimestamp" not in pod["metadata"] and any("running" in (each.get("state") or {}) for each in states)


def _looks_after(pod: Mapping[str, Any], namespace: str) -> bool:
    told = _options(pod["spec"]["containers"][0], ("-n", "--namespace", "--namespaces"))
    return not told or any(namespace in each.split(",") for each in told)


def image_map_of(container: Mapping[str, Any]) -> list[str]:
    """What the operator itself was told, so that the same images are meant."""
    return _options(container, ("--image-map",))


def _options(container: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Values of an option among a container's words, as `--name VALUE` or `--name=VALUE`."""
    words = [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]
    found = [value for name, equals, value in (word.partition("=") for word in words) if equals and name in names]
    return found + [after for word, after in pairwise(words) if word in names]
