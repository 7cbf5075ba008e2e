"""Decides how long a pass waits for each process, and what it means that one does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from msgspec.structs import replace

from tdredis.observe.ages import Ages
from tdredis.observe.questions import (
    CLUSTER_NODE,
    CLUSTER_NODE_WITHOUT_VIEW,
    RESP3_LISTENER,
    Questions,
    slot_questions,
    with_settings,
)
from tdredis.observe.views import Views
from tdredis.planning.identity import names_of
from tdredis.planning.snapshot import Key
from tdredis.redis.facts import NodeFacts, ProxyFacts, Unknown
from tdredis.redis.slots import NO_SLOTS, SlotSet, keys_into
from tdredis.redis.views import ClusterView
from tdredis.redislink.errors import LinkError, NoAnswer, NoFreeConnection, Refused, Unreachable
from tdredis.redislink.pool import Address, LinkPool

# Proxies are asked last, and a pass waits for them: not for long, unless one has been silent for so long that it is
# about to be condemned. Where Redis is slow every proxy is, and none of them is to blame.
ASK_PROXY_S, PROXY_IS_LATE_S, ASK_LATE_PROXY_S = 0.25, 2.0, 1.5
ASK_S = 1.0  # a healthy Redis answers INFO in a millisecond; one that needs a second is Unknown for this pass
MOST_OPEN_SLOTS = 64  # looked at in one pass: when these are closed, the next are
# Who falls silent does not keep the others' news waiting so long again while a vote may be near; later it does.
ASK_AGAIN_S, VOTE_IS_NEAR_S = 0.3, 15.0
FactsT = TypeVar("FactsT")


class Asker:
    """Asks the processes of resources. Remembers since when one is silent or not in sync, and what nodes believed."""

    def __init__(self, links: LinkPool[Key], *, now: Callable[[], float], steady: Callable[[], float]) -> None:
        """*now*: epoch seconds. *steady*: seconds of a clock that does not jump."""
        self._links = links
        self._now = now
        self._steady = steady
        self._ages: dict[Key, Ages] = {}
        self._views: dict[Key, Views] = {}
        self._hurries: set[Key] = set()

    def ages(self, key: Key) -> Ages:
        found = self._ages.get(key)
        if found is None:
            found = self._ages[key] = Ages(self._now, self._steady)
        return found

    def begin(self, key: Key, *, is_urgent: bool) -> None:
        """A pass begins. *is_urgent*: a process of *key* died, and whoever was silent before is not waited for."""
        (self._hurries.add if is_urgent else self._hurries.discard)(key)

    def drop(self, key: Key) -> None:
        """The resource is gone."""
        self._ages.pop(key, None)
        self._views.pop(key, None)
        self._hurries.discard(key)

    def forget(self) -> None:
        """Another has led meanwhile."""
        self._ages.clear()
        self._views.clear()
        self._hurries.clear()

    async def with_slot_keys(
        self, key: Key, addresses: Mapping[str, Address], nodes: dict[str, NodeFacts | Unknown]
    ) -> dict[str, NodeFacts | Unknown]:
        """While slots are open: *nodes* with their keys in them. One that does not answer that has not said it."""
        views = (node.view for node in nodes.values() if isinstance(node, NodeFacts) and node.view is not None)
        moving = [view.me for view in views if view.me.open_slots]
        found = {slot for me in moving for slot in (*me.migrating, *me.importing)}
        if not found:
            return nodes
        asked = {pod: addresses[pod] for pod, node in nodes.items() if isinstance(node, NodeFacts)}
        counts = await self.ask_all(key, asked, slot_questions(sorted(found)[:MOST_OPEN_SLOTS]))
        return {
            pod: replace(node, slot_keys=said) if isinstance(node, NodeFacts) and isinstance(said, dict) else node
            for pod, node, said in ((pod, node, counts.get(pod)) for pod, node in nodes.items())
        }

    async def ask_nodes(
        self, key: Key, addresses: Mapping[str, Address], questions: Questions[NodeFacts], settings: Sequence[str] = ()
    ) -> dict[str, NodeFacts | Unknown]:
        """As `ask_all`, of Redis processes, and of their parameters *settings*."""
        nodes = await self.ask_all(key, addresses, with_settings(questions, settings))
        return self._with_what_is_known(key, addresses, nodes)

    def _with_what_is_known(
        self,
        key: Key,
        addresses: Mapping[str, Address],
        nodes: Mapping[str, NodeFacts | Unknown],
        views: Mapping[Address, ClusterView] = MappingProxyType({}),
    ) -> dict[str, NodeFacts | Unknown]:
        """*nodes* with what they do not say themselves. *views*: of those that were not asked for theirs."""
        ages, found = self.ages(key), dict(nodes)
        for pod, node in nodes.items():
            if isinstance(node, NodeFacts):
                address = addresses[pod]
                found[pod] = known = replace(
                    node,
                    view=views.get(address, node.view),
                    replication=ages.not_in_sync(address, node.replication),
                    write_failed_s=ages.write_failed_s(address.uid, fails=bool(node.write_error)),
                    heard_s=ages.heard_s(address),
                    accepted_password=self._links.accepted(key, address),
                )
                ages.remember(address.uid, *names_of(known, address.ip))
        return found

    async def ask_cluster(
        self, key: Key, addresses: Mapping[str, Address], settings: Sequence[str] = (), *, at_peace: bool
    ) -> tuple[dict[str, NodeFacts | Unknown], bool]:
        """As `ask_nodes`, of cluster nodes, and whether some views are of passes before."""
        views = self._views.setdefault(key, Views())
        due = views.due(addresses.values())
        if at_peace and len(due) < len(addresses):
            asked = {pod: address for pod, address in addresses.items() if address in due}
            others = {pod: address for pod, address in addresses.items() if address not in due}
            some, rest = await asyncio.gather(
                self.ask_all(key, asked, with_settings(CLUSTER_NODE, settings)),
                self.ask_all(key, others, with_settings(CLUSTER_NODE_WITHOUT_VIEW, settings)),
            )
            answers = {pod: some[pod] if pod in some else rest[pod] for pod in addresses}
            kept = views.complete({address: answers[pod] for pod, address in addresses.items()})
            if kept is not None:
                return self._with_what_is_known(key, addresses, answers, kept), True
        nodes = await self.ask_all(key, addresses, with_settings(CLUSTER_NODE, settings))
        views.learn((address, nodes[pod]) for pod, address in addresses.items())
        return self._with_what_is_known(key, addresses, nodes), False

    async def ask_proxies(
        self,
        key: Key,
        doors: Mapping[str, Address],
        reading: Questions[ProxyFacts],
        resp3_doors: Mapping[str, Address] = MappingProxyType({}),
    ) -> dict[str, ProxyFacts | Unknown]:
        """As `ask_all`, of proxies. *resp3_doors*: where those of them that may speak RESP3 would do so."""
        ages = self.ages(key)
        late = {pod for pod, door in doors.items() if (ages.silent_for_s(door) or 0.0) >= PROXY_IS_LATE_S}

        async def ask(pod: str, door: Address) -> ProxyFacts | Unknown:
            timeout_s = ASK_LATE_PROXY_S if pod in late else ASK_PROXY_S
            asking = self._ask(key, door, reading, timeout_s, again_s=timeout_s)
            async with asyncio.TaskGroup() as both:
                reads = both.create_task(asking)
                resp3 = both.create_task(self._speaks_resp3(key, resp3_doors.get(pod)))
            read = reads.result()
            return ProxyFacts(resp3=resp3.result()) if isinstance(read, ProxyFacts) else read

        answers = await asyncio.gather(*(ask(pod, door) for pod, door in doors.items()))
        return dict(zip(doors, answers, strict=True))

    async def _speaks_resp3(self, key: Key, door: Address | None) -> bool | None:
        """None: it did not say."""
        if door is None:
            return None
        try:
            return RESP3_LISTENER.parse(
                await self._links.ask(key, door, RESP3_LISTENER.commands, timeout_s=ASK_PROXY_S)
            )
        except Unreachable as error:
            return False if error.refused else None
        except LinkError:
            return None

    async def ask_all(
        self,
        key: Key,
        addresses: Mapping[str, Address],
        questions: Questions[FactsT],
    ) -> dict[str, FactsT | Unknown]:
        """One answer or Unknown for every pod whose process runs."""

        async def ask(address: Address) -> FactsT | Unknown:
            return await self._ask(key, address, questions, ASK_S, again_s=ASK_AGAIN_S)

        answers = await asyncio.gather(*map(ask, addresses.values()))
        return dict(zip(addresses, answers, strict=True))

    async def _ask(
        self,
        key: Key,
        address: Address,
        questions: Questions[FactsT],
        timeout_s: float,
        *,
        again_s: float,
    ) -> FactsT | Unknown:
        """The process's facts, or since when and why there are none. *again_s*: as long for who fell silent lately, or
        is silent while a pass is urgent.
        """
        ages = self.ages(key)
        silent_s = ages.silent_for_s(address)
        if silent_s is not None and (silent_s < VOTE_IS_NEAR_S or key in self._hurries):
            timeout_s = min(timeout_s, again_s)
        try:
            replies = await self._links.ask(key, address, questions.commands, timeout_s=timeout_s)
            facts = questions.parse(replies)
        except (LinkError, ValueError, KeyError) as error:
            since = ages.silent_since(address)
            return Unknown(
                since=since,
                error=_words(error),
                refused=isinstance(error, Unreachable) and error.refused,
                full=isinstance(error, NoFreeConnection),
                wrong_password=isinstance(error, Refused) and error.is_of_the_password,
                refusing_since=ages.refusing_since(address, replied=isinstance(error, Refused)),
            )
        ages.answered(address)
        return facts


def _words(error: Exception) -> str:
    """For people. How long we waited differs from pass to pass, and would make each a new status."""
    match error:
        case NoAnswer():
            return "no answer in time"
        case NoFreeConnection():
            return f"it has no free connection, maxclients is used up: {error}"
        case _:
            return str(error) or type(error).__name__


def keys_to_read(nodes: Iterable[NodeFacts | Unknown]) -> tuple[str, ...]:
    """A key of each primary's slots; none while a node does not answer or two own the same slot.

    A proxy waits for a dead Redis, and whoever asks it waits too: a failover must not.
    """
    parts: list[SlotSet] = []
    owned = NO_SLOTS
    for node in nodes:
        if isinstance(node, Unknown):
            return ()
        mine = node.view.me.slots if node.view else NO_SLOTS
        if owned & mine:
            return ()
        if mine:
            parts.append(mine)
        owned |= mine
    return keys_into(tuple(parts))
