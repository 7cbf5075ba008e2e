"""Where pods are not reached from here, the operator's pod is asked to look; and nowhere else is anything asked."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from localkube.errors import ApiError
from tdredis.cli import relay
from tdredis.cli.parser import PROGRAM, build_parser
from tdredis.cli.pods import Pod
from tdredis.cli.relay import (
    RELAY,
    find_operators,
    image_map_of,
    is_of_another_version,
    is_reached,
    operator_images,
    relay_words,
)
from tdredis.kube.executing import Ran
from tdredis.kube.resources import LEASES, NAMESPACES, PODS
from tdredis.planning.snapshot import Key
from tests.kit.servers import HOST, free_port
from tests.unit.cli.conftest import Obj, Shell

TOM = Key("RedisStandby", "redis", "tom")
LABELS = {"app.kubernetes.io/name": "td-redis-operator"}


def pod(ip: str) -> Pod:
    return Pod(
        name="tom-0", component="redis", shard="tom", role="primary", containers=("redis",), running=True, ready="1/1",
        restarts=0, node="n", ip=ip, trouble="",
    )  # fmt: skip


async def test_a_pod_that_takes_a_connection_is_reached() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, 0)
    async with server:
        assert await is_reached([pod(HOST)], server.sockets[0].getsockname()[1])


async def test_a_pod_that_refuses_one_is_reached() -> None:
    assert await is_reached([pod(HOST)], free_port())


async def test_a_pod_that_no_packet_comes_to_is_not_reached() -> None:
    """Its queue of connections is full, so that the kernel leaves every other without an answer."""
    with socket.socket() as listening, ExitStack() as waiting:
        listening.bind((HOST, 0))
        listening.listen(0)
        for _ in range(4):
            each = waiting.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(listening.getsockname())

        assert not await is_reached([pod(HOST)], listening.getsockname()[1])


def operator(name: str, *args: str, running: bool = True) -> Obj:
    container = {"name": "operator", "image": "td-redis-operator:0.1.0", "args": ["run", *args]}
    state: dict[str, Any] = {"running": {}} if running else {"waiting": {}}
    return {
        "metadata": {"name": name, "namespace": "td-redis-operator", "labels": LABELS},
        "spec": {"containers": [container]},
        "status": {"containerStatuses": [{"name": "operator", "state": state}]},
    }


async def test_the_operator_that_looks_after_the_namespace_is_found(shell: Shell) -> None:
    await shell.client.create(NAMESPACES, {"metadata": {"name": "td-redis-operator"}})
    for made in (
        operator("a-waits", running=False),
        operator("b-of-others", "--namespace", "other"),
        operator("c-of-some", "--namespaces=other,redis"),
        operator("d-of-all"),
    ):
        await shell.client.create(PODS, {name: part for name, part in made.items() if name != "status"})
        await shell.client.patch(
            PODS, "td-redis-operator", made["metadata"]["name"], {"status": made["status"]}, subresource="status"
        )

    found = await find_operators(shell.client, "redis")

    assert [each["metadata"]["name"] for each in found] == ["c-of-some", "d-of-all"]


async def test_where_its_labels_are_others_it_is_found_by_its_lease(shell: Shell) -> None:
    await shell.client.create(NAMESPACES, {"metadata": {"name": "td-redis-operator"}})
    made = operator("mine-0")
    metadata = {"name": "mine-0", "namespace": "td-redis-operator", "labels": {"app.kubernetes.io/name": "mine"}}
    await shell.client.create(PODS, {"metadata": metadata, "spec": made["spec"]})  # type: ignore[dict-item]
    await shell.client.patch(PODS, "td-redis-operator", "mine-0", {"status": made["status"]}, subresource="status")
    lease = {"name": "mine-td-redis-operator", "namespace": "td-redis-operator"}
    await shell.client.create(LEASES, {"metadata": lease, "spec": {"holderIdentity": "mine-0"}})  # type: ignore[dict-item]

    found = await find_operators(shell.client, "redis")

    assert [each["metadata"]["name"] for each in found] == ["mine-0"]


async def test_a_labelled_one_that_looks_after_others_does_not_hide_the_one_of_a_lease(shell: Shell) -> None:
    await shell.client.create(NAMESPACES, {"metadata": {"name": "td-redis-operator"}})
    of_others, own = operator("of-others", "--namespace", "other"), operator("mine-0")
    own["metadata"]["labels"] = {"app.kubernetes.io/name": "mine"}
    for made in (of_others, own):
        await shell.client.create(PODS, {"metadata": made["metadata"], "spec": made["spec"]})
        name = made["metadata"]["name"]
        await shell.client.patch(PODS, "td-redis-operator", name, {"status": made["status"]}, subresource="status")
    lease = {"name": "mine-td-redis-operator", "namespace": "td-redis-operator"}
    await shell.client.create(LEASES, {"metadata": lease, "spec": {"holderIdentity": "mine-0"}})  # type: ignore[dict-item]

    assert [each["metadata"]["name"] for each in await find_operators(shell.client, "redis")] == ["mine-0"]


@pytest.mark.parametrize(
    ("code", "err", "is_other"),
    [
        (127, b"tdredis is not in this container", True),
        (2, b"usage: tdredis [-h] COMMAND ...\ntdredis: error: invalid choice: 'fix'", True),
        (2, b"tdredis: there is no redisstandby/tom", False),
        (1, b"", False),
        (0, b"", False),
    ],
)
def test_a_program_that_does_not_know_the_words_is_of_another_version(code: int, err: bytes, is_other: bool) -> None:
    assert is_of_another_version(Ran(code, b"", err)) is is_other


async def test_where_the_operator_is_of_another_version_it_is_looked_from_here(
    shell: Shell, tom: Obj, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And said so: what is seen from here is not what the operator sees."""

    async def asked(*_: object) -> Ran:
        return Ran(2, b"", b"usage: tdredis [-h] COMMAND ...")

    async def is_reached(*_: object) -> bool:
        return False

    async def pods(*_: object) -> list[Pod]:
        return [pod("192.0.2.1")]

    monkeypatch.setattr(relay, "_relay", asked)
    monkeypatch.setattr(relay, "is_reached", is_reached)
    monkeypatch.setattr(relay, "list_pods", pods)

    done = await shell.type("diagnose", "redis-standby-tom", "-o", "json")

    assert json.loads(done.out)["findings"]
    assert "it runs another version" in done.err


