"""Claims: a file of a pod's volume is damaged in each way that there is, and who begins again finds it so."""

from __future__ import annotations

from pathlib import Path

import pytest

from localkube.faults import BadFault
from localkube.faults.injector import Damage
from tests.localkube.faults.conftest import House, eventually

LINES = "one\ntwo\nthree\n"


async def start(house: House, script: str = "exec sleep 1000") -> Path:
    """A pod with a volume, and where that is on this machine."""
    container = {
        "name": "c",
        "image": "busybox",
        "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    await house.run("p", "", containers=[container], volumes=[{"name": "data", "emptyDir": {}}])
    folder = house.cluster.kubelet_for("node-1").volume_path("default", "p", "data")
    (folder / "nodes.conf").write_text(LINES)
    return folder


@pytest.mark.parametrize(
    ("how", "left"),
    [
        ("truncate", b"one\ntwo\n"),
        ("nuls", b"one\ntwo\n" + b"\0" * 6),
        ("last-line", b"one\ntwo\nvars\n"),
        ("garbage", b"vars\n"),
        ("delete", None),
    ],
)
async def test_a_file_is_damaged(house: House, how: Damage, left: bytes | None) -> None:
    file = await start(house) / "nodes.conf"

    house.faults.break_file("p", "data", "nodes.conf", how, size_bytes=6, text="vars")

    assert (file.read_bytes() if file.exists() else None) == left


async def test_more_than_there_is_is_all_of_it(house: House) -> None:
    file = await start(house) / "nodes.conf"

    house.faults.break_file("p", "data", "nodes.conf", "truncate", size_bytes=1000)

    assert file.read_bytes() == b""


async def test_of_several_it_is_the_last(house: House) -> None:
    folder = await start(house) / "appendonlydir"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"appendonly.aof.{number}.incr.aof").write_text(LINES)

    house.faults.break_file("p", "data", "appendonlydir/*.incr.aof", "delete")

    assert [path.name for path in folder.iterdir()] == ["appendonly.aof.1.incr.aof"]


async def test_a_container_that_is_killed_for_it_finds_the_file_broken(house: House) -> None:
    """It writes what it found at its start, and the file anew all the time: nobody damages it behind its back."""
    folder = await start(
        house, "head -c 3 /data/nodes.conf >> /data/found; while :; do echo whole > /data/nodes.conf; done"
    )

    house.faults.break_file("p", "data", "nodes.conf", "garbage", text="torn", kill="c")

    await house.until(lambda: house.restarts("p") == 1 and house.is_ready("p"))
    await eventually(lambda: found(folder, "tor"))


async def found(folder: Path, text: str) -> bool:
    return (folder / "found").read_text().endswith(text)


@pytest.mark.parametrize(
    ("volume", "file", "message"),
    [
        ("data", "absent", "there is no file absent in the volume"),
        ("data", "../../x", "is not below the volume"),
        ("data", "/etc/passwd", "is not below the volume"),
        ("other", "nodes.conf", "pod p has no volume other on node-1"),
    ],
)
async def test_what_is_not_there_is_not_broken(house: House, volume: str, file: str, message: str) -> None:
    await start(house)

    with pytest.raises(BadFault, match=message):
        house.faults.break_file("p", volume, file, "truncate")
