"""Who can connect to the health and metrics pages, in networks of IPv4, of IPv6, of both, and of a loopback alone."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tdredis.runtime.listening import open_sockets, parse_address

ROOT = Path(__file__).parents[3]
PORT = 8080
PATIENCE_S = 60
V4, V6 = "10.91.0.2", "fd91::2"
LOCAL_V4, LOCAL_V6 = "127.0.0.1", "::1"
INSIDE, OUTSIDE = "inside", "outside"  # the pod itself, and whoever comes by its network
_numbers = itertools.count()

# Everything of the operator's pages but what they say: started as `tdredis run` starts them.
SERVER = """
import asyncio, sys
from tdredis.runtime.http import StatusServer
from tdredis.runtime.listening import parse_address

async def serve():
    pages = StatusServer(ready=lambda: None, render_metrics=lambda: ())
    await pages.start(*parse_address(sys.argv[1]))
    print("serving", flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""

CLIENT = """
import sys, urllib.request

asks = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for address in sys.argv[1:]:
    host = f"[{address}]" if ":" in address else address
    try:
        with asks.open(f"http://{host}:8080/healthz", timeout=5) as answer:
            if answer.read() == b"ok\\n":
                print(address)
    except OSError:
        pass
"""


@dataclass(frozen=True)
class Network:
    """A pod's network namespace, and one beside it from which the kubelet and Prometheus come."""

    pod: str
    outside: str

    def run(self, where: str, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ip", "netns", "exec", where, *command], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    def who_connects(self) -> set[tuple[str, str]]:
        """From where, and to which address."""
        addresses = (LOCAL_V4, LOCAL_V6, V4, V6)
        met = set()
        for place, namespace in ((INSIDE, self.pod), (OUTSIDE, self.outside)):
            client = self.run(namespace, sys.executable, "-c", CLIENT, *addresses)
            client.check_returncode()
            met |= {(place, address) for address in client.stdout.split()}
        return met

    @contextmanager
    def serving(self, listen: str) -> Iterator[None]:
        command = ["ip", "netns", "exec", self.pod, sys.executable, "-c", SERVER, listen]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == "serving\n"
                yield
            finally:
                process.kill()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=PATIENCE_S)


def _remove_leftovers() -> None:
    """Namespaces outlive a test run that was killed; those of runs that are no more go."""
    for namespace in Path("/run/netns").glob("tdr-*-*-*"):
        if not Path(f"/proc/{namespace.name.split('-')[2]}").exists():
            # Another run may be doing the same.
            subprocess.run(
                ["ip", "netns", "delete", namespace.name], capture_output=True, timeout=PATIENCE_S, check=False
            )


@dataclass(frozen=True)
class Shape:
    """The families that the pod has addresses of; *settings*: below its /proc/sys/net/ipv6."""

    v4: bool
    v6: bool
    settings: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def network(shape: Shape) -> Iterator[Network]:
    _remove_leftovers()
    number = f"{os.getpid()}-{next(_numbers)}"
    made = Network(f"tdr-pod-{number}", f"tdr-out-{number}")
    with ExitStack() as undo:
        for name in (made.pod, made.outside):
            _ip("netns", "add", name)
            undo.callback(_ip, "netns", "delete", name)
        _ip("-n", made.pod, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", made.outside)
        for key, value in shape.settings.items():
            made.run(made.pod, "sh", "-c", f"echo {value} >/proc/sys/net/ipv6/{key}").check_returncode()
        for name, last in ((made.pod, "2"), (made.outside, "1")):
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", "eth0", "up")
            if shape.v4:
                _ip("-n", name, "address", "add", f"10.91.0.{last}/24", "dev", "eth0")
            else:
                _ip("-n", name, "address", "flush", "dev", "lo", "scope", "host")
                _ip("-n", name, "-6", "address", "replace", "::1/128", "dev", "lo")
            if shape.v6:
                _ip("-n", name, "address", "add", f"fd91::{last}/64", "dev", "eth0", "nodad")
        yield made


ALL_V4 = {(INSIDE, LOCAL_V4), (INSIDE, V4), (OUTSIDE, V4)}
ALL_V6 = {(INSIDE, LOCAL_V6), (INSIDE, V6), (OUTSIDE, V6)}
LOCAL = {(INSIDE, LOCAL_V4), (INSIDE, LOCAL_V6)}
NO_IPV6 = {"conf/all/disable_ipv6": "1", "conf/default/disable_ipv6": "1", "conf/lo/disable_ipv6": "1"}
BOTH_BY_ONE = {"bindv6only": "0"}
EACH_BY_ITS_OWN = {"bindv6only": "1"}
NETWORKS = {
    "IPv4 only": (Shape(v4=True, v6=False, settings=NO_IPV6), ALL_V4),
    "IPv6 only": (Shape(v4=False, v6=True, settings=BOTH_BY_ONE), ALL_V6),
    "dual stack": (Shape(v4=True, v6=True, settings=BOTH_BY_ONE), ALL_V4 | ALL_V6),
    "dual stack, IPv6 sockets take IPv6 only": (Shape(v4=True, v6=True, settings=EACH_BY_ITS_OWN), ALL_V4 | ALL_V6),
}
# What `--listen` says -> who of those that have a way to the pod may come in.
SAID = {
    ":8080": ALL_V4 | ALL_V6,
    "8080": ALL_V4 | ALL_V6,
    "*:8080": ALL_V4 | ALL_V6,
    "[::]:8080": ALL_V4 | ALL_V6,
    "0.0.0.0:8080": ALL_V4,
    "127.0.0.1:8080": {(INSIDE, LOCAL_V4)},
}


CASES = [(kind, said) for kind, (_, ways) in NETWORKS.items() for said in SAID if SAID[said] & ways]


@pytest.mark.parametrize(("kind", "listen"), CASES)
def test_whoever_has_a_way_to_the_pod_is_answered(kind: str, listen: str) -> None:
    shape, ways = NETWORKS[kind]
    with network(shape) as made, made.serving(listen):
        assert made.who_connects() == SAID[listen] & ways


def test_an_address_that_the_machine_has_not_is_refused_in_words() -> None:
    with network(Shape(v4=False, v6=True)) as made:
        found = made.run(made.pod, sys.executable, "-c", SERVER, "192.0.2.7:8080")

    assert "cannot listen on 192.0.2.7:8080: Cannot assign requested address" in found.stderr
    assert found.returncode != 0


def test_localhost_is_for_the_pod_itself_only() -> None:
    shape, _ = NETWORKS["dual stack"]
    with network(shape) as made, made.serving("localhost:8080"):
        met = made.who_connects()

    assert (INSIDE, LOCAL_V4) in met
    assert met <= {(INSIDE, LOCAL_V4), (INSIDE, LOCAL_V6)}


class NoIPv6(socket.socket):
    """As on a kernel that was started with ipv6.disable=1, which no namespace can show."""

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:  # noqa: A002
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        super().__init__(family, type, proto, fileno)


@pytest.mark.parametrize("host", ["", "*", "::"])
def test_a_kernel_without_ipv6_serves_ipv4(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr(socket, "socket", NoIPv6)

    opened = open_sockets(host, 0)

    assert [one.getsockname()[0] for one in opened] == ["0.0.0.0"]  # noqa: S104
    for one in opened:
        one.close()


def test_both_families_have_one_port() -> None:
    opened = open_sockets("", 0)

    assert len({one.getsockname()[1] for one in opened}) == 1
    for one in opened:
        one.close()


def test_a_port_that_one_family_has_taken_is_taken() -> None:
    with closing(socket.socket(socket.AF_INET)) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(OSError, match=rf"cannot listen on 0\.0\.0\.0:{port}: Address already in use"):
            open_sockets("", port)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (":8080", ("", 8080)),
        ("8080", ("", 8080)),
        ("[::]:8080", ("::", 8080)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_an_address_is_read_as_it_is_written(text: str, said: tuple[str, int]) -> None:
    assert parse_address(text) == said


@pytest.mark.parametrize(
    "text", ["::1", "::", "fd91::2:8080", "127.0.0.1", "localhost", ":", ":http", ":65536", "[::1]"]
)
def test_what_can_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write ADDRESS:PORT, for example :8080"):
        parse_address(text)
