"""Decides what Sentinels can be told: whom to watch, how to log in, who the others are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tdredis.planning.sentences import from_to
from tdredis.planning.steps.redis_step import Command, RedisStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor(RedisStep):
    """Have the Sentinel *process* watch the primary at *host* and *port*, and none that it watched under that name
    before. Source: redis.io, "SENTINEL MONITOR", "SENTINEL SET". The password is added when it is carried out; where
    there is none, *user* is the word too.
    """

    master_name: str
    host: str
    port: int
    quorum: int
    settings: tuple[tuple[str, int], ...]  # names as SENTINEL SET has them
    user: str  # as whom it logs in; "": as everybody
    replaces: bool  # it watches another one, or under another address, as yet

    def __str__(self) -> str:
        return f"have {self.process} watch {self.master_name} at {self.host}:{self.port}"

    def commands(self, password: str) -> tuple[Command, ...]:
        """The password before the settings: without it the primary refuses the Sentinel, which counts it as down."""
        name = self.master_name
        replaced: tuple[Command, ...] = (("SENTINEL", "REMOVE", name),) if self.replaces else ()
        settings = (("SENTINEL", "SET", name, setting, value) for setting, value in self.settings)
        monitor: Command = ("SENTINEL", "MONITOR", name, self.host, self.port, self.quorum)
        return *replaced, monitor, *_log_in(name, self.user, password), *settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMonitor(RedisStep):
    """Have the Sentinel *process* forget *master_name*, which is not ours. Source: redis.io, "SENTINEL REMOVE"."""

    master_name: str

    def __str__(self) -> str:
        return f"have {self.process} stop watching {self.master_name}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("SENTINEL", "REMOVE", self.master_name),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureMonitor(RedisStep):
    """Change a setting of what the Sentinel *process* does. Source: redis.io, "SENTINEL SET"."""

    master_name: str
    setting: str
    before: int
    value: int

    def __str__(self) -> str:
        return f"set {self.setting} of {self.process} {from_to(self.before, self.value)}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("SENTINEL", "SET", self.master_name, self.setting, self.value),)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAuthPass(RedisStep):
    """Tell the Sentinel *process* the password of the Redis processes. Source: redis.io, "SENTINEL SET" (auth-pass). It
    is added when it is carried out.
    """

    pace_s: ClassVar[float] = 10.0  # it cuts what the Sentinel has under way
    master_name: str
    user: str  # as whom it logs in; "": as everybody

    def __str__(self) -> str:
        return f"tell {self.process} the password"

    def commands(self, password: str) -> tuple[Command, ...]:
        return _log_in(self.master_name, self.user, password)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelHello:
    """What a Sentinel says of itself to the others: where it is, and whom it takes for the primary."""

    name: str
    host: str
    port: int
    id: str
    primary_host: str
    primary_port: int
    config_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishHellos(RedisStep):
    """Tell the Sentinel *process* what *others* say of themselves: by their own way, through Redis, it would hear of
    them within two seconds. Source: sentinel.c, sentinelPublishCommand: a Sentinel takes PUBLISH of such messages.
    """

    master_name: str
    others: tuple[SentinelHello, ...]

    def __str__(self) -> str:
        return f"tell {self.process} of {', '.join(other.name for other in self.others)}"

    @property
    def words(self) -> tuple[Command, ...]:
        return tuple(("PUBLISH", "__sentinel__:hello", _hello(self.master_name, each)) for each in self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceSentinel(RedisStep):
    """Have the Sentinel *process* tell others this address. Source: redis.io, "SENTINEL CONFIG SET" (since 6.2)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"have {self.process} announce {self.host}:{self.port}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (
            ("SENTINEL", "CONFIG", "SET", "announce-ip", self.host),
            ("SENTINEL", "CONFIG", "SET", "announce-port", self.port),
        )


def _log_in(name: str, user: str, password: str) -> tuple[Command, ...]:
    secret = password or user
    set_secret: tuple[Command, ...] = (("SENTINEL", "SET", name, "auth-pass", secret),) if secret else ()
    return (*set_secret, ("SENTINEL", "SET", name, "auth-user", user)) if user else set_secret


def _hello(master_name: str, sentinel: SentinelHello) -> str:
    """Source: sentinel.c, sentinelSendHello. Its present epoch is not to be had: it is that of its configuration at the
    least. With less, a failover by who is told would be older than what the others believe, and be undone by them.
    """
    fields = (
        *(sentinel.host, sentinel.port, sentinel.id, sentinel.config_epoch),
        *(master_name, sentinel.primary_host, sentinel.primary_port, sentinel.config_epoch),
    )
    return ",".join(map(str, fields))
