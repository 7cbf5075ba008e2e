"""One history of an instance on real processes: edits, deaths and interruptions of the operator, one on top of the
other, while clients write; and what must be so afterwards.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from bench.chaos_edits import EDITS, slots_amiss, until_carried_out
from bench.chaos_judge import SENT_S, Happening, unexplained
from bench.chaos_menu import MENU, InapplicableError, Place, takes_a_copy
from bench.chaos_schedule import Draw
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError
from tdredis.kube.resources import ENDPOINTSLICES
from tests.chaos.ledger import Ledger
from tests.e2e.faults import lost, under_load
from tests.e2e.rolling import seen
from tests.e2e.scaling import TAGS
from tests.e2e.world import Kube, Obj, Operator, Subject, condition, eventually, sample, standalone, standby

EVENTS: Final = 6
HEALS_S, APPLIED_S = 120.0, 240.0
LOOK_S, SETTLED_S = 0.2, 2.0
DEATHS: Final = ("kill_redis", "kill_redis", "delete_pod", "kill_sentinel_or_proxy", "lose_memory")
INTERRUPTIONS: Final = ("kill_operator",) * 3  # as likely as a death
ON_VOLUMES: Final[Mapping[str, object]] = {"storageclass": "standard", "storage": {"size": "1Gi", "retain": False}}
KINDS: Final = (sample, standby, standalone)


@dataclass(frozen=True, slots=True)
class Story:
    """What a seed has in store."""

    manifest: Obj
    claims: bool
    draws: tuple[Draw, ...]


def story_of(seed: int, namespace: str) -> Story:
    choice = random.Random(seed)  # noqa: S311 to be repeated
    make, claims = KINDS[seed % len(KINDS)], choice.random() < 0.5
    menu = [*sorted(EDITS), *(name for name in sorted(EDITS) if "size" in name), *DEATHS, *INTERRUPTIONS]
    draws = tuple(
        Draw(
            fault=choice.choice(menu),
            subject=0,
            pod=choice.random(),
            way=choice.random(),
            lasts_s=round(choice.uniform(1, 4), 1),
            pause_s=round(choice.uniform(0, 4), 1),
        )
        for _ in range(4 * EVENTS)  # some are nothing for that kind of instance
    )
    return Story(make(namespace, capacity=768, **(ON_VOLUMES if claims else {})), claims, draws)


@dataclass
class History:
    place: Place
    ledgers: Mapping[str, Ledger]
    happened: list[tuple[str, float]] = field(default_factory=list)  # monotonic: when it began
    unready: list[float] = field(default_factory=list)  # when status was not Ready, or nobody could tell
    two_primaries: int = 0

    @property
    def subject(self) -> Subject:
        return self.place.subjects[0]

    async def goes_through(self, story: Story) -> None:
        for draw in story.draws:
            if len(self.happened) == EVENTS:
                return
            await asyncio.sleep(draw.pause_s)  # the history itself
            if takes_a_copy(draw.fault, claims=story.claims):
                # Or nobody could have what is lost. Slots that move take their time: nothing is wrong meanwhile.
                await self.subject.until_ready(deadline_s=APPLIED_S)
            began = time.monotonic()
            with suppress(InapplicableError):
                await {**MENU, **EDITS}[draw.fault](self.place, self.subject, draw)
                self.happened.append((draw.fault, began))

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._look())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _look(self) -> None:
        while True:
            try:
                phase = (await self.subject.get())["status"].get("phase")
                live = await self.place.client.find(
                    ENDPOINTSLICES, self.subject.namespace, f"{self.subject.name}-primary"
                )
            except ApiError:
                phase, live = "", None
            if phase not in ("Ready", "Migrating") or self.place.operator_is_down.locked():
                self.unready.append(time.monotonic())
            ends = live.get("endpoints") if live else None
            self.two_primaries += isinstance(ends, list) and len(ends) > 1
            await asyncio.sleep(LOOK_S)  # the pace of looking

    async def ends_well(self) -> None:
        """Raises AssertionError."""
        subject = self.subject
        await until_well(subject, deadline_s=HEALS_S)  # on a busy machine slots move for minutes after that
        await until_carried_out(subject, deadline_s=APPLIED_S)
        assert not await slots_amiss(subject)
        assert not self.two_primaries, "the Service led to two primaries"
        log = await asyncio.to_thread(self.place.operator.log.read_text)
        assert '"pass failed"' not in log

    async def loses_nothing(self) -> None:
        """But what no replica had yet when a process died. Raises AssertionError."""
        missing = await lost(self.subject, self.ledgers)
        kind = self.subject.kind.kind
        times = {
            f"{kind}/{way}": [self.ledgers[way].acknowledged[number] for number in numbers]
            for way, numbers in missing.items()
        }
        assert not list(unexplained(times, list(self._happenings()))), (missing, self.happened)

    def _happenings(self) -> Iterator[Happening]:
        for what, began in self.happened:
            until = began + SENT_S
            for when in self.unready:
                if when > until + SETTLED_S:
                    break
                until = max(until, when)
            yield Happening(what, self.subject.kind.kind, what in EDITS, began, until + SENT_S, {})


async def until_well(subject: Subject, *, deadline_s: float) -> None:
    """Until nothing is wrong with it, whatever of its present spec is still carried out. Raises AssertionError."""

    async def is_well() -> bool:
        resource = await subject.get()
        current = resource["status"].get("observedGeneration") == resource["metadata"]["generation"]
        return bool(current and condition(resource, "Ready").get("status") == "True")

    try:
        await eventually(is_well, f"{subject.name} is well", deadline_s=deadline_s)
    except AssertionError as error:
        raise AssertionError(f"{error}: {condition(await subject.get(), 'Ready')}") from None


async def live_through(kube: Kube, client: Client, namespace: str, seed: int) -> None:
    """Raises AssertionError, with what happened."""
    story = story_of(seed, namespace)
    async with Operator(kube, namespace) as operator:
        subject = await Subject.create(client, story.manifest)
        await subject.until_ready()
        place = Place(kube=kube, client=client, operator=operator, subjects=[subject], claims=story.claims)
        tags = TAGS[:60] if subject.kind.kind == "RedisCluster" else ()
        async with under_load(subject, tags=tags) as ledgers, seen(ledgers):
            history = History(place, ledgers)
            async with history.watched():
                try:
                    await history.goes_through(story)
                    await history.ends_well()
                except AssertionError as error:
                    raise AssertionError(f"{[what for what, _ in history.happened]}: {error}") from error
        await history.loses_nothing()
