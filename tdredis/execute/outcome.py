"""Decides what is told of a plan that was carried out: what was done, and which failure is the one to tell."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from tdredis.execute.objects import NAMESPACE_GOES, PreconditionError, is_of_the_server, kind_of
from tdredis.kube.errors import ApiError
from tdredis.planning.steps import Step, is_object_step
from tdredis.redislink.errors import LinkError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done of a plan. *failed* is the first step that did not succeed, now or when it was last tried; *error*
    why, *kind* what of that stays the same while its words differ. *redis_failed*: a process refused.

    *retry_in_s*: until the first object that was refused is to be tried again; None: none was. *is_cut_short*: the API
    server is slow, and objects are left for another pass. *namespace_is_going*: nothing can be made any more.
    """

    done: tuple[Step, ...] = ()
    failed: Step | None = None
    error: str = ""
    kind: str = ""
    redis_failed: bool = False
    retry_in_s: float | None = None
    is_cut_short: bool = False
    namespace_is_going: bool = False


@dataclass(slots=True)
class Tally:
    """What became of a plan's steps so far."""

    done: list[Step] = field(default_factory=list)
    failures: list[tuple[Step, str, str]] = field(default_factory=list)  # with words and kind
    redis_failed: bool = False
    objects_wait: bool = False  # for another pass
    is_cut_short: bool = False
    namespace_is_going: bool = False

    def add(self, step: Step, error: Exception | None) -> None:
        """*step* was done, or failed with *error*. Raises any that the world does not answer."""
        match error:
            case None:
                log.info("step done", step=str(step), why=step.why)
                self.done.append(step)
            case ApiError() | PreconditionError() | LinkError():
                is_object = is_object_step(step)
                self.redis_failed = self.redis_failed or not is_object
                if is_object and not isinstance(error, LinkError):
                    self.objects_wait = self.objects_wait or is_of_the_server(error)
                self.still_refused(step, f"{step}: {error}", kind_of(error))
                if not self.namespace_is_going:
                    log.warning("step failed", step=str(step), error=str(error))
            case _:
                raise error

    def still_refused(self, step: Step, words: str, kind: str) -> None:
        if kind == NAMESPACE_GOES:
            self.namespace_is_going = self.objects_wait = True
        elif not any(str(step) == str(before) for before, *_ in self.failures):
            self.failures.append((step, words, kind))

    def outcome(self, retry_in_s: float | None) -> Outcome:
        failed, error, kind = self.failures[0] if self.failures else (None, "", "")
        return Outcome(
            done=tuple(self.done),
            failed=failed,
            error=error,
            kind=kind,
            redis_failed=self.redis_failed,
            retry_in_s=retry_in_s,
            is_cut_short=self.is_cut_short,
            namespace_is_going=self.namespace_is_going,
        )
