"""All that can be wrong is told: its meaning, what the operator does and what a person can do; and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tdredis.cli.commands import diagnose
from tdredis.cli.seen import describe
from tdredis.healing import advice
from tdredis.healing.advice import advise, all_advice, render_advice
from tdredis.kube.resources import STATEFULSETS
from tdredis.planning.decide import assess, plan
from tdredis.planning.snapshot import Key, Snapshot
from tdredis.redis.facts import Unknown
from tests.unit.cli.conftest import Obj, Shell
from tests.unit.docs.test_night import GUARDS, OF_KUBERNETES, REASONS
from tests.unit.planning.simulated_cluster import SimulatedCluster
from tests.unit.planning.simulated_standby import SimulatedStandby
from tests.unit.planning.test_cluster_day_two import change, healthy
from tests.unit.planning.test_standby_plans import healthy as healthy_standby

NIGHT = Path(__file__).parents[3] / "docs/howto/night.md"
RAT = Key("RedisCluster", "redis", "redis-cluster-rat")
TOM = Key("RedisStandby", "redis", "redis-standby-tom")


def test_what_is_told_is_what_the_page_for_the_night_says() -> None:
    kept = Path(advice.__file__).with_name("advice.json").read_text()

    assert kept == render_advice(NIGHT.read_text()), "make generated"


@pytest.mark.parametrize("name", sorted(REASONS | OF_KUBERNETES | GUARDS))
def test_of_every_reason_and_guard_all_four_things_are_told(name: str) -> None:
    found = advise(name)

    assert found is not None
    assert found.means
    assert found.operator
    assert found.you
    assert found.kind == ("guard" if name in GUARDS else "reason")


def test_faults_of_the_catalogue_are_named_where_they_are_seen() -> None:
    found = advise("NoPrimary")

    assert found is not None
    assert any("a standby primary's process is killed" in fault for fault in found.faults)


def test_no_mark_of_the_page_is_left_in_what_a_terminal_shows() -> None:
    told = [text for each in all_advice() for text in (each.means, each.operator, each.you)]

    assert [text for text in told if "`" in text or "](" in text] == []


def found_in(key: Key, snapshot: Snapshot) -> Obj:
    judged = assess(snapshot)
    return diagnose.describe(key, judged, plan(judged))


def test_of_a_healthy_instance_nothing_is_told() -> None:
    for key, world in ((RAT, healthy()), (TOM, healthy_standby())):
        found = found_in(key, world.snapshot())

        assert (found["findings"], found["next"], found["phase"]) == ([], [], "Ready")
        assert "nothing is wrong" in diagnose.render(found)


def test_a_dead_primary_is_told_with_what_is_done_about_it() -> None:
    world = healthy_standby()
    world.lose(world.primaries()[0])

    found = found_in(TOM, world.snapshot())
    text = diagnose.render(found)

    first = found["findings"][0]
    assert found["phase"] != "Ready"
    assert first["kind"] == "finding"
    assert all(first[name] for name in ("reason", "seen", "means", "operator", "you"))
    for title in ("seen:", "means:", "operator:", "you:"):
        assert title in text


def test_a_process_that_is_silent_is_told_by_its_pod() -> None:
    world = healthy()
    seen = world.snapshot()
    nodes = {**seen.nodes, "redis-cluster-rat-1-1": Unknown(since=seen.now, error="no answer in 1 s")}
    found = found_in(RAT, replace(seen, nodes=nodes))

    assert found["findings"][0]["reason"] == "NoAnswer"
    assert "redis-cluster-rat-1-1" in found["findings"][0]["seen"]


def test_an_edit_that_waits_is_told_as_held() -> None:
    world = healthy()
    change(world, storageclass="another")

    found = found_in(RAT, world.snapshot())

    (held,) = [each for each in found["findings"] if each["kind"] == "held"]
    assert held["reason"] == "volumes_are_unchanged"
    assert "held: volumes_are_unchanged" in diagnose.render(found)


def test_what_is_about_to_be_done_is_told_down_to_the_commands_and_without_passwords() -> None:
    world = SimulatedCluster()
    sent: list[str] = []
    for _ in range(60):
        made, _ = world.run_pass()
        steps = [diagnose.describe_step(step) for step in made.steps]
        sent += [command for step in steps for command in step["sends"]]
        assert all(step["step"] and step["on"] and step["why"] for step in steps)
        world.settle()

    assert any(command.startswith("CLUSTER MEET") for command in sent)
    assert any(command.startswith("CLUSTER ADDSLOTS") for command in sent)


def test_a_password_that_is_sent_is_not_shown() -> None:
    world = SimulatedStandby()
    told: list[Obj] = []
    for _ in range(40):
        made, _ = world.run_pass()
        told += [diagnose.describe_step(step) for step in made.steps]
        world.settle()
    text = json.dumps(told)

    assert any("***" in command for step in told for command in step["sends"])
    assert "vault" not in text


def test_explain_as_data_has_what_its_text_has() -> None:
    world = healthy()
    change(world, image="redis:7.2")
    world.run_pass()

    found = describe(RAT, assess(world.snapshot()))

    assert found["verdict"] == "healthy"
    assert "redis:7.2" in json.dumps(found["pending"])


async def test_of_an_instance_without_an_operator_it_is_told_what_is_missing(shell: Shell, rat: Obj) -> None:
    done = await shell.type("diagnose", "redis-cluster-rat", "-o", "json")

    found = json.loads(done.out)
    assert done.code == diagnose.SOMETHING_IS_WRONG
    assert {each["reason"] for each in found["findings"]} & {"PodsMissing", "SlotsNotOwned"}
    assert [step["step"] for step in found["next"]].count("ObjectApplied") > 5


async def test_what_the_operator_would_do_is_shown_and_not_done(shell: Shell, rat: Obj) -> None:
    done = await shell.type("fix", "redis-cluster-rat", "--dry-run")

    assert done.code == 0
    assert "ObjectApplied StatefulSet redis-cluster-rat-0" in done.out
    assert await shell.client.list(STATEFULSETS) == []


async def test_a_reason_is_explained_without_a_server(shell: Shell) -> None:
    done = await shell.type(
        "diagnose", "--reason", "NoPrimary", "--reason", "copies_are_whole", "-o", "yaml", server=False
    )

    assert done.code == 0
    assert "reason: NoPrimary" in done.out
    assert "reason: copies_are_whole" in done.out


async def test_the_whole_catalogue_is_shown(shell: Shell) -> None:
    done = await shell.type("diagnose", "--catalogue", "-o", "json", server=False)

    assert {each["reason"] for each in json.loads(done.out)} == REASONS | OF_KUBERNETES | GUARDS


async def test_explain_says_what_it_would_do_as_text_and_as_data(shell: Shell, tom: Obj) -> None:
    text = await shell.type("explain", "redis-standby-tom")
    data = await shell.type("explain", "redis-standby-tom", "-o", "json")

    assert "plan:" in text.out
    assert json.loads(data.out)["plan"][0]["why"]
    assert text.code == data.code == 0
