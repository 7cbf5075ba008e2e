"""A value is refused beforehand where the engine itself refuses to start with it, in its words, and nowhere else."""

from __future__ import annotations

import asyncio
import re
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdredis.redis.parameter_table import ENGINES, VALUES
from tdredis.redis.parameter_values import database_bytes, refused_by_all, wanted_of
from tests.engines.scratch import judge

NAMES = sorted({line.split()[0] for line in VALUES.splitlines()})
PROGRAM = shutil.which("redis-server") or ""
VERSION = "redis 7.0.15"
# At and beside every limit that any of them has, and in every form in which one might be written.
NUMBERS = (
    -2,
    -1,
    0,
    1,
    2,
    127,
    128,
    129,
    256,
    257,
    65535,
    65536,
    16777216,
    16777217,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
)
TEXTS = (
    *("", "yes", "no", "YES", "No", "local", "LOCAL", "true", "on", "many", "1.0", "1e3", "0x10", "1kb", "50%"),
    *(
        "-0",
        "+1",
        "01",
        "00",
        "--1",
        "-",
        " 1",
        "1 ",
        "1 2",
        "yes no",
        "yes,no",
        str(2**63),
        str(-(2**63) - 1),
        "9" * 40,
    ),
    *('"', "'", "a\\b", "#", "no, yes, local", "no,"),
)


def known() -> list[str]:
    return [name for name in NAMES if wanted_of(VERSION, name)]


async def judged(values: list[tuple[str, str]]) -> list[str]:
    found: list[str] = []
    for at in range(0, len(values), 4):
        found += await asyncio.gather(*(judge(PROGRAM, *each) for each in values[at : at + 4]))
    return found


def ours(values: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    return {each: refused_by_all(frozenset([VERSION]), *each) for each in values}


async def test_limits_and_odd_forms_are_judged_as_the_engine_of_this_machine_does() -> None:
    """One parameter of each kind: the others of a kind have the same words."""
    kinds = {wanted_of(VERSION, name): name for name in known()}
    values = [(name, text) for name in kinds.values() for text in (*TEXTS, *map(str, NUMBERS))]
    near = [each for each in values if each[1] in TEXTS or _is_near(*each)]

    assert ours(near) == dict(zip(near, await judged(near), strict=True))


def _is_near(name: str, text: str) -> bool:
    """To a limit of it."""
    limits = [int(word) for word in re.findall(r"-?\d+", wanted_of(VERSION, name))]
    return any(abs(int(text) - limit) < 2 for limit in limits)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(known()),
            st.one_of(
                st.integers(-(2**64), 2**64).map(str),
                st.sampled_from(TEXTS),
                st.text("0123456789yesno-+ .kmb", max_size=8),
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_value_is_judged_as_the_engine_of_this_machine_does(values: list[tuple[str, str]]) -> None:
    assert list(ours(values).values()) == asyncio.run(judged(list(ours(values))))


@pytest.mark.parametrize(
    ("engines", "name", "value", "words"),
    [
        (["redis 7.0.15"], "io-threads", "129", "argument must be between 1 and 128 inclusive"),
        (["redis 7.0.99"], "io-threads", "129", "argument must be between 1 and 128 inclusive"),  # a later patch
        (["valkey 8.1.1"], "io-threads", "129", ""),
        (["valkey 8.1.1"], "io-threads", "257", "argument must be between 1 and 256 inclusive"),
        (["valkey 8.0.1", "valkey 8.1.1"], "io-threads", "129", ""),  # one of them takes it
        (["redis 9.0.0"], "io-threads", "129", "argument must be between 1 and 128 inclusive"),
        (["valkey 9.1.2"], "io-threads", "1000", ""),  # live there: it judges while it runs
        (["redis 7.0.15"], "rdma-rx-size", "1", ""),  # it knows no such parameter, and says so
        (["redis 7.0.15"], "server_cpulist", "anything at all", ""),
        ([], "databases", "many", "argument couldn't be parsed into an integer"),
        ([], "io-threads", "200", ""),  # who knows which engine it will be
        ([], "enable-debug-command", "maybe", "argument(s) must be one of the following: no, yes, local"),
        (["keydb 6.3.4"], "rdbchecksum", "1", "argument must be 'yes' or 'no'"),
    ],
)
def test_who_judges(engines: list[str], name: str, value: str, words: str) -> None:
    assert refused_by_all(frozenset(engines), name, value) == words


def test_every_engine_s_words_are_understood() -> None:
    for engine in ENGINES:
        for name in NAMES:
            if wanted_of(engine, name):
                assert refused_by_all(frozenset([engine]), name, "no such value"), (engine, name)


def test_a_database_costs_what_the_leanest_engine_in_question_says() -> None:
    assert database_bytes(frozenset(["redis 7.0.15"])) > 400
    assert database_bytes(frozenset(["redis 7.0.15", "valkey 9.1.2"])) == database_bytes(frozenset()) == 8
