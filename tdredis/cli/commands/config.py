"""Decides how parameters of Redis are read from its processes, and written: into spec.config, not by CONFIG SET."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tdredis.api.fields import API_VERSION
from tdredis.api.json_object import JSONObject
from tdredis.cli.errors import CommandError
from tdredis.cli.output import print_data, render_table
from tdredis.cli.pods import running_redis_pods
from tdredis.cli.redact import HIDDEN, SECRET_PARAMETERS
from tdredis.cli.redis_cli import ask, pairs
from tdredis.cli.target import get_resource, with_client
from tdredis.kube.client import Client
from tdredis.kube.resources import resource_of
from tdredis.planning.snapshot import Key
from tdredis.redis.parameters import is_read_at_start, known_by, like


def get(chosen: argparse.Namespace) -> int:
    async def work(client: Client, key: Key) -> list[dict[str, Any]]:
        resource: Mapping[str, Any] = await get_resource(client, key)
        spec = {name: str(value) for name, value in (resource["spec"].get("config") or {}).items()}
        patterns = chosen.parameter or sorted(spec)
        if not patterns:
            raise CommandError(
                f"spec.config of {key} names no parameter: write which to show, for example 'maxmemory*'"
            )
        pods = await running_redis_pods(client, key, chosen.pod)
        answers = await asyncio.gather(*(_read(client, key, pod.name, patterns) for pod in pods))
        return describe(spec, dict(zip((pod.name for pod in pods), answers, strict=True)))

    found = with_client(chosen, work)
    if not found:
        raise CommandError(f"no parameter is called {' or '.join(chosen.parameter)}: `config get RESOURCE '*'` has all")
    print_data(list(found), chosen.output, lambda: render(found))
    return 0


async def _read(client: Client, key: Key, pod: str, patterns: Sequence[str]) -> dict[str, str]:
    """CONFIG GET takes one pattern before 7.0."""
    found: dict[str, str] = {}
    for pattern in patterns:
        found.update(pairs(await ask(client, key.namespace, pod, "CONFIG", "GET", pattern)))
    return found


def describe(spec: Mapping[str, str], by_pod: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """*spec*: spec.config. Passwords are hidden."""
    names = sorted({name for each in by_pod.values() for name in each})
    return [
        {
            "name": name,
            "spec": spec.get(name),
            "effective": {
                pod: HIDDEN if name in SECRET_PARAMETERS and each[name] else each[name]
                for pod, each in by_pod.items()
                if name in each
            },
        }
        for name in names
    ]


def render(found: Sequence[Mapping[str, Any]]) -> str:
    rows: list[tuple[str, str, str, str]] = []
    for each in found:
        spec = "-" if each["spec"] is None else each["spec"]
        by_value: dict[str, list[str]] = {}
        for pod, value in each["effective"].items():
            by_value.setdefault(value, []).append(pod)
        for value, pods in by_value.items():
            rows.append((each["name"], spec, value or '""', "all" if len(by_value) == 1 else ", ".join(pods)))
    return render_table(("PARAMETER", "SPEC", "EFFECTIVE", "PODS"), rows)


def set_(chosen: argparse.Namespace) -> int:
    changes = read_changes(chosen.parameter)
    patch: JSONObject = {"spec": {"config": dict(changes)}}

    async def work(client: Client, key: Key) -> Key:
        await client.patch(resource_of(API_VERSION, key.kind), key.namespace, key.name, patch)
        return key

    key = with_client(chosen, work)
    for name, value in changes.items():
        print(say(name, value))
    print(f"{key} in namespace {key.namespace}: `status {key}` says whether it is carried out (condition Accepted)")
    return 0


def read_changes(words: Sequence[str]) -> dict[str, str | None]:
    """NAME=VALUE, or NAME- for one that spec is to name no more. Raises CommandError."""
    found: dict[str, str | None] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals and word.endswith("-"):
            name = word.removesuffix("-")
        elif not equals:
            raise CommandError(f"{word!r}: write NAME=VALUE, or NAME- to have spec name it no more")
        if name in SECRET_PARAMETERS:
            raise CommandError(
                f"{name}: a password is not set here: write spec.secretRef, and the Secret that it names"
            )
        if not known_by(name):
            meant = like(name)
            hint = f": do you mean {meant}?" if meant else "; docs/reference/parameters.md lists them"
            raise CommandError(f"no engine knows a parameter {name!r}{hint}")
        found[name] = value if equals else None
    return found


def say(name: str, value: str | None) -> str:
    """What happens next, by what is known of the parameter."""
    if value is None:
        return f"{name} is named no more: a process keeps what it has until it starts again"
    if is_read_at_start(name):
        return f"{name}={value}: engines read it when they start, pods are recreated one by one for it, replicas first"
    return f"{name}={value}: set on every process at once"
