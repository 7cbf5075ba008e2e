"""Decides what can be set on a running Redis process."""

from __future__ import annotations

from dataclasses import dataclass

from tdredis.manifests.peers import peer_rules
from tdredis.planning.sentences import from_to
from tdredis.planning.steps.redis_step import Command, RedisStep


@dataclass(frozen=True, slots=True, kw_only=True)
class SetConfig(RedisStep):
    """Change a parameter of a running process; redis.conf has it for the next start. Source: redis.io, "CONFIG SET".

    Both values are in events and in the log: no password is set by it. *before*: None where the process did not say.
    """

    parameter: str
    before: int | str | None
    value: int | str

    def __str__(self) -> str:
        return f"set {self.parameter} of {self.process} {from_to(self.before, self.value)}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("CONFIG", "SET", self.parameter, self.value),)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPeerUser(RedisStep):
    """Have *process* know the instance's own *user*, and follow others as that. Source: redis.io, "ACL SETUSER".

    The password is added when it is carried out; where there is none, *user* is used as the password too.
    """

    user: str
    channels: bool  # its engine knows rules for channels

    def __str__(self) -> str:
        return f"have {self.process} log in to others as {self.user}"

    def commands(self, password: str) -> tuple[Command, ...]:
        return (
            ("ACL", "SETUSER", self.user, "reset", *peer_rules(password, channels=self.channels)),
            ("CONFIG", "SET", "masterauth", password or self.user),
            ("CONFIG", "SET", "masteruser", self.user),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetParameter(RedisStep):
    """Change a parameter that spec.config names, and hear what *process*, of *engine*, makes of the value. Source:
    redis.io, "CONFIG SET".
    """

    engine: str
    name: str
    value: str

    def __str__(self) -> str:
        return f"set {self.name} of {self.process} to {self.value!r}"

    @property
    def words(self) -> tuple[Command, ...]:
        return (("CONFIG", "SET", self.name, self.value), ("CONFIG", "GET", self.name))
