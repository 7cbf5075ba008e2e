"""What the processes of a standby say themselves, one by one, whatever stands before them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from tdredis.redis.facts import parse_info
from tdredis.redislink.errors import LinkError
from tests.chaos.ledger import Door, Ledger
from tests.e2e.reach import linked
from tests.e2e.world import Obj, Subject, condition, eventually

PASSWORD = "123"
LOOK_S = 0.02


@dataclass(frozen=True)
class Parts:
    """Addresses of a standby's processes, as of when they were asked for."""

    subject: Subject
    redis: dict[str, str]  # pod -> ip
    sentinels: dict[str, str]

    @classmethod
    async def of(cls, subject: Subject) -> Parts:
        redis, sentinels = [
            {name: pod["status"]["podIP"] for name, pod in sorted((await subject.pods(component)).items())}
            for component in ("redis", "sentinel")
        ]
        return cls(subject, redis, sentinels)

    def door(self, pod: str) -> Door:
        if pod in self.redis:
            return Door(f"{self.redis[pod]}:6379", PASSWORD)
        return Door(f"{self.sentinels[pod]}:26379", "")

    def ledger(self, pod: str) -> Ledger:
        """Of a client that knows this one process only."""
        return Ledger(f"beside-{pod}", self.door(pod))

    def side(self, *pods: str) -> str:
        """As `localkube fault` takes one."""
        return ",".join(f"{self.subject.namespace}/{pod}" for pod in pods)

    async def ask(self, pod: str, *words: str | int) -> object:
        """One reply. Raises LinkError."""
        door = self.door(pod)
        try:
            return await door.call("", *words)
        finally:
            door.close()

    async def replication(self, pod: str) -> dict[str, str]:
        """INFO replication; empty while it does not answer."""
        try:
            reply = await self.ask(pod, "INFO", "replication")
        except LinkError:
            return {}
        assert isinstance(reply, bytes)
        return parse_info(reply.decode())

    async def shut_down(self, pod: str) -> None:
        """Its process ends, and says nothing to anybody before."""
        address = f"{self.redis[pod]}:6379" if pod in self.redis else f"{self.sentinels[pod]}:26379"
        async with linked(address, PASSWORD if pod in self.redis else "") as link:
            link.send("SHUTDOWN", *(("NOSAVE", "NOW", "FORCE") if pod in self.redis else ()))

    async def role(self, pod: str) -> str:
        return (await self.replication(pod)).get("role", "")

    async def config(self, pod: str, parameter: str) -> str:
        """ "" while it does not answer."""
        try:
            reply = await self.ask(pod, "CONFIG", "GET", parameter)
        except LinkError:
            return ""
        assert isinstance(reply, list)
        return bytes(reply[1]).decode()

    async def watched(self, sentinel: str) -> dict[str, str]:
        """Its row of SENTINEL MASTERS for mymaster; empty while it watches nothing, or does not answer."""
        try:
            rows = await self.ask(sentinel, "SENTINEL", "MASTERS")
        except LinkError:
            return {}
        assert isinstance(rows, list)
        for row in rows:
            words = [bytes(word).decode() for word in row]
            fields = dict(zip(words[::2], words[1::2], strict=True))
            if fields["name"] == "mymaster":
                return fields
        return {}

    async def until_role(self, pod: str, role: str, *, deadline_s: float) -> float:
        """When *pod* was first seen in *role* (monotonic)."""

        async def has() -> bool:
            return await self.role(pod) == role

        await eventually(has, f"{pod} is a {role}", deadline_s=deadline_s, pause_s=LOOK_S)
        return time.monotonic()

    async def until_config(self, pod: str, parameter: str, value: str, *, deadline_s: float = 60.0) -> None:
        async def has() -> bool:
            return await self.config(pod, parameter) == value

        await eventually(has, f"{parameter} of {pod} is {value}", deadline_s=deadline_s, pause_s=LOOK_S)


async def until_reason(subject: Subject, reason: str, *, deadline_s: float = 60.0) -> Obj:
    """The resource, when its condition Ready is False for *reason*, or names it among others in a message."""

    async def has() -> Obj | None:
        resource = await subject.get()
        return resource if condition(resource, "Ready").get("reason") == reason else None

    found = await eventually(has, f"it is not Ready: {reason}", deadline_s=deadline_s)
    assert found is not None
    return found


async def until_told(subject: Subject, reason: str, *, deadline_s: float = 60.0) -> str:
    """The message of the event *reason*, when there is one."""

    async def told() -> str:
        return next((event["message"] for event in await subject.events() if event["reason"] == reason), "")

    return await eventually(told, f"an event says {reason}", deadline_s=deadline_s)


async def until_refused(ledger: Ledger, code: str, *, deadline_s: float) -> float:
    """When *ledger*, which writes, first was refused with *code* (monotonic)."""
    end = time.monotonic() + deadline_s
    while not ledger.last_error.startswith(code):
        assert time.monotonic() < end, f"not refused with {code}; last error: {ledger.last_error!r}"
        await asyncio.sleep(LOOK_S)
    return time.monotonic()
