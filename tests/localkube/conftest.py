"""Decides which address block a test has: one that no other test run or localkube of this machine uses meanwhile."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from localkube.cluster import BLOCKS, claim_block

# Each test begins with another one: what an earlier test left standing never answers in its place.
_numbers = itertools.count(os.getpid())


@pytest.fixture
def block() -> Iterator[int]:
    for number in itertools.islice(_numbers, len(BLOCKS)):
        try:
            claim, claimed = claim_block(BLOCKS[number % len(BLOCKS)])
        except RuntimeError:
            continue  # somebody else's
        with claim:
            yield claimed
        return
    pytest.fail("every address block is in use")
