"""How old a pod is and how long a process is silent, by a clock that nobody sets."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from tdredis.kube.objects import Pod, parse_pod
from tdredis.observe.ages import Ages
from tdredis.redislink.pool import Address

MADE = 1_767_323_045.0  # 2026-01-02T03:04:05Z
ADDRESS = Address("u", "10.0.0.1")
HOUR_S = 3600.0


@dataclass
class Clocks:
    """One that can be set, and one that cannot."""

    now: float = MADE
    steady: float = 50.0

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        self.steady += seconds


def pod(uid: str = "u") -> Pod:
    meta = {"name": "rat-0-0", "uid": uid, "creationTimestamp": "2026-01-02T03:04:05Z"}
    return parse_pod(msgspec.json.encode({"metadata": meta}))


def ages_of(clocks: Clocks) -> Ages:
    return Ages(lambda: clocks.now, lambda: clocks.steady)


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_clock_that_is_set_makes_nobody_older_or_younger(jump_s: float) -> None:
    clocks = Clocks()
    ages = ages_of(clocks)
    ages.look([pod()])
    ages.silent_since(ADDRESS)
    clocks.pass_s(2.0)

    clocks.now += jump_s
    ages.look([pod()])

    assert ages.now() == clocks.now
    assert ages.now() - ages.created("u") == pytest.approx(2.0)
    assert ages.now() - ages.silent_since(ADDRESS) == pytest.approx(2.0)


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_pod_that_comes_while_we_look_on_is_new_whatever_the_clock_says(jump_s: float) -> None:
    clocks = Clocks()
    ages = ages_of(clocks)
    ages.look([])
    clocks.now += jump_s
    ages.look([pod()])
    clocks.pass_s(3.0)

    assert ages.now() - ages.created("u") == pytest.approx(3.0)


def test_a_pod_that_was_there_before_us_has_the_age_that_the_server_says() -> None:
    clocks = Clocks()
    clocks.pass_s(40.0)
    ages = ages_of(clocks)
    ages.look([pod()])

    assert ages.now() - ages.created("u") == pytest.approx(40.0)


def test_silence_ends_with_an_answer_and_begins_anew() -> None:
    clocks = Clocks()
    ages = ages_of(clocks)
    ages.look([pod()])
    ages.silent_since(ADDRESS)
    clocks.pass_s(5.0)
    ages.answered(ADDRESS)

    assert ages.silent_since(ADDRESS) == ages.now()
