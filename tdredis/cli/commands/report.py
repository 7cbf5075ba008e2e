"""Decides what is in a support bundle: all that somebody else needs to understand an instance, and no secret."""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import io
import os
import tempfile
import zipfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from tdredis import __version__
from tdredis.cli.commands import diagnose as diagnosing
from tdredis.cli.commands import status as looking
from tdredis.cli.errors import CommandError
from tdredis.cli.output import dump_yaml
from tdredis.cli.pods import Pod, list_pods, read_pod, selector_of
from tdredis.cli.redact import Redactor
from tdredis.cli.redis_cli import ask, ask_text, pairs
from tdredis.cli.relay import find_operators, operator_images
from tdredis.cli.seen import judge
from tdredis.cli.target import get_resource, with_client
from tdredis.controllers.explain import render
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError
from tdredis.kube.resources import (
    CONFIGMAPS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    EVENTS,
    NETWORKPOLICIES,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PODDISRUPTIONBUDGETS,
    PODS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
    Resource,
)
from tdredis.manifests.names import PASSWORD_KEY, REDIS_COMPONENT
from tdredis.planning.decide import plan
from tdredis.planning.snapshot import Key

OWNED: Final = (
    STATEFULSETS,
    DEPLOYMENTS,
    PODS,
    SERVICES,
    ENDPOINTSLICES,
    CONFIGMAPS,
    PERSISTENTVOLUMECLAIMS,
    PODDISRUPTIONBUDGETS,
    NETWORKPOLICIES,
)
ASKED: Final = (("INFO", "EVERYTHING"), ("CLIENT", "LIST"), ("SLOWLOG", "GET", "32"), ("CLUSTER", "NODES"))
AT_ONCE: Final = 8


@dataclass
class Bundle:
    """*files*: by their path in the archive; *lacking*: what could not be had, and why."""

    files: dict[str, str] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def add(self, path: str, make: Callable[[], Awaitable[str]]) -> None:
        """With few rights most of it is there all the same."""
        try:
            async with self.gate:
                text = await make()
        except (ApiError, CommandError, OSError, ValueError) as error:
            self.lacking.append(f"{path}: {error}")
            return
        if text:
            self.files[path] = text


def report(chosen: argparse.Namespace) -> int:
    now = datetime.now(UTC)

    async def work(client: Client, key: Key) -> tuple[Key, bytes, list[str]]:
        bundle, redactor = await gather(client, key, chosen)
        return key, pack(bundle, redactor, about(key, now)), [redactor.text(each) for each in bundle.lacking]

    key, archive, lacking = with_client(chosen, work)
    path = chosen.file or Path(f"tdredis-report-{key.name}-{now:%Y%m%dT%H%M%SZ}.zip")
    write_alone(path, archive)
    print(
        f"{path}: what the API server, the operator and Redis say of {key}; passwords are ***. Look through it before"
    )
    print("you send it: names of pods, nodes and clients, addresses, and words of SLOWLOG (keys and values) are in it.")
    for each in lacking:
        print(f"not in it: {each}")
    return 0


def write_alone(path: Path, content: bytes) -> None:
    """A new file that its owner alone may read, at the place of one that may be there: not into that one, which others
    may be able to read, or which is a link. Raises CommandError where it is no file, OSError.
    """
    if path.exists() and not path.is_file():
        raise CommandError(f"{path} is no file: write --file and where the archive is to be")
    number, made = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # of mode 0600
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        Path(made).replace(path)
    finally:
        Path(made).unlink(missing_ok=True)


def about(key: Key, now: datetime) -> str:
    return f"{key} in namespace {key.namespace}, at {now.isoformat(timespec='seconds')}, by tdredis {__version__}\n"


