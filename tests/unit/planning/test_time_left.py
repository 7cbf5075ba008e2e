"""How long a change still takes is said where a pace was seen, and nowhere else."""

from __future__ import annotations

import pytest

from tdredis.planning.pending import time_left_s
from tdredis.planning.sentences import roughly

NOW = 10_000.0


@pytest.mark.parametrize(
    ("done", "lacking", "expected"),
    [
        pytest.param([], [0.0, 0.0, 0.0], None, id="none was recreated"),
        pytest.param([9_990.0], [0.0, 0.0], None, id="one alone shows no pace"),
        pytest.param([9_900.0, 9_960.0], [0.0, 0.0, 0.0], 180.0, id="two, a minute apart"),
        pytest.param([9_880.0, 9_900.0, 9_980.0], [0.0], 50.0, id="three: their average"),
        pytest.param([5.0, 9_980.0], [10.0, 10.0], None, id="one had it before all others were created"),
        pytest.param([5.0, 9_960.0, 9_980.0], [10.0, 10.0], 40.0, id="which says nothing of the others' pace"),
        pytest.param([1_000.0, 1_060.0], [0.0, 0.0], None, id="nothing went on for long: it waits"),
        pytest.param([9_940.0, 9_960.0], [], None, id="all have it"),
    ],
)
def test_the_pace_is_that_of_pods_that_were_recreated_for_it(
    done: list[float], lacking: list[float], expected: float | None
) -> None:
    assert time_left_s(NOW, done=done, lacking=lacking) == expected


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1, "about 10 s"), (44, "about 40 s"), (89, "about 90 s"), (180, "about 3 min"), (7200, "about 2 h")],
)
def test_it_is_said_roughly(seconds: float, said: str) -> None:
    assert roughly(seconds) == said
