"""Claims about names, values and command lines of a container, without starting one."""

from __future__ import annotations

from typing import Any

import pytest

from localkube.kubelet.addresses import AddressAwaited, AddressBook, Addresses, AddressesSpent
from localkube.kubelet.backoff import Backoff, Pace
from localkube.kubelet.environment import ConfigProblem, build_command, build_env, build_service_links, expand
from localkube.kubelet.fields import parse_quantity, read_field, read_resource
from localkube.kubelet.sandbox import Identity, Mount, Sandbox, build_bwrap_argv

KEY, OTHER = ("default", "p"), ("other", "q")
POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "default", "labels": {"b": 'say "x"', "a": "1"}},
    "spec": {"nodeName": "node-1"},
    "status": {"podIP": "127.64.1.2", "podIPs": [{"ip": "127.64.1.2"}], "hostIP": "127.64.1.1"},
}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [("$(A)b", "ab"), ("$$(A)", "$(A)"), ("$(NONE)", "$(NONE)"), ("$A ${A}", "$A ${A}"), ("$$$(A)", "$a")],
)
def test_references_expand_as_documented(text: str, expanded: str) -> None:
    assert expand(text, {"A": "a"}) == expanded


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, ["entry", "cmd"]),
        ({"args": ["x"]}, ["entry", "x"]),
        ({"command": ["mine"]}, ["mine"]),
        ({"command": ["mine"], "args": ["$(A)"]}, ["mine", "a"]),
    ],
)
def test_command_and_args_replace_the_images_own(spec: dict[str, Any], words: list[str]) -> None:
    assert build_command(spec, ("entry",), ("cmd",), {"A": "a"}) == words


def test_a_later_variable_sees_only_earlier_ones() -> None:
    container = {"env": [{"name": "A", "value": "$(B)"}, {"name": "B", "value": "b"}, {"name": "C", "value": "$(B)"}]}

    env = build_env(container, POD, lambda *_: None, inherited={"I": "i"}, services={"S": "s"}, allocatable={})

    assert env == {"I": "i", "S": "s", "A": "$(B)", "B": "b", "C": "b"}


def test_a_missing_key_is_named() -> None:
    container = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "word"}}}]}

    with pytest.raises(ConfigProblem, match="couldn't find key word in Secret default/sec"):
        build_env(container, POD, lambda *_: {"data": {}}, inherited={}, services={}, allocatable={})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.labels['a']", "1"),
        ("metadata.labels", 'a="1"\nb="say \\"x\\""'),
        ("status.podIP", "127.64.1.2"),
        ("status.podIPs", "127.64.1.2"),
        ("status.hostIP", "127.64.1.1"),
    ],
)
def test_fields_of_a_pod(path: str, value: str) -> None:
    assert read_field(POD, path) == value


def test_resources_come_in_units_of_the_divisor_rounded_up() -> None:
    container = {"resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}}}

    assert read_resource(container, {}, {"resource": "limits.cpu"}) == "2"
    assert read_resource(container, {}, {"resource": "limits.cpu", "divisor": "1m"}) == "1500"
    assert read_resource(container, {}, {"resource": "limits.memory", "divisor": "1Mi"}) == "1024"
    assert read_resource({}, {"memory": "64Gi"}, {"resource": "limits.memory", "divisor": "1Gi"}) == "64"


@pytest.mark.parametrize("text", ["", "1Zi", "abc", "1 Gi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


def test_service_links_name_host_and_port() -> None:
    ports = [{"name": "redis", "port": 6379, "protocol": "TCP"}]
    service = {"metadata": {"name": "my-db"}, "spec": {"clusterIP": "127.128.0.1", "ports": ports}}
    headless = {"metadata": {"name": "none"}, "spec": {"clusterIP": "None", "ports": ports}}

    links = build_service_links([service, headless])

    assert links["MY_DB_SERVICE_HOST"] == "127.128.0.1"
    assert links["MY_DB_SERVICE_PORT_REDIS"] == "6379"
    assert links["MY_DB_PORT_6379_TCP_ADDR"] == "127.128.0.1"
    assert not [name for name in links if name.startswith("NONE")]


def test_back_off_starts_free_doubles_and_forgets() -> None:
    backoff = Backoff(Pace(first_s=10, longest_s=300))
    now, waits = 0.0, []

    for _ in range(8):
        waits.append(backoff.next_wait_s(now))
        now += waits[-1] + 1

    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert backoff.next_wait_s(now + 601) == 0


def test_an_address_is_not_given_again_soon_and_never_twice() -> None:
    addresses = Addresses(AddressBook(64), 1)
    first = addresses.take(KEY)
    addresses.give_back(first)

    later = [addresses.take(KEY) for _ in range(253)]

    assert later[-1] == first
    assert len(set(later)) == 253
    with pytest.raises(AddressesSpent):
        addresses.take(KEY)


def test_where_addresses_are_given_out_again_at_once_the_next_pod_has_the_last_one_s() -> None:
    addresses = Addresses(AddressBook(64, reuse=True), 1)
    first, second = addresses.take(KEY), addresses.take(KEY)
    addresses.give_back(first)
    addresses.give_back(second)

    assert [addresses.take(KEY), addresses.take(KEY)] == [second, first]


def test_a_promised_address_is_for_one_pod_only_and_once() -> None:
    book = AddressBook(64)
    here, there = Addresses(book, 1), Addresses(book, 2)
    address = here.take(KEY)
    book.promise(OTHER, address)
    with pytest.raises(AddressAwaited):
        there.take(OTHER)
    here.give_back(address)

    assert address not in [here.take(KEY) for _ in range(252)]
    assert there.take(OTHER) == address
    assert there.take(OTHER) == "127.64.2.2"


def test_a_broken_promise_frees_the_address() -> None:
    book = AddressBook(64, reuse=True)
    here = Addresses(book, 1)
    address = here.take(KEY)
    book.promise(OTHER, address)
    here.give_back(address)
    book.break_promise(OTHER)

    assert here.take(KEY) == address


def test_outer_mounts_come_before_inner_ones() -> None:
    mounts = (Mount(host="/b", path="/a/b"), Mount(host="/a", path="/a"))

    argv = build_bwrap_argv(Sandbox(hostname="p", mounts=mounts), ["true"], status_fd=3)

    assert argv.index("/a/b") > argv.index("/a")


def test_an_ordinary_user_appears_as_whom_the_pod_names() -> None:
    box = Sandbox(hostname="p", identity=Identity(uid=999, gid=998))

    argv = build_bwrap_argv(box, ["true"], status_fd=3, as_root=False)

    assert argv[argv.index("--uid") + 1] == "999"
    assert "/usr/bin/setpriv" not in argv
