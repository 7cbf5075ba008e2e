"""Who leads: at most one operator works at a time, and one that lost its lease stops working before the next begins."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
import structlog

from tdredis.api.json_object import JSONObject
from tdredis.kube.client import Client
from tdredis.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from tdredis.kube.objects import Bytes, Meta, render_time
from tdredis.kube.resources import LEASES

log = structlog.get_logger(__name__)


class LeaseSpec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(msgspec.Struct, frozen=True, gc=False):
    metadata: Meta
    spec: LeaseSpec = LeaseSpec()


_LEASE = msgspec.json.Decoder(Lease)


def seconds_since_boot() -> float:
    """A clock that nobody sets, and that goes on while the machine is suspended, where the system has such a one: a
    laptop or a virtual machine that slept has not held its lease meanwhile.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def parse_lease(text: Bytes) -> Lease:
    """Raises msgspec.DecodeError."""
    return _LEASE.decode(text)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Somebody else's lease, and when *our* clock first saw it in this state: remote clocks are never trusted."""

    spec: LeaseSpec
    at: float


class LeaderElector:
    """Leads while, and only while, this process could renew its lease.

    Safety rests on two durations measured by two local clocks: we stop `renew_s` after the last renewal was *sent*;
    another takes over only `duration_s` after it *saw* that renewal. The difference is what the work has to stop in.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration_s: float = 15.0,
        renew_s: float = 10.0,
        retry_s: float = 2.0,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = seconds_since_boot,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`identity` is the pod's name: the same pod, restarted, retakes its own lease at once."""
        if not 0 < retry_s < renew_s < duration_s:
            raise ValueError(f"need retry < renew < duration, got {retry_s} {renew_s} {duration_s}")
        if not identity:
            raise ValueError("a lease without an identity would be everybody's")
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._duration_s = duration_s
        self._renew_s = renew_s
        self._retry_s = retry_s
        self._now = now
        self._monotonic = monotonic
        self._chance = chance
        self._lease: Lease | None = None  # as the server last showed it
        self._seen: _Seen | None = None
        self._leads = False
        self._good_until = 0.0

    @property
    def leads(self) -> bool:
        return self._leads

    @property
    def holder(self) -> str | None:
        """Who held the lease when we last looked; None: nobody, or we never saw it."""
        return (self._lease.spec.holder_identity or None) if self._lease is not None else None

    def age_s(self) -> float | None:
        """Seconds since the renewal that counts was sent; None: we do not lead."""
        return self._monotonic() - self._good_until + self._renew_s if self._leads else None

    def may_act(self) -> bool:
        """Now, and without waiting for anybody: the lease holds. To be asked directly before every effect.

        A process that was stopped and goes on later runs what was ready first, and hears of the lost lease after that.
        """
        return self._leads and self._monotonic() < self._good_until

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Campaigns, then runs `lead()` for as long as the lease holds; when it is lost, campaigns again.

        Returns when `lead` returns, and raises what it raises. On the way out, and when cancelled, the lease is given
        back, so that the next one need not wait for its end; never before `lead` has ended.
        """
        while True:
            renewed_at = await self._acquire()
            self._good_until = renewed_at + self._renew_s
            self._leads = True
            lost: str | None = None
            work: asyncio.Task[None] = asyncio.create_task(_awaited(lead), name="lead")
            try:
                lost = await self._keep(work, renewed_at)
            finally:
                self._leads = False
                await self._end(work)
                if lost is None:
                    await self._release()
            if lost is None:
                work.result()
                return
            if not work.cancelled() and (error := work.exception()) is not None:
                log.error("work failed while it was stopped", lease=self._name, exc_info=error)

    async def _acquire(self) -> float:
        """Returns the monotonic time just before the request that won was sent."""
        say = log.warning
        while True:
            asked_at = self._monotonic()
            try:
                async with asyncio.timeout(self._renew_s):
                    if await self._try():
                        return asked_at
                say = log.warning
            except Conflict:
                pass  # another candidate was quicker
            except (TimeoutError, ApiError, msgspec.DecodeError) as error:
                say("cannot ask for the lease", lease=self._name, error=str(error) or type(error).__name__)
                say = log.debug  # the first of a row is news, the rest is the same outage
            # Upwards from one: ten candidates must not ask in the same instant.
            await asyncio.sleep(self._retry_s * (1.0 + 0.2 * self._chance()))

    async def _keep(self, work: "asyncio.Task[None]", renewed_at: float) -> str | None:
        """Renews until the work ends (None) or the lease is lost (why)."""
        why = "the lease could not be renewed in time"
        pause_s = self._retry_s
        while True:
            left_s = renewed_at + self._renew_s - self._monotonic()
            if left_s <= 0:
                return self._lose(why)
            done, _ = await asyncio.wait({work}, timeout=min(pause_s, left_s))
            if done:
                return None
            asked_at = self._monotonic()
            left_s = renewed_at + self._renew_s - asked_at
            if left_s <= 0:
                return self._lose(why)
            renewal = asyncio.create_task(self._try(), name="renew")
            both: set[asyncio.Task[object]] = {work, renewal}
            try:
                # Half the time for one attempt: a request that hangs must leave room for another.
                over, _ = await asyncio.wait(
                    both, timeout=min(left_s, self._renew_s / 2), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                await self._end(renewal)
            if work in over:
                return None
            if renewal not in over:
                why = "the server did not answer in time"
                continue
            try:
                if not renewal.result():
                    return self._lose(f"{self.holder!r} holds the lease")
            except (ApiError, msgspec.DecodeError) as error:
                # Also a conflict: somebody touched the object. Our renewal did not happen, its time does not count.
                why = f"the lease could not be renewed: {error}"
                pause_s = self._retry_s / 4
                log.warning("lease not renewed", lease=self._name, error=str(error), left_s=round(left_s, 1))
            else:
                renewed_at, pause_s = asked_at, self._retry_s
                self._good_until = renewed_at + self._renew_s

    def _lose(self, why: str) -> str:
        log.error("lost the lead", lease=self._name, identity=self._identity, why=why)
        return why

    async def _end(self, task: "asyncio.Task[object]") -> None:
        """Cancels and awaits; says so if the work does not let go, because from then on two may be working."""
        task.cancel()
        started_at = self._monotonic()
        warned = False
        while not task.done():
            await asyncio.wait({task}, timeout=1.0)
            if not warned and not task.done() and self._monotonic() - started_at > self._duration_s - self._renew_s:
                warned = True
                log.error("work goes on after its lease may have ended", lease=self._name, task=task.get_name())

    async def _try(self) -> bool:
        """One attempt to take or renew. True: we wrote it and hold it; False: another holds it. Raises ApiError."""
        try:
            lease = await self._client.read(LEASES, self._namespace, self._name, parse_lease)
        except NotFound:
            return await self._create()
        self._look_at(lease)
        holder = lease.spec.holder_identity
        if holder not in (None, "", self._identity) and not self._is_over():
            return False
        return await self._write(lease)

    def _look_at(self, lease: Lease) -> None:
        if self._seen is None or self._seen.spec != lease.spec:
            self._seen = _Seen(lease.spec, self._monotonic())
        self._lease = lease

    def _is_over(self) -> bool:
        if self._seen is None:
            return False
        duration_s = self._seen.spec.lease_duration_seconds or self._duration_s
        return self._monotonic() >= self._seen.at + duration_s

    async def _create(self) -> bool:
        manifest: JSONObject = {
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {**self._renewal(), "acquireTime": self._timestamp(), "leaseTransitions": 0},
        }
        try:
            await self._client.create(LEASES, manifest)
        except AlreadyExists:
            return False
        return True

    async def _write(self, lease: Lease) -> bool:
        spec: JSONObject = dict(self._renewal())
        if lease.spec.holder_identity != self._identity:
            spec["acquireTime"] = self._timestamp()
            spec["leaseTransitions"] = (lease.spec.lease_transitions or 0) + 1
        # The resourceVersion is the lock: of two who saw it free, one gets a conflict.
        patch: JSONObject = {"metadata": {"resourceVersion": lease.metadata.resource_version}, "spec": spec}
        await self._client.patch(LEASES, self._namespace, self._name, patch)
        self._lease = Lease(lease.metadata, LeaseSpec(holder_identity=self._identity))
        return True

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(self._retry_s):
                lease = await self._client.read(LEASES, self._namespace, self._name, parse_lease)
                if lease.spec.holder_identity != self._identity:
                    return
                patch: JSONObject = {
                    "metadata": {"resourceVersion": lease.metadata.resource_version},
                    "spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._timestamp()},
                }
                await self._client.patch(LEASES, self._namespace, self._name, patch)
                log.info("released the lease", lease=self._name)
        except (TimeoutError, ApiError, msgspec.DecodeError) as error:
            log.warning("lease not released, it will run out", lease=self._name, error=str(error))

    def _renewal(self) -> JSONObject:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._duration_s)),
            "renewTime": self._timestamp(),
        }

    def _timestamp(self) -> str:
        return render_time(self._now(), micro=True)


async def _awaited(lead: Callable[[], Awaitable[None]]) -> None:
    await lead()