async def gather(client: Client, key: Key, chosen: argparse.Namespace) -> tuple[Bundle, Redactor]:
    """Raises NotFound where there is no such resource, ApiError where it cannot be read."""
    bundle = Bundle()
    resource: dict[str, Any] = dict(await get_resource(client, key))
    secrets = await _secrets(client, key, resource, bundle)
    redactor = Redactor(secrets)
    pods = await list_pods(client, key)
    bundle.files["resource.yaml"] = dump_yaml(redactor.manifest(resource))
    bundle.files["status.txt"] = looking.render(looking.describe(resource, pods))
    work = [
        *(bundle.add(f"objects/{each.plural}.yaml", _objects(client, key, each, redactor)) for each in OWNED),
        bundle.add("objects/secrets.yaml", lambda: _secret_names(client, key)),
        bundle.add("events.txt", lambda: _events(client, key)),
        bundle.add("nodes.yaml", lambda: _nodes(client, redactor)),
        bundle.add("version.yaml", lambda: _version(client)),
        bundle.add("explain.txt", lambda: _explain(client, key, chosen.image_map)),
        *(
            bundle.add(
                f"logs/{pod.name}/{container}.log", _log(client, key.namespace, pod.name, container, chosen.tail)
            )
            for pod in pods
            for container in pod.containers
        ),
        *(
            bundle.add(
                f"logs/{pod.name}/{container}.previous.log",
                _log(client, key.namespace, pod.name, container, chosen.tail, previous=True),
            )
            for pod in pods
            if pod.restarts
            for container in pod.containers
        ),
        *(
            bundle.add(f"redis/{pod.name}/{_file_of(command)}", _redis(client, key, pod, command, redactor))
            for pod in pods
            if pod.running and pod.component == REDIS_COMPONENT
            for command in ASKED
            if key.kind == "RedisCluster" or command[0] != "CLUSTER"
        ),
        *(
            bundle.add(f"redis/{pod.name}/config.txt", _config(client, key, pod, redactor))
            for pod in pods
            if pod.running and pod.component == REDIS_COMPONENT
        ),
    ]
    await asyncio.gather(*work, _operator(client, key, bundle, chosen.tail, redactor))
    return bundle, redactor


async def _secrets(client: Client, key: Key, resource: Mapping[str, Any], bundle: Bundle) -> set[str]:
    """Every password that we can know of: in spec, in its own Secrets and in those that it names. They are read to be
    taken out of everything else.
    """
    spec = resource["spec"]
    found = {str(spec[name]) for name in ("secret", "proxysecret") if spec.get(name)}
    for secret in await _listed(client, key, bundle):
        found |= {text for name, value in _data(secret) if (text := _decode(value)) and _is_password(name)}
    for reference in (spec.get(name) for name in ("secretRef", "proxySecretRef")):
        if not isinstance(reference, dict):
            continue
        named = reference.get("key", PASSWORD_KEY)
        for name, value in _data(await _named(client, key, reference["name"], bundle)):
            if (text := _decode(value)) and (name == named or _is_password(name)):
                found.add(text)
    return found


async def _listed(client: Client, key: Key, bundle: Bundle) -> Sequence[Mapping[str, Any]]:
    try:
        return await client.list(SECRETS, key.namespace, label_selector=selector_of(key))
    except ApiError as error:
        bundle.lacking.append(f"what passwords are in its Secrets (they are hidden by the words before them): {error}")
        return ()


async def _named(client: Client, key: Key, name: str, bundle: Bundle) -> Mapping[str, Any]:
    try:
        return await client.find(SECRETS, key.namespace, name) or {}
    except ApiError as error:
        bundle.lacking.append(
            f"what passwords are in Secret {name} (they are hidden by the words before them): {error}"
        )
        return {}


