"""The environment, command and arguments of a container: where each value comes from and what $(NAME) stands for."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from localkube.kubelet.fields import FieldProblem, read_field, read_resource

Obj = dict[str, Any]
# (resource, name) -> the object of the pod's namespace, or None
Lookup = Callable[[str, str], Obj | None]

_REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")


class ConfigProblem(Exception):
    """A container cannot be created from what it refers to (CreateContainerConfigError); the text names it."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """$(NAME) by its value; an unknown name stays as written; `$$` is one dollar."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return values.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


def build_env(
    container: Obj,
    pod: Obj,
    lookup: Lookup,
    *,
    inherited: Mapping[str, str],
    services: Mapping[str, str],
    allocatable: Mapping[str, str],
) -> dict[str, str]:
    """*inherited*: what the image sets. *services*: service links, which yield to the pod's own words.

    Raises ConfigProblem.
    """
    own: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        own.update(_from_source(source, lookup))
    for variable in container.get("env") or []:
        if "valueFrom" in variable:
            value = _value_from(variable["valueFrom"], container, pod, lookup, allocatable)
            if value is not None:
                own[variable["name"]] = value
        else:
            own[variable["name"]] = expand(variable.get("value") or "", {**services, **own})
    return {**inherited, **services, **own}


def build_command(
    container: Obj, entrypoint: tuple[str, ...], cmd: tuple[str, ...], env: Mapping[str, str]
) -> list[str]:
    """`command` replaces the image's entrypoint and with it the image's cmd; `args` replaces the cmd alone."""
    command = [expand(word, env) for word in container.get("command") or []]
    args = [expand(word, env) for word in container.get("args") or []]
    if command:
        return command + args
    return [*entrypoint, *(args or cmd)]


def build_service_links(services: list[Obj]) -> dict[str, str]:
    """NAME_SERVICE_HOST and its kin for every Service with an address."""
    links: dict[str, str] = {}
    for service in services:
        address = service["spec"].get("clusterIP")
        ports = service["spec"].get("ports") or []
        if not address or address == "None" or not ports:
            continue
        prefix = service["metadata"]["name"].upper().replace("-", "_")
        links[f"{prefix}_SERVICE_HOST"] = address
        links[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
        protocol = ports[0].get("protocol", "TCP").lower()
        links[f"{prefix}_PORT"] = f"{protocol}://{address}:{ports[0]['port']}"
        for port in ports:
            if port.get("name"):
                links[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
            protocol = port.get("protocol", "TCP")
            stem = f"{prefix}_PORT_{port['port']}_{protocol}"
            links[stem] = f"{protocol.lower()}://{address}:{port['port']}"
            links[f"{stem}_PROTO"] = protocol.lower()
            links[f"{stem}_PORT"] = str(port["port"])
            links[f"{stem}_ADDR"] = address
    return links


def _from_source(source: Obj, lookup: Lookup) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    if "configMapRef" in source:
        found = _find(lookup, "configmaps", source["configMapRef"])
        data = (found or {}).get("data") or {}
    elif "secretRef" in source:
        found = _find(lookup, "secrets", source["secretRef"])
        data = {key: _decode(value) for key, value in ((found or {}).get("data") or {}).items()}
    else:
        raise ConfigProblem(f"envFrom source not supported: {', '.join(sorted(source))}")
    return {prefix + key: value for key, value in data.items()}


def _value_from(
    source: Obj, container: Obj, pod: Obj, lookup: Lookup, allocatable: Mapping[str, str]
) -> str | None:  # None: an optional source is absent, and so is the variable
    namespace = pod["metadata"]["namespace"]
    try:
        if "fieldRef" in source:
            return read_field(pod, source["fieldRef"]["fieldPath"])
        if "resourceFieldRef" in source:
            return read_resource(container, allocatable, source["resourceFieldRef"])
    except (FieldProblem, ValueError) as problem:
        raise ConfigProblem(str(problem)) from problem
    if "configMapKeyRef" in source:
        return _key_of("configmaps", source["configMapKeyRef"], namespace, lookup)
    if "secretKeyRef" in source:
        return _key_of("secrets", source["secretKeyRef"], namespace, lookup)
    raise ConfigProblem(f"valueFrom not supported: {', '.join(sorted(source))}")


def _key_of(resource: str, ref: Obj, namespace: str, lookup: Lookup) -> str | None:
    found = _find(lookup, resource, ref)
    if found is None:
        return None
    value: str | None = (found.get("data") or {}).get(ref["key"])
    if value is None:
        if ref.get("optional"):
            return None
        kind = "ConfigMap" if resource == "configmaps" else "Secret"
        raise ConfigProblem(f"couldn't find key {ref['key']} in {kind} {namespace}/{ref['name']}")
    return value if resource == "configmaps" else _decode(value)


def _find(lookup: Lookup, resource: str, ref: Obj) -> Obj | None:
    found = lookup(resource, ref["name"])
    if found is None and not ref.get("optional"):
        raise ConfigProblem(f'{resource.removesuffix("s")} "{ref["name"]}" not found')
    return found


def _decode(value: str) -> str:
    return base64.b64decode(value).decode(errors="surrogateescape")