async def test_the_images_that_the_operator_was_told_are_meant_unless_others_are_given(shell: Shell) -> None:
    made = operator("own-0", "--image-map", "a=b", "--image-map=c/=d/")
    metadata = {**made["metadata"], "namespace": "redis"}
    await shell.client.create(PODS, {"metadata": metadata, "spec": made["spec"]})
    await shell.client.patch(PODS, "redis", "own-0", {"status": made["status"]}, subresource="status")

    assert await operator_images(shell.client, "redis", ()) == {"a": "b", "c/": "d/"}
    assert await operator_images(shell.client, "redis", ("e=f",)) == {"e": "f"}
    assert await operator_images(shell.client, "other", ()) == {"a": "b", "c/": "d/"}


async def test_with_rights_in_some_namespaces_it_is_looked_for_there(shell: Shell) -> None:
    made = operator("own-0")
    metadata = {**made["metadata"], "namespace": "redis"}
    await shell.client.create(PODS, {"metadata": metadata, "spec": made["spec"]})
    await shell.client.patch(PODS, "redis", "own-0", {"status": made["status"]}, subresource="status")

    async def around(path, request, answer):  # type: ignore[no-untyped-def]  # the server's own callback
        if path == "/api/v1/pods":
            raise ApiError(403, "Forbidden", "pods is forbidden at the cluster scope")
        return await answer()

    shell.server.around = around

    assert [each["metadata"]["name"] for each in await find_operators(shell.client, "redis")] == ["own-0"]


def test_it_is_told_to_look_from_where_it_is_and_with_its_own_images() -> None:
    chosen = build_parser(PROGRAM).parse_args(["fix", "--dry-run", "-o", "json", "redisstandby/tom"])
    container = operator("a", "--image-map", "a=b", "--image-map=c/=d/")["spec"]["containers"][0]

    words = relay_words("fix", TOM, chosen, image_map_of(container))

    assert sorted(image_map_of(container)) == ["a=b", "c/=d/"]
    again = build_parser(PROGRAM).parse_args(words)
    assert (again.here, again.dry_run, again.output, again.namespace, again.resource) == (
        True,
        True,
        "json",
        "redis",
        "redisstandby/tom",
    )
    assert sorted(again.image_map) == ["a=b", "c/=d/"]


@pytest.mark.parametrize(("place", "code"), [("bin", 0), ("elsewhere", 127)])
def test_the_program_is_found_in_the_container_or_said_to_be_missing(tmp_path: Path, place: str, code: int) -> None:
    folder = tmp_path / place
    folder.mkdir()
    program = folder / "tdredis"
    program.write_text("#!/bin/sh\nprintf '%s|' \"$@\"\n")
    program.chmod(0o755)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"

    done = subprocess.run(
        ["sh", "-c", RELAY, "tdredis", "a b", "c"],
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert (done.returncode, done.stdout) == (code, "" if code else "a b|c|")
    assert ("is not in this container" in done.stderr) is bool(code)


@pytest.mark.parametrize("command", ["explain", "diagnose", "fix"])
def test_every_command_that_looks_can_be_told_to_look_from_here(command: str) -> None:
    assert build_parser(PROGRAM).parse_args([command, "rdsb/tom", "--here"]).here


async def test_of_pods_that_do_not_run_nothing_is_asked_of_anybody(shell: Shell, tom: Obj) -> None:
    done = await shell.type("diagnose", "redis-standby-tom", "-o", "json")

    assert json.loads(done.out)["findings"]
    assert done.err == ""