def _data(secret: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return (secret.get("data") or {}).items()


def _is_password(name: str) -> bool:
    """A key of a Secret whose whole value is one; others are files that have it among other words."""
    return "password" in name.lower() or "pass" in name.lower().replace("_", "-").split("-") or "." not in name


def _decode(value: Any) -> str:
    try:
        return base64.b64decode(str(value), validate=True).decode().strip("\n")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _objects(client: Client, key: Key, resource: Resource, redactor: Redactor) -> Callable[[], Awaitable[str]]:
    async def made() -> str:
        found = await client.list(resource, key.namespace, label_selector=selector_of(key))
        typed = [{"apiVersion": resource.api_version, "kind": resource.kind, **_brief(each)} for each in found]
        return dump_yaml([redactor.manifest(each) for each in typed]) if typed else ""

    return made


def _brief(manifest: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "managedFields"}
    return {**manifest, "metadata": metadata}


async def _secret_names(client: Client, key: Key) -> str:
    """Their names alone: what is in them is not even sent."""
    items, _ = await client.list_raw(SECRETS, key.namespace, label_selector=selector_of(key), metadata_only=True)
    names = [msgspec.json.decode(item)["metadata"]["name"] for item in items]
    return dump_yaml([{"kind": "Secret", "name": name} for name in names]) if names else ""


async def _events(client: Client, key: Key) -> str:
    found: list[Any] = list(await client.list(EVENTS, key.namespace))
    pods = {pod.name for pod in await list_pods(client, key)}
    ours = [each for each in found if _is_about(each, key, pods)]
    ours.sort(key=lambda each: each.get("lastTimestamp") or each.get("eventTime") or "")
    return "\n".join(
        f"{each.get('lastTimestamp') or each.get('eventTime')} {each.get('type')} {each.get('reason')}"
        f" {each['involvedObject'].get('kind')}/{each['involvedObject'].get('name')} x{each.get('count') or 1}:"
        f" {each.get('message')}"
        for each in ours
    )


def _is_about(event: Mapping[str, Any], key: Key, pods: set[str]) -> bool:
    name = str(event.get("involvedObject", {}).get("name", ""))
    return name in pods or name == key.name or key.name in name


async def _nodes(client: Client, redactor: Redactor) -> str:
    found: list[Any] = list(await client.list(NODES))
    brief = [
        {
            "name": each["metadata"]["name"],
            "conditions": {one["type"]: one["status"] for one in (each.get("status") or {}).get("conditions", ())},
            "allocatable": (each.get("status") or {}).get("allocatable"),
            "taints": (each.get("spec") or {}).get("taints"),
            "kubelet": ((each.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion"),
        }
        for each in found
    ]
    return dump_yaml(redactor.manifest(brief))


async def _version(client: Client) -> str:
    return dump_yaml(await client.version())


async def _explain(client: Client, key: Key, image_map: Sequence[str]) -> str:
    judged = await judge(client, key, await operator_images(client, key.namespace, image_map))
    found = diagnosing.describe(key, judged, plan(judged))
    return f"{render(key, judged)}\n\n{diagnosing.render(found)}"


def _log(
    client: Client, namespace: str, pod: str, container: str, tail: int, *, previous: bool = False
) -> Callable[[], Awaitable[str]]:
    async def made() -> str:
        written = await client.logs(namespace, pod, container, tail_lines=tail, previous=previous)
        return written.decode("utf-8", "replace")

    return made


def _file_of(command: tuple[str, ...]) -> str:
    return f"{'-'.join(command[:2]).lower()}.{'yaml' if command[0] == 'SLOWLOG' else 'txt'}"


def _redis(
    client: Client, key: Key, pod: Pod, command: tuple[str, ...], redactor: Redactor
) -> Callable[[], Awaitable[str]]:
    async def made() -> str:
        if command[0] == "SLOWLOG":
            return dump_yaml(redactor.manifest(await ask(client, key.namespace, pod.name, *command)))
        return (await ask_text(client, key.namespace, pod.name, *command)).replace("\r\n", "\n")

    return made


def _config(client: Client, key: Key, pod: Pod, redactor: Redactor) -> Callable[[], Awaitable[str]]:
    async def made() -> str:
        found = sorted(pairs(await ask(client, key.namespace, pod.name, "CONFIG", "GET", "*")))
        return "\n".join(f"{name} {redactor.parameter(name, value)}" for name, value in found)

    return made


async def _operator(client: Client, key: Key, bundle: Bundle, tail: int, redactor: Redactor) -> None:
    try:
        operators = await find_operators(client, key.namespace)
    except ApiError as error:
        bundle.lacking.append(f"operator/: {error}")
        return
    if not operators:
        bundle.lacking.append("operator/: no pod of the operator was found")
    for each in operators:
        pod, namespace = read_pod(each), each["metadata"]["namespace"]
        bundle.files[f"operator/{pod.name}.yaml"] = dump_yaml(redactor.manifest(_brief(each)))
        for container in pod.containers:
            await bundle.add(f"operator/{pod.name}.{container}.log", _log(client, namespace, pod.name, container, tail))


def pack(bundle: Bundle, redactor: Redactor, head: str) -> bytes:
    """A zip archive; everything goes through *redactor* on its way in. What is YAML was made of what went through it:
    a line of it is none that anybody wrote.
    """
    lacking = "".join(f"not in it: {each}\n" for each in bundle.lacking)
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in sorted({**bundle.files, "README.txt": head + lacking}.items()):
            archive.writestr(path, redactor.known(text) if path.endswith(".yaml") else redactor.text(text))
    return into.getvalue()
