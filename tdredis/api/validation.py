"""Decides whether a resource can be carried out, for servers too old to refuse it themselves.

The bounds are those of the schema, read from the same annotations; the sentences say what to write instead.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, cast, get_args, get_origin, get_type_hints

import msgspec

from tdredis.api.fields import wire_name
from tdredis.api.instance import Instance
from tdredis.api.rediscluster import RedisCluster, RedisClusterSpec
from tdredis.api.redisstandby import LEAST_LAG_S, RedisStandby, RedisStandbySpec

# A StatefulSet <name>-<i> carries the label controller-revision-hash: its name, a dash and 10 characters within 63;
# with i of up to three digits that leaves the resource's name 63 - 11 - 4.
LONGEST_NAME: Final = 48
LEAST_MIB: Final = 16  # of one Redis process
# A Service's name, which the resource's becomes, begins with a letter and has no dots (RFC 1035).
NAME_PATTERN: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"
NAME_SENTENCE: Final = "write lower-case letters, digits and '-', a letter first: Services are named after it"
CAPACITY_SENTENCE: Final = f"capacity is too small: write {LEAST_MIB} (MiB) or more, or leave it out for no limit"
# A sentence without the number to write: an expression that made it would cost a modern server more than it allows.
CLUSTER_CAPACITY_SENTENCE: Final = (
    f"capacity is too small for its shards: write {LEAST_MIB} (MiB) times size or more, or leave it out for no limit"
)
APP_SENTENCE: Final = (
    "app cannot be changed, objects and labels are named after it: write the former app again, or make another resource"
)
PROXY_IMAGE_SENTENCE: Final = "proxyimage is empty: write the image of the proxy, or proxy.enabled: false"
LINE_BREAK_SENTENCE: Final = "a password has a line break in it: write it on one line"
BOTH_SECRETS_SENTENCE: Final = "secret and secretRef are both given: write one of them"
BOTH_PROXY_SECRETS_SENTENCE: Final = "proxysecret and proxySecretRef are both given: write one of them"
LEAST_DOWN_AFTER_MS: Final = (LEAST_LAG_S + 2) * 1000
WRITE_POLICY_SENTENCE: Final = (
    f"writePolicy: consistency needs time for a primary to stop before another is chosen: write"
    f" sentinel.downAfterMilliseconds: {LEAST_DOWN_AFTER_MS} or more, or writePolicy: availability"
)
NO_PROXY_SECRET_SENTENCE: Final = 'proxysecret is missing: write it ("" for no password), or proxySecretRef'  # noqa: S105


def problems(instance: Instance) -> tuple[str, ...]:
    """What is wrong with *instance*, a sentence each; () if nothing is."""
    own = _of_cluster(instance.spec) if isinstance(instance, RedisCluster) else _capacity(instance)
    policy = _write_policy(instance.spec) if isinstance(instance, RedisStandby) else ()
    bounds = _bounds(type(instance.spec), instance.spec, "spec")
    return (*_name(instance), *bounds, *own, *policy, *_passwords(instance))


def _name(instance: Instance) -> Iterator[str]:
    if not re.fullmatch(NAME_PATTERN, instance.name):
        yield f"metadata.name {instance.name!r}: {NAME_SENTENCE}"
    if len(instance.name) > LONGEST_NAME:
        yield (
            f"metadata.name has {len(instance.name)} characters: write at most {LONGEST_NAME},"
            " the names of its pods and their labels are made of it"
        )


def _of_cluster(spec: RedisClusterSpec) -> Iterator[str]:
    if 0 < spec.capacity < LEAST_MIB * spec.size:
        yield CLUSTER_CAPACITY_SENTENCE
    if spec.proxy.enabled and not spec.proxy_image:
        yield PROXY_IMAGE_SENTENCE
    if spec.proxy_secret is None and spec.proxy_secret_ref is None:
        yield NO_PROXY_SECRET_SENTENCE
    if spec.proxy_secret and spec.proxy_secret_ref is not None:
        yield BOTH_PROXY_SECRETS_SENTENCE
    if "\n" in (spec.proxy_secret or ""):
        yield LINE_BREAK_SENTENCE


def _capacity(instance: Instance) -> Iterator[str]:
    if 0 < instance.spec.capacity < LEAST_MIB:
        yield CAPACITY_SENTENCE


def _write_policy(spec: RedisStandbySpec) -> Iterator[str]:
    if spec.write_policy == "consistency" and spec.sentinel.down_after_milliseconds < LEAST_DOWN_AFTER_MS:
        yield WRITE_POLICY_SENTENCE


def _passwords(instance: Instance) -> Iterator[str]:
    if "\n" in instance.spec.secret:
        yield LINE_BREAK_SENTENCE
    if instance.spec.secret and instance.spec.secret_ref is not None:
        yield BOTH_SECRETS_SENTENCE


def _bounds(type_: type[msgspec.Struct], value: msgspec.Struct, path: str) -> Iterator[str]:
    for attribute, name, schema in _bounded_fields(type_):
        found = getattr(value, attribute)
        where = f"{path}.{name}"
        if isinstance(found, msgspec.Struct):
            yield from _bounds(type(found), found, where)
            continue
        if found is None or (attribute == "env" and found == ""):
            continue  # absent
        yield from _breaks(schema, found, where)


@functools.cache  # evaluating annotations took a fifth of the operator's time while many instances are formed
def _bounded_fields(type_: type[msgspec.Struct]) -> tuple[tuple[str, str, Mapping[str, object]], ...]:
    """Attribute, name as users write it, and schema of each field."""
    hints = get_type_hints(type_, include_extras=True).items()
    return tuple((attribute, wire_name(attribute), schema_of(hint)) for attribute, hint in hints)


def schema_of(hint: object) -> Mapping[str, object]:
    """The extra_json_schema of an annotated field; empty if it has none."""
    if get_origin(hint) is not Annotated:
        return {}
    meta = next((each for each in get_args(hint)[1:] if isinstance(each, msgspec.Meta)), None)
    return (meta.extra_json_schema or {}) if meta else {}


def _breaks(schema: Mapping[str, object], value: object, where: str) -> Iterator[str]:
    allowed = schema.get("enum")
    if isinstance(allowed, list) and value not in allowed:
        yield f"{where}: {value!r} is not known: write {', '.join(map(str, allowed))}"
    if isinstance(value, int):
        least, most = cast("int | None", schema.get("minimum")), cast("int | None", schema.get("maximum"))
        if least is not None and value < least:
            yield f"{where}: {value} is too small: write {least} or more"
        if most is not None and value > most:
            yield f"{where}: {value} is too large: write {most} or less"
    if isinstance(value, str):
        shortest = cast("int", schema.get("minLength", 0))
        longest = cast("int", schema.get("maxLength", len(value)))
        pattern = schema.get("pattern")
        if len(value) < shortest:
            yield f"{where} is empty: write {schema.get('x-write', 'a value')}"
        elif len(value) > longest:
            yield f"{where} has {len(value)} characters: write at most {longest}"
        elif isinstance(pattern, str) and not re.fullmatch(pattern, value):
            yield f"{where}: write {schema.get('x-write', f'something that matches {pattern}')}"
