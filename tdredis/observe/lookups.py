"""Decides what is asked of the API server beside the passes: objects that no cache holds.

A pass takes the answer that there is and never waits: a server that hangs must not keep it from a Redis that died. An
answer that is another than the last brings a pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from tdredis.kube.errors import ApiError
from tdredis.planning.snapshot import Key

AT_ONCE = 8  # of all resources: the server's connections are for those who write

Fetch: TypeAlias = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Answer:
    """*found*: what was fetched last, None if nothing ever was or there is none; *error*: why it could not be fetched
    since, "" if it could. It may hold a secret.
    """

    found: object = field(default=None, repr=False)
    error: str = ""


@dataclass(slots=True)
class _Kept:
    answer: Answer | None = field(default=None, repr=False)
    asked_at: float | None = None  # the last time that it was answered, or was not to be had
    under_way: asyncio.Task[None] | None = None
    is_asked: bool = True


class Lookups:
    """*on_news* hears of a resource one of whose answers changed. *now*: any clock in seconds that is not set back."""

    def __init__(self, *, now: Callable[[], float], on_news: Callable[[Key], None] = lambda _key: None) -> None:
        self._now = now
        self._on_news = on_news
        self._kept: dict[Key, dict[Hashable, _Kept]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    def look(self, key: Key, what: Hashable, fetch: Fetch, *, fresh_s: float) -> Answer | None:
        """The last answer; None: there is none yet. One older than *fresh_s* is asked for again, beside. *fetch* raises
        ApiError, and ends within a deadline.
        """
        kept = self._kept.setdefault(key, {}).setdefault(what, _Kept())
        kept.is_asked = True
        is_old = kept.asked_at is None or self._now() >= kept.asked_at + fresh_s
        if is_old and kept.under_way is None:
            kept.under_way = asyncio.create_task(self._refresh(key, kept, fetch))
        return kept.answer

    def peek(self, key: Key, what: Hashable) -> Answer | None:
        """As `look`, and nobody is asked."""
        kept = self._kept.get(key, {}).get(what)
        return kept.answer if kept else None

    async def wait(self, key: Key, whats: Iterable[Hashable], timeout_s: float) -> None:
        """Until all of *whats* that are under way are answered, or *timeout_s* are over."""
        mine = self._kept.get(key, {})
        tasks = {kept.under_way for what in whats if (kept := mine.get(what)) is not None and kept.under_way}
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    async def _refresh(self, key: Key, kept: _Kept, fetch: Fetch) -> None:
        before = kept.answer
        try:
            async with self._room:
                kept.answer = Answer(found=await fetch())
        except ApiError as error:
            kept.answer = Answer(found=before.found if before else None, error=str(error))
        finally:
            kept.asked_at = self._now()
            kept.under_way = None
        # The words of an error differ each time: that there is one is the news.
        if before is None or (before.found, bool(before.error)) != (kept.answer.found, bool(kept.answer.error)):
            self._on_news(key)

    def drop(self, key: Key) -> None:
        """The resource is gone."""
        for kept in self._kept.pop(key, {}).values():
            if kept.under_way is not None:
                kept.under_way.cancel()

    @contextmanager
    def only_asked(self, key: Key) -> Iterator[None]:
        """What is not asked for within, nobody needs any more: passwords are among it."""
        for kept in self._kept.get(key, {}).values():
            kept.is_asked = False
        yield
        mine = self._kept.get(key, {})
        for what in [each for each, kept in mine.items() if not kept.is_asked]:
            kept = mine.pop(what)
            if kept.under_way is not None:
                kept.under_way.cancel()

    async def settle(self) -> None:
        """Waits for all that is under way."""
        tasks = [kept.under_way for mine in self._kept.values() for kept in mine.values() if kept.under_way]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Forgets everything, and ends what is under way."""
        tasks = [kept.under_way for mine in self._kept.values() for kept in mine.values() if kept.under_way]
        self._kept.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
