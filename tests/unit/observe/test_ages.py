"""How old a pod is and how long a process is silent, by a clock that nobody sets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest

from tdredis.kube.objects import Pod, parse_pod
from tdredis.observe.ages import Ages
from tdredis.redis.facts import Replication
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


def unsynced(link_down_s: int | None, primary: str = "10.0.0.2") -> Replication:
    return Replication(
        role="slave", offset_bytes=7, primary_host=primary, primary_port=6379, link_down_s=link_down_s, link_up=False
    )


def test_a_former_primary_is_out_of_sync_since_it_follows_not_since_it_began() -> None:
    """Redis says -1 of it, and all that is known is its uptime."""
    clocks = Clocks()
    ages = ages_of(clocks)
    ages.look([pod()])
    assert ages.not_in_sync(ADDRESS, unsynced(None)).link_down_s is None
    ages.look([pod()])

    assert ages.not_in_sync(ADDRESS, unsynced(86400)).link_down_s == 0
    clocks.pass_s(40)
    assert ages.not_in_sync(ADDRESS, unsynced(86440)).link_down_s == 40
    assert ages.not_in_sync(ADDRESS, unsynced(86440, primary="10.0.0.3")).link_down_s == 0, "its primary is another"
    assert ages.not_in_sync(ADDRESS, unsynced(None)).link_down_s is None
    clocks.pass_s(40)
    assert ages.not_in_sync(ADDRESS, unsynced(2)).link_down_s == 0


def test_who_was_out_of_sync_before_us_has_been_so_for_as_long_as_it_says() -> None:
    clocks = Clocks()
    ages = ages_of(clocks)
    ages.look([pod()])

    assert ages.not_in_sync(ADDRESS, unsynced(300)).link_down_s == 300
    clocks.pass_s(10)
    ages.look([pod()])
    assert ages.not_in_sync(ADDRESS, unsynced(310)).link_down_s == 310


def test_in_which_pod_a_process_was_is_remembered_when_the_pod_is_gone_and_not_for_ever() -> None:
    ages = ages_of(Clocks())
    ages.look([pod("u"), pod("v")])
    ages.remember("u", "run-u", "10.0.0.1:6379")
    ages.remember("v", "run-v", "10.0.0.2:6379")

    ages.look([pod("v")])
    ages.remember("v", "run-v", "10.0.0.1:6379")

    assert ages.known_pods() == {"run-u": "u", "10.0.0.2:6379": "v", "run-v": "v", "10.0.0.1:6379": "v"}
    for number in range(1000):
        ages.remember("v", f"run-{number}")
    assert len(ages.known_pods()) < 100
    assert "run-999" in ages.known_pods()


def test_when_a_disk_took_nothing_last_is_remembered_by_its_pod_whatever_process_runs_in_it() -> None:
    clocks = Clocks()
    ages = ages_of(clocks)
    ages.look([pod()])
    assert ages.write_failed_s("u", fails=False) is None
    assert ages.write_failed_s("u", fails=True) == 0.0
    clocks.pass_s(5.0)

    assert ages.write_failed_s("u", fails=False) == 5.0
    assert ages.write_failures() == {"u": 5.0}
    ages.look([pod("v")])
    assert ages.write_failures() == {}


def test_who_did_not_answer_once_is_heard_from_the_beginning_again() -> None:
    clocks = Clocks()
    ages = ages_of(clocks)
    ages.look([pod()])
    assert ages.heard_s(ADDRESS) == 0.0
    ages.answered(ADDRESS)
    clocks.pass_s(5.0)
    ages.answered(ADDRESS)
    assert ages.heard_s(ADDRESS) == 5.0

    ages.silent_since(ADDRESS)
    ages.answered(ADDRESS)

    assert ages.heard_s(ADDRESS) == 0.0


@pytest.mark.parametrize(
    ("said", "refusing_for_s"),
    [
        (["error", "error", "error"], 4),
        (["silence", "error", "error"], 2),
        (["error", "silence", "error"], 0),
        (["error", "answer", "error"], 0),
        (["error", "error", "silence"], None),
        (["silence", "silence", "silence"], None),
        (["error"], 0),
    ],
)
def test_a_process_refuses_since_it_has_given_nothing_but_errors(said: list[str], refusing_for_s: float | None) -> None:
    clocks = Clocks()
    ages = ages_of(clocks)
    for word in said:
        clocks.pass_s(2)
        ages.look([pod()])
        if word == "answer":
            ages.answered(ADDRESS)
        else:
            since = ages.refusing_since(ADDRESS, replied=word == "error")

    assert since == (None if refusing_for_s is None else clocks.now - refusing_for_s)


def test_a_pod_is_told_of_alike_in_each_look_though_two_clocks_are_never_read_in_one_instant() -> None:
    clocks = Clocks()
    ages = ages_of(clocks)
    ages.look([pod()])
    told = ages.created("u")

    for number in range(1, 100):
        clocks.pass_s(0.1)
        clocks.now += 1e-6 * (number % 7)
        ages.look([pod()])
        assert ages.created("u") == told
        assert ages.now() == pytest.approx(clocks.now, abs=0.5)


def unprobed(started: str) -> Pod:
    meta = {"name": "rat-0-0", "uid": "u", "creationTimestamp": "2026-01-02T03:04:05Z"}
    status = {"containerStatuses": [{"name": "beside", "state": {"running": {"startedAt": started}}}]}
    return parse_pod(
        msgspec.json.encode({"metadata": meta, "spec": {"containers": [{"name": "beside"}]}, "status": status})
    )


@pytest.mark.parametrize("node_is_ahead_s", [0.0, 3000.0, -3000.0])
def test_what_is_started_while_we_look_on_began_now_whatever_the_clock_of_its_node_says(node_is_ahead_s: float) -> None:
    clocks = Clocks()
    ages = ages_of(clocks)
    ages.look([])
    clocks.pass_s(60.0)
    for _ in range(2):
        began = ages.now()
        started = datetime.fromtimestamp(clocks.now + node_is_ahead_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for _ in range(3):
            ages.look([unprobed(started)])
            clocks.pass_s(2.0)
        since = ages.times("u").unproven_since
        assert since == pytest.approx(began)


def test_what_runs_when_we_come_runs_for_as_long_as_its_node_says() -> None:
    clocks = Clocks(now=MADE + 7.0)
    ages = ages_of(clocks)

    ages.look([unprobed("2026-01-02T03:04:05Z")])

    since = ages.times("u").unproven_since
    assert since is not None
    assert ages.now() - since == pytest.approx(7.0)
    assert Ages(lambda: 0.0, lambda: 0.0).times("u").unproven_since is None
