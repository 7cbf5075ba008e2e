"""RedisStandalone, field by field: types, defaults, bounds and descriptions, of which the CRD is made."""

from __future__ import annotations

from typing import ClassVar

from tdredis.api.fields import wire_name
from tdredis.api.instance import Instance, InstanceSpec, InstanceStatus


class RedisStandaloneSpec(InstanceSpec, frozen=True, kw_only=True, rename=wire_name):
    """spec: what the owner wants. Lower-case names are the Go operator's; new ones are camelCase and optional."""


class RedisStandaloneStatus(InstanceStatus, frozen=True, kw_only=True, rename=wire_name, omit_defaults=True):
    """status: the instance as it is. capacity is what is effective now, not what spec asks for."""


class RedisStandalone(Instance, frozen=True, kw_only=True, rename=wire_name):
    """One Redis."""

    KIND: ClassVar[str] = "RedisStandalone"

    spec: RedisStandaloneSpec
    status: RedisStandaloneStatus = RedisStandaloneStatus()
