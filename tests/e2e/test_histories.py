"""Whatever is asked for, dies and is interrupted on real processes, in any order: nothing is lost that a replica had,
and what was asked for last is so in the end.
"""

from __future__ import annotations

import pytest

from bench.chaos_edits import EDITS
from tdredis.kube.client import Client
from tests.e2e.histories import DEATHS, EVENTS, INTERRUPTIONS, KINDS, live_through, story_of
from tests.e2e.needs import LOCALKUBE, SIX_NODES
from tests.e2e.world import Kube

COUNT = 20
MOST_S = 600


@pytest.mark.long
@pytest.mark.needs(LOCALKUBE, SIX_NODES)
@pytest.mark.timeout(MOST_S)
@pytest.mark.parametrize("seed", range(COUNT))
async def test_a_history_loses_nothing_and_comes_to_what_was_asked_for_last(
    kube: Kube, client: Client, namespace: str, seed: int
) -> None:
    await live_through(kube, client, namespace, seed)


def test_the_histories_have_all_kinds_of_instances_and_everything_that_happens() -> None:
    stories = [story_of(seed, "n") for seed in range(COUNT)]

    assert {story.manifest["kind"] for story in stories} == {make("n")["kind"] for make in KINDS}
    assert {story.claims for story in stories} == {True, False}
    drawn = {draw.fault for story in stories for draw in story.draws[: 2 * EVENTS]}
    assert drawn == {*EDITS, *DEATHS, *INTERRUPTIONS}
