"""Decides which values are refused before any pod is recreated for them: those that no engine starts with, or lives on.

They are of parameters that are read at a start alone. What the engine would say is known, since it was asked; what it
needs of memory, and which databases have keys, is counted. A value that passes may still be refused by the first pod.
"""

from __future__ import annotations

from typing import Final

from tdredis.api.instance import Instance
from tdredis.api.settings import as_texts
from tdredis.manifests.drift import parse_quantity
from tdredis.manifests.redis_pods import container_resources
from tdredis.planning.health import World
from tdredis.planning.plan import Hold
from tdredis.redis.parameter_values import database_bytes, refused_by_all

DATABASES: Final = "databases"
MIB: Final = 2**20


def refused_beforehand(world: World, name: str, value: str) -> Hold | None:
    """Why no pod is to start with *name* at *value*. None: nothing speaks against it."""
    engines = _engines(world)
    if words := refused_by_all(engines, name, value):
        said = " and ".join(sorted(engines)) if engines else "every engine that is known"
        why = f"config.{name}: {said} refuses {value!r} at a start: {words}. Nothing is changed: write another value"
        return Hold(guard="engine_takes_the_value", about="spec", why=why)
    if name != DATABASES:
        return None
    return _fit_the_memory(world.instance, engines, int(value)) or _have_the_keys(world, int(value))


def taken_into_use(world: World, name: str, value: str) -> tuple[Hold, str] | None:
    """Why pods that are made to start with *name* at *value* are to go again, and the value for the others: what was
    right when they were made is it no more. None: it is right.
    """
    if name != DATABASES or not (found := _has_keys_beyond(world, int(value))):
        return None
    has = (int(member.facts.settings.get(DATABASES, "0")) for member in world.members)
    return found, str(max(has))


def refused_by_any_engine(instance: Instance, name: str, value: str) -> bool:
    """As `refused_beforehand`, of an instance that has no process yet."""
    nobody = frozenset[str]()
    if refused_by_all(nobody, name, value):
        return True
    return name == DATABASES and _fit_the_memory(instance, nobody, int(value)) is not None


def _engines(world: World) -> frozenset[str]:
    """Those that new pods will run, as far as one of their image runs already."""
    image = world.instance.spec.image
    return frozenset(member.facts.engine for member in world.members if member.pod.made_of.get("image") == image)


def _fit_the_memory(instance: Instance, engines: frozenset[str], databases: int) -> Hold | None:
    """Guard: an engine makes all its databases as it starts. Where they alone exceed maxmemory nothing can be written,
    and beyond its container's limit the kernel ends it.
    """
    limit = parse_quantity(container_resources(instance)[1].get("memory"))
    bounds = [size for size in (int(limit or 0), instance.spec.maxmemory_mib * MIB) if size]
    each = database_bytes(engines)
    if not bounds or databases * each <= min(bounds):
        return None
    why = (
        f"config.{DATABASES}: {databases} databases take {databases * each // MIB} MiB before there is a key, and a"
        f" process has {min(bounds) // MIB} MiB. Nothing is changed: write at most {min(bounds) // each}"
    )
    return Hold(guard="databases_fit_the_memory", about="spec", why=why)


def _have_the_keys(world: World, databases: int) -> Hold | None:
    """Guard: no write is made in another database than it was meant for. An engine that finds, in a snapshot, a key of
    a database that it does not have ends; one that finds a write in an append-only file, or gets it from its primary,
    makes it where the one before was made, and says so in its log alone (seen on redis 7.0.15).
    """
    if found := _has_keys_beyond(world, databases):
        return found
    has = [(int(member.facts.settings.get(DATABASES, "0")), member.pod.name) for member in world.members]
    most, pod = max(has)
    if most <= databases or not _keeps_a_log(world.instance):
        return None
    what = (
        f"{pod} has {most}, and append-only files on its volume may name those that go: a start would make their writes"
    )
    return _taken_away(f"{what} in another", f"write {most} or more; for fewer copy the keys to another resource")


def _has_keys_beyond(world: World, databases: int) -> Hold | None:
    members = world.members
    most, pod = max(((each.facts.databases, each.pod.name) for each in members), default=(0, ""))
    if most <= databases:
        return None
    what = f"database {most - 1} has keys in {pod}, and with {databases} there is none of that number"
    return _taken_away(what, f"write {most} or more, or remove these keys")


def _keeps_a_log(instance: Instance) -> bool:
    """What a pod starts with was written before."""
    return bool(instance.spec.storage_class) and as_texts(instance.spec.config).get("appendonly", "yes") != "no"


def _taken_away(what: str, advice: str) -> Hold:
    why = f"config.{DATABASES}: {what}. Nothing is changed: {advice}"
    return Hold(guard="databases_have_the_keys", about="spec", why=why)
