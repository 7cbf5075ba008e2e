"""Claims about faults that this user, this machine or this volume does not allow: a sentence says why."""

from __future__ import annotations

import os

import pytest

from localkube.cluster import Cluster
from localkube.faults import BadFault, firewall
from localkube.faults.menu import Lose, RefuseGone
from tests.localkube.faults.conftest import House
from tests.localkube.faults.test_volumes import IDLE, on_claim


async def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Cluster(nodes=1) as cluster:
        await cluster.faults.begin(RefuseGone()) if os.geteuid() == 0 else None  # no packet rule stands already
        monkeypatch.setattr(os, "geteuid", lambda: 1000)

        with pytest.raises(BadFault, match="faults of the network need root"):
            await cluster.faults.begin(Lose(between=("a",)))
        monkeypatch.undo()


async def test_silence_that_cannot_be_is_refused_only_if_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(nodes=1, gone_addresses="silent")
    monkeypatch.setattr(firewall, "LIBRARY", "libnone.so.1")

    with pytest.raises(RuntimeError, match=r"addresses that are gone cannot be silent: .*(nftables|root)"):
        await cluster.start()
    await cluster.stop()
    async with Cluster(nodes=1):
        pass


async def test_a_directory_of_this_machines_disk_is_not_filled(house: House) -> None:
    container = {**on_claim()["containers"][0]}
    await house.run("p", IDLE, containers=[container], volumes=[{"name": "data", "emptyDir": {}}])

    with pytest.raises(BadFault, match="volume data shares this machine's disk"):
        await house.faults.volume_filled("p", "data").__aenter__()
    with pytest.raises(BadFault, match="pod p has no volume nothing on node-1"):
        await house.faults.volume_filled("p", "nothing").__aenter__()
