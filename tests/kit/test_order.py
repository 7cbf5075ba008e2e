"""In which order several workers begin with the tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.conftest import side_by_side


def lots(tests: Sequence[str], workers: int) -> Iterator[Sequence[str]]:
    """What each worker is given first. Source: xdist, WorkStealingScheduling.check_schedule."""
    start = 0
    for others in range(workers, 0, -1):
        end = start + (len(tests) - start) // others
        yield tests[start:end]
        start = end


def named(kind: str, count: int) -> list[str]:
    return [f"{kind}{number}" for number in range(count)]


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize(("waits", "computes"), [(165, 6000), (7, 40), (4, 60)])
def test_all_workers_but_one_begin_with_their_share_of_what_waits(workers: int, waits: int, computes: int) -> None:
    *others, last = lots(side_by_side(named("w", waits), named("c", computes), workers), workers)

    shares = [[test[0] for test in lot].count("w") for lot in others]
    assert [sorted(lot, key=lambda test: test[0] == "c") == list(lot) for lot in others] == [True] * (workers - 1)
    assert sum(shares) == waits
    assert max(shares) - min(shares) <= workers - 1
    assert all(test.startswith("c") for test in last)


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize(("waits", "computes"), [(165, 6000), (100, 3), (3, 1), (0, 5), (5, 0), (0, 0)])
def test_each_is_there_once_in_the_order_of_its_sort(workers: int, waits: int, computes: int) -> None:
    waiting, computing = named("w", waits), named("c", computes)

    order = side_by_side(waiting, computing, workers)

    assert [test for test in order if test in waiting] == waiting
    assert [test for test in order if test in computing] == computing
    assert len(order) == waits + computes
