"""Claims about faults that this user, this machine or this volume does not allow: a sentence says why."""

from __future__ import annotations

import os

import pytest

from localkube.faults import BadFault
from localkube.faults.menu import Lose
from tests.localkube.faults.conftest import House
from tests.localkube.faults.test_volumes import IDLE, on_claim


async def test_who_is_not_root_is_told_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(BadFault, match="faults of the network need root"):
        await house.faults.begin(Lose(between=("a",)))


async def test_a_directory_of_this_machines_disk_is_not_filled(house: House) -> None:
    container = {**on_claim()["containers"][0]}
    await house.run("p", IDLE, containers=[container], volumes=[{"name": "data", "emptyDir": {}}])

    with pytest.raises(BadFault, match="volume data shares this machine's disk"):
        await house.faults.volume_filled("p", "data").__aenter__()
    with pytest.raises(BadFault, match="pod p has no volume nothing on node-1"):
        await house.faults.volume_filled("p", "nothing").__aenter__()
