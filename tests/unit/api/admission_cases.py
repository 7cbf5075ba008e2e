"""Good and bad resources, and what is said of them: by a modern API server, by localkube, and by the operator itself.

A case is a sample with a few fields changed. `says` is a piece of what the server answers, "" where it takes it.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

SAMPLES: Final = Path(__file__).parents[3] / "samples"
Patch = Mapping[str, Any]  # nested fields that are different; None: absent

CLUSTER: Final = "RedisCluster"
STANDBY: Final = "RedisStandby"
ALONE: Final = "RedisStandalone"
_FILES: Final = {CLUSTER: "redis-cluster-rat", STANDBY: "redis-standby-tom", ALONE: "redis-standalone-hare"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """*before*: it is an update of the sample with these changes; None: it is made. *advises*: a piece of what the
    operator says of it, where that is another than *says*; "" where it says nothing.
    """

    kind: str
    patch: Patch
    says: str = ""
    before: Patch | None = None
    subresource: str = ""
    advises: str | None = None

    @property
    def manifest(self) -> dict[str, Any]:
        return sample(self.kind, self.patch)

    @property
    def former(self) -> dict[str, Any] | None:
        return None if self.before is None else sample(self.kind, self.before)

    def __str__(self) -> str:
        how = f"{self.before} -> " if self.before is not None else ""
        return f"{self.kind} {how}{self.patch}"[:120]


def sample(kind: str, patch: Patch) -> dict[str, Any]:
    """The published sample of *kind*, changed."""
    return _merged(_published(kind), patch)


@functools.cache
def _published(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((SAMPLES / f"{_FILES[kind]}.yaml").read_text())
    return found


def _merged(whole: Mapping[str, Any], patch: Patch) -> dict[str, Any]:
    found = copy.deepcopy(dict(whole))
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(found.get(name), Mapping):
            found[name] = _merged(found[name], value)
        else:
            found[name] = copy.deepcopy(value)
    return found


MEMORY: Final = "memory: write an amount with its unit, such as 512Mi or 2Gi"
CPU: Final = "cpu: write CPUs such as 2 or 0.5, or thousandths of one such as 500m"
DISK: Final = "ephemeral-storage: write an amount with its unit, such as 512Mi or 2Gi"
NAMES: Final = "write amounts of cpu, memory or ephemeral-storage, and of nothing else"
IMAGE: Final = "write an image such as redis:7.0"
ADDRESS: Final = "write an IP address such as 192.0.2.7, or a host's name"
CLASS: Final = "write lower-case letters, digits, '-' and '.', a letter or digit at both ends of each part"
STORAGE: Final = "write an amount with its unit, such as 64Gi"
KEYS: Final = "write names of letters, digits, '-', '_' and '.', at most 63"
VALUES: Final = "write at most 63 letters, digits, '-', '_' and '.'"
APP: Final = "write letters, digits, '-', '_' and '.', a letter or digit at both ends"
STANDBY_APP: Final = "write lower-case letters, digits and '-', a letter or digit at both ends"
FORMER_APP: Final = "write the previous app again, or make another resource"
MORE: Final = "is requested than its limit: write a smaller request, or a limit that is as large"
TYPE: Final = "in body must be of type"
UNKNOWN: Final = "unknown field"
LONG: Final = "Too long: may not be more than"
KNOWN: Final = "supported values"


def spec(kind: str, says: str = "", *, advises: str | None = None, **fields: Any) -> Case:
    return Case(kind=kind, patch={"spec": fields}, says=says, advises=advises)


def named(kind: str, name: str, says: str = "") -> Case:
    return Case(kind=kind, patch={"metadata": {"name": name}}, says=says)


def edit(kind: str, before: Patch, after: Patch, says: str = "", *, advises: str | None = None) -> Case:
    return Case(kind=kind, patch={"spec": after}, before={"spec": before}, says=says, advises=advises)


def status(kind: str, after: Patch, says: str = "", *, spec: Patch | None = None) -> Case:
    return Case(
        kind=kind,
        patch={"spec": spec or {}, "status": after},
        before={"spec": spec or {}},
        subresource="status",
        says=says,
        advises="",
    )


def _amounts() -> Iterator[Case]:
    good = ("512Mi", "1Gi", "1.5Gi", "0.5Gi", "2G", "100M", "1Ti", "1048576Ki", "1073741824", 1073741824, 1048576)
    bad = (
        *("512m", "0.1", " 1Gi", "1Gi ", "1 Gi", "1GB", "1gb", "-1Gi", "+1Gi", "0", "0Gi", "1e9", "1E3", "1e3Mi", ""),
        *("1", "512", "1Ki", "Gi", "lots", "1,5Gi", "1.5.1Gi", "\u0661Gi", "\uff11Gi", "9999999Gi", "1Pi", "1Gi\n"),
        *("\u0665\u0661\u0662Mi", "1000u", "01Gi", "1.Gi", ".5Gi", 0, -1, 512),
    )
    yield from (spec(ALONE, resources={"limits": {"memory": each}}) for each in good)
    # A text of digits and points, with a unit, is no amount all the same; then the pattern alone says so.
    plain = {"1.5.1Gi", "9999999Gi", "01Gi", "1.Gi", ".5Gi", "0Gi", "1Ki"}
    for each in bad:
        says = "in body should match" if each in plain else MEMORY
        yield spec(ALONE, says, advises=MEMORY, resources={"limits": {"memory": each}})
    yield from (spec(CLUSTER, resources={"requests": {"cpu": each}}) for each in ("500m", "2", "0.5", "1.25", 4, "1m"))
    for each in ("1Gi", "2 ", "500M", "half", "", "-1", "1e1", "2500u", 1000):
        yield spec(CLUSTER, CPU, resources={"requests": {"cpu": each}})
    for each in ("0", "0m", "0.0", "1.2345", "00.5", "1000000"):
        yield spec(CLUSTER, "in body should match", advises=CPU, resources={"requests": {"cpu": each}})
    yield spec(STANDBY, DISK, resources={"limits": {"ephemeral-storage": "10"}})
    yield spec(STANDBY, resources={"limits": {"ephemeral-storage": "10Gi"}})
    yield spec(ALONE, TYPE, advises=CPU, resources={"limits": {"cpu": 0.5}})
    yield spec(ALONE, TYPE, advises=MEMORY, resources={"limits": {"memory": True}})
    for name in ("memry", "Memory", "nvidia.com/gpu", "hugepages-2Mi", "storage", "pods", ""):
        yield spec(CLUSTER, NAMES, resources={"limits": {name: "1Gi"}})
    more: tuple[tuple[object, object], ...] = (("2Gi", "1Gi"), ("2Gi", "2G"), (2147483648, "1Gi"), ("1.5Gi", "1Gi"))
    for request, limit in more:
        yield spec(ALONE, MORE, resources={"requests": {"memory": request}, "limits": {"memory": limit}})
    faster: tuple[tuple[object, object], ...] = (("2", "1"), ("1500m", 1), ("0.6", "500m"))
    for request, limit in faster:
        yield spec(STANDBY, MORE, sentinel={"resources": {"requests": {"cpu": request}, "limits": {"cpu": limit}}})
    for request, limit in (("1024Mi", "1Gi"), ("1G", "1Gi"), ("500m", "0.5"), ("1Gi", "1Gi")):
        name = "cpu" if limit == "0.5" else "memory"
        yield spec(CLUSTER, proxy={"resources": {"requests": {name: request}, "limits": {name: limit}}})
    yield spec(CLUSTER, MEMORY, proxy={"resources": {"limits": {"memory": "1GB"}, "requests": {"memory": "1Gi"}}})


def _names() -> Iterator[Case]:
    yield named(CLUSTER, "r" * 48)
    yield named(CLUSTER, "r" * 49, "write at most 48 characters")
    for name in ("1abc", "a.b"):
        yield named(STANDBY, name, "a letter first: Services are named after it")
    for app in ("-x", "x-", "a b", "ä", "x_", " x", ""):
        yield spec(CLUSTER, APP, app=app)
    yield spec(CLUSTER, app="A.b_c-1")
    yield spec(CLUSTER, LONG, advises="write at most 57", app="a" * 58)
    yield spec(STANDBY, LONG, advises="write at most 43", app="a" * 44)
    yield spec(STANDBY, app="a" * 43)
    for app in ("Tom", "a_b", "a.b", "-a"):
        yield spec(STANDBY, STANDBY_APP, app=app)
    yield spec(STANDBY, sentinel={"masterName": "My.master-1"})
    for name in ("my master", "-m", "m\n", ""):
        yield spec(STANDBY, "write letters, digits", sentinel={"masterName": name})
    for name in ("fast", "my.class-1", ""):
        yield spec(CLUSTER, storageclass=name)
    for name in ("Fast", "fast ", "-fast", "a..b", "fast_disk"):
        yield spec(CLUSTER, CLASS, storageclass=name)
    yield spec(ALONE, pod={"priorityClassName": "high"})
    yield spec(ALONE, CLASS, pod={"priorityClassName": "High Class"})
    yield spec(ALONE, secret=None, secretRef={"name": "pass", "key": "redis_pass.txt"})
    yield spec(ALONE, "write the name of a Secret in this namespace", secret=None, secretRef={"name": "My Secret"})
    yield spec(ALONE, "write the name of a Secret in this namespace", secret=None, secretRef={"name": ""})
    yield spec(ALONE, "write letters, digits", secret=None, secretRef={"name": "pass", "key": "a/b"})
    yield spec(ALONE, "Required value", advises="missing required field", secret=None, secretRef={"key": "a"})
    yield spec(ALONE, imagePullSecrets=["mirror", "harbor.2"])
    yield spec(ALONE, imagePullSecrets=[])
    yield spec(ALONE, CLASS, imagePullSecrets=["mirror", "Mirror"])
    yield spec(ALONE, "Too many: 17", advises="write at most 16", imagePullSecrets=[f"m{n}" for n in range(17)])


def _images() -> Iterator[Case]:
    good = (
        *("redis", "redis:7.0", "registry.example.com:5000/team/redis:7.0-alpine", "[fd00::1]:5000/redis"),
        *("oliver006/redis_exporter:v1.45.0", f"redis@sha256:{'a' * 64}", f"localhost/redis:7@sha256:{'0' * 64}"),
    )
    bad = (
        "a b",
        " redis",
        "redis ",
        "redis:",
        "Redis:7",
        "redis\n",
        "https://x.y/redis",
        "redis@sha256:12",
        ":7",
        "\u00a0",
    )
    yield from (spec(ALONE, image=each) for each in good)
    yield from (spec(ALONE, IMAGE, image=each) for each in bad)
    yield spec(ALONE, IMAGE, image="")
    yield spec(ALONE, "Required value", advises="missing required field", image=None)
    yield spec(ALONE, LONG, advises="write at most 512", image="a" * 513)
    yield spec(ALONE, monitorimage="")
    yield spec(ALONE, IMAGE, monitorimage="x y")
    yield spec(CLUSTER, IMAGE, monitorimage="")
    yield spec(STANDBY, IMAGE, sentinelimage=" ")
    yield spec(CLUSTER, "proxyimage is empty: write the image of the proxy", proxyimage="")
    yield spec(CLUSTER, proxyimage="", proxy={"enabled": False})
    yield spec(CLUSTER, IMAGE, proxyimage="predixy 1")


def _addresses() -> Iterator[Case]:
    good = (
        "",
        "10.0.0.255",
        "fd00::1",
        "::",
        "::1",
        "1:2:3:4:5:6:7:8",
        "1::8",
        "2001:DB8::a",
        "redis.example.com",
        "lb-1",
    )
    bad = (
        *("10.0.0.256", "10.0.0", "1.2.3.4.5", "10.0.0.1:6379", "10.0.0.1 ", " x", "a b", ":::", "1:2", "1::2::3"),
        *("http://x", "x..y", "-x", "x-", "a_b", "12345::", "1:2:3:4:5:6:7:8:9", "fe80::1%eth0", "10.0.0.1\n"),
    )
    yield from (spec(STANDBY, vip=each) for each in good)
    yield from (spec(STANDBY, ADDRESS, vip=each) for each in bad)
    yield spec(CLUSTER, KNOWN, advises="write ClusterIP, NodePort, LoadBalancer", netmode="HostPort")
    yield spec(CLUSTER, KNOWN, advises="write ClusterIP, NodePort, LoadBalancer", netmode="")
    yield spec(ALONE, netmode="NodePort", vip="192.0.2.7")
    yield spec(ALONE, netmode="LoadBalancer", outside={"verify": "off"})
    yield spec(ALONE, KNOWN, advises="write auto, off", outside={"verify": "no"})
    yield spec(ALONE, TYPE, advises="Expected `str`", outside={"verify": False})


def _numbers() -> Iterator[Case]:
    small, large = "in body should be greater than or equal to", "in body should be less than or equal to"
    for size in (3, 1000):
        yield spec(CLUSTER, size=size)
    for size in (2, 0, -3):
        yield spec(CLUSTER, small, advises="write 3 or more", size=size)
    yield spec(CLUSTER, large, advises="write 1000 or less", size=1001)
    for no_integer in ("3", 3.5, True):
        yield spec(CLUSTER, TYPE, advises="Expected `int`", size=no_integer)
    yield spec(CLUSTER, "Required value", advises="missing required field", size=None)
    yield spec(CLUSTER, replicas=0)
    yield spec(CLUSTER, large, advises="write 5 or less", replicas=6)
    yield spec(STANDBY, small, advises="write 1 or more", replicas=0)
    for capacity in (0, 48):
        yield spec(CLUSTER, capacity=capacity)
    for capacity in (1, 40, 47):
        yield spec(CLUSTER, "write 16 (MiB) times size or more", capacity=capacity)
    yield spec(CLUSTER, "write 16 (MiB) times size or more", capacity=48, size=4)
    yield spec(STANDBY, "write 16 (MiB) or more", capacity=15)
    yield spec(ALONE, capacity=16)
    yield spec(ALONE, small, advises="write 0 or more", capacity=-1)
    yield spec(ALONE, large, advises="write 1073741824 or less", capacity=1 << 31)
    yield spec(ALONE, TYPE, advises="Expected `int`", capacity="1Gi")
    yield spec(ALONE, small, advises="write 10 or more", memoryOverheadPercent=5)
    yield spec(CLUSTER, small, advises="write 1 or more", proxy={"replicas": 0})
    yield spec(CLUSTER, large, advises="write 100 or less", proxy={"replicas": 101})
    yield spec(STANDBY, KNOWN, advises="write 3, 5, 7", sentinel={"replicas": 4})
    yield spec(STANDBY, sentinel={"replicas": 5})
    yield spec(STANDBY, small, advises="write 500 or more", sentinel={"downAfterMilliseconds": 100})
    yield spec(STANDBY, large, advises="write 3600000 or less", sentinel={"failoverTimeoutMilliseconds": 1 << 40})
    short = {"downAfterMilliseconds": 3000}
    yield spec(STANDBY, "downAfterMilliseconds: 4000 or more", writePolicy="consistency", sentinel=short)
    yield spec(STANDBY, writePolicy="availability", sentinel=short)
    for amount in ("64Gi", "1.5Ti", "68719476736", "100M", "4096Ki"):
        yield spec(ALONE, storageclass="fast", storage={"size": amount})
    for amount in ("64", "64GB", " 64Gi", "64Gi ", "0Gi", "-1Gi", "1e3Gi", "", "lots", "64m", "0.5", "9999999Ti"):
        yield spec(ALONE, STORAGE, storageclass="fast", storage={"size": amount})
    yield spec(ALONE, TYPE, advises="Expected `str`", storage={"size": 64})


def _texts() -> Iterator[Case]:
    yield spec(CLUSTER, KNOWN, advises="write production, staging, demo", env="prod")
    yield spec(CLUSTER, env=None)
    yield spec(CLUSTER, KNOWN, advises="", env="")  # absent to the operator
    yield spec(CLUSTER, dc="any text: no label, no harm")
    yield spec(CLUSTER, "a password has a line break in it: write it on one line", proxysecret="two\nlines")
    yield spec(CLUSTER, "a password has a line break in it: write it on one line", secret="x\n")
    yield spec(CLUSTER, "secret and secretRef are both given: write one of them", secretRef={"name": "a"})
    yield spec(CLUSTER, "proxysecret and proxySecretRef are both given", proxySecretRef={"name": "a"})
    yield spec(CLUSTER, "proxysecret is missing: write it", proxysecret=None)
    yield spec(CLUSTER, proxysecret=None, proxySecretRef={"name": "a"})
    yield spec(CLUSTER, proxysecret="")
    yield spec(CLUSTER, secret="ünï'\"\\ $")
    yield spec(CLUSTER, LONG, advises="write at most 512", secret="x" * 513)
    yield spec(ALONE, pod={"labels": {"team": "a", "example.com/team": "", "x.y": "Z_1"}})
    yield spec(ALONE, pod={"annotations": {"example.com/a": "anything: at all\n"}, "nodeSelector": {"disk": "ssd"}})
    for key in ("-", "a b", "a/b/c", "UPPER.com/x", "x" * 64, "a/", ""):
        yield spec(ALONE, KEYS, pod={"labels": {key: "x"}})
    yield spec(ALONE, KEYS, pod={"annotations": {"_a": "x"}})
    yield spec(ALONE, KEYS, pod={"nodeSelector": {"a:b": "x"}})
    for value in ("-", "a b", "x/y", "ä", "x\n"):
        yield spec(STANDBY, VALUES, sentinel={"pod": {"labels": {"team": value}}})
    yield spec(CLUSTER, VALUES, proxy={"pod": {"nodeSelector": {"disk": "a b"}}})
    yield spec(CLUSTER, LONG, advises="write at most 63", pod={"labels": {"team": "x" * 64}})
    yield spec(CLUSTER, TYPE, advises="Expected `str`", pod={"labels": {"team": 1}})
    yield spec(CLUSTER, KNOWN, advises="write restricted, image", pod={"security": "root"})
    yield spec(CLUSTER, KNOWN, advises="write auto, predixy, envoy", proxy={"kind": "twemproxy"})
    yield spec(CLUSTER, UNKNOWN, advises="", sise=3)
    yield spec(ALONE, UNKNOWN, advises="", pod={"label": {}})
    yield spec(ALONE, UNKNOWN, advises="", resources={"request": {}})
    for part in ("containers", "volumes"):
        yield spec(ALONE, pod={part: [{"name": "a", "x": {"y": 1}}, {"name": "b"}]})
        yield spec(ALONE, "has two of one name: write another", pod={part: [{"name": "a"}, {"name": "a"}]})
        yield spec(ALONE, "write lower-case letters, digits and '-'", pod={part: [{"name": "A b"}]})
        yield spec(ALONE, "Required value", advises="is missing: write it", pod={part: [{"image": "a"}]})
        yield spec(CLUSTER, "Too many", advises="write at most 16", pod={part: [{"name": f"a{n}"} for n in range(17)]})
    for name in ("redis", "exporter"):
        yield spec(CLUSTER, "are the operator's own: write another name", pod={"containers": [{"name": name}]})
    for name in ("config", "auth", "redis-data"):
        yield spec(STANDBY, "are the operator's own: write another name", pod={"volumes": [{"name": name}]})
    yield spec(ALONE, pod={"containers": [{"name": "proxy"}], "volumes": [{"name": "tmp"}]})
    ours = "are the operator's own: write another name"
    yield spec(CLUSTER, ours, proxy={"pod": {"containers": [{"name": "proxy"}]}})
    yield spec(CLUSTER, ours, proxy={"pod": {"volumes": [{"name": "tmp"}]}})
    yield spec(STANDBY, ours, sentinel={"pod": {"containers": [{"name": "sentinel"}]}})
    yield spec(STANDBY, ours, sentinel={"pod": {"volumes": [{"name": "data"}]}})
    yield spec(ALONE, pod={"affinity": {"nodeAffinity": {}}, "tolerations": [{"operator": "Exists"}]})


def _services() -> Iterator[Case]:
    network = "write a network such as 192.0.2.0/24 or 2001:db8::/32"
    for good in ("10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "192.0.2.7/32", "fd00::1/128"):
        yield spec(CLUSTER, service={"loadBalancerSourceRanges": [good]})
    for bad in ("10.0.0.0", "10.0.0.0/33", "10.0.0.256/8", "::/129", "x/8", "", "10.0.0.0/8 ", "10.0.0.0/08"):
        yield spec(CLUSTER, network, service={"loadBalancerSourceRanges": ["10.0.0.0/8", bad]})
    many = [f"10.0.{n}.0/24" for n in range(65)]
    yield spec(ALONE, "Too many: 65", advises="write at most 64", service={"loadBalancerSourceRanges": many})
    for good in ("", "internal", "example.com/internal"):
        yield spec(STANDBY, service={"loadBalancerClass": good})
    for bad in ("a b", "-x", "Example.com/x", "a/b/c"):
        yield spec(STANDBY, "write a name such as example.com/internal", service={"loadBalancerClass": bad})
    for policy in ("Cluster", "Local"):
        yield spec(ALONE, service={"externalTrafficPolicy": policy})
    yield spec(ALONE, KNOWN, advises="write Cluster, Local", service={"externalTrafficPolicy": "local"})
    yield spec(ALONE, service={"annotations": {"example.com/internal": "true"}})
    yield spec(ALONE, KEYS, service={"annotations": {"a b": "x"}})
    yield spec(ALONE, TYPE, advises="Expected `str`", service={"annotations": {"example.com/internal": True}})
    yield spec(ALONE, exporter={"resources": {}})
    yield spec(ALONE, exporter={"resources": {"limits": {"memory": "300Mi"}}})
    exporter = {"resources": {"limits": {"memory": "300MB"}}}
    yield spec(ALONE, "in body should match", advises=MEMORY, exporter=exporter)
    yield spec(ALONE, advises=MEMORY, exporter={"resources": {"limits": {"memory": "512m"}}})
    yield spec(ALONE, advises=NAMES, exporter={"resources": {"limits": {"memry": "512Mi"}}})
    balanced, by_hand = {"netmode": "LoadBalancer"}, {"service": {"loadBalancerClass": "example.com/internal"}}
    why = "cannot be changed while netmode is LoadBalancer: write netmode: ClusterIP first"
    for kind in (CLUSTER, STANDBY, ALONE):
        yield edit(kind, {"netmode": "ClusterIP"}, {**balanced, **by_hand})
        yield edit(kind, balanced, {**balanced, **by_hand}, why, advises="")
        yield edit(kind, {**balanced, **by_hand}, {**balanced, "service": {"loadBalancerClass": ""}}, why, advises="")
        yield edit(kind, {**balanced, **by_hand}, {**balanced, **by_hand, "dc": "x"})
        yield edit(kind, {**balanced, **by_hand}, {"netmode": "ClusterIP"})


def _configs() -> Iterator[Case]:
    names = "write names of parameters as CONFIG GET gives them, in lower case"
    yield spec(CLUSTER, config={})
    yield spec(CLUSTER, config={"maxmemory-policy": "noeviction", "timeout": 300, "save": "", "appendonly": "no"})
    yield spec(ALONE, config={"databases": 32, "client-output-buffer-limit": "normal 0 0 0 replica 256mb 64mb 60"})
    yield spec(STANDBY, config={"hz": -1, "search-timeout": "500", "lua.x_y": "a"})
    for bad in ("Timeout", "a b", "", "-x", "time\nout", "1x"):
        yield spec(ALONE, names, config={bad: "1"})
    for value in (True, 1.5, ["a"]):
        advises = "write numbers, or texts of at most 500 plain characters"
        yield spec(ALONE, TYPE, advises=advises, config={"timeout": value})
    plain = "write numbers, or texts of at most 500 plain characters on one line"
    for text in ("a\nb", "ä", "x" * 501, "a\t"):
        yield spec(ALONE, "in body should match", advises=plain, config={"proc-title-template": text})
    yield spec(ALONE, "Too many", advises="write at most 64", config={f"a{number}": "1" for number in range(65)})
    refused = {
        "maxmemory": "write capacity",
        "requirepass": "write secret or secretRef",
        "masterauth": "write secret or secretRef",
        "port": "write netmode and networkPolicy",
        "dir": "write storageclass and storage",
        "cluster-enabled": "write size, replicas and proxy",
        "cluster-node-timeout": "write size, replicas and proxy",
        "replica-announce-ip": "write replicas, netmode and vip",
        "slave-priority": "write replicas, netmode and vip",
        "min-replicas-to-write": "write writePolicy: consistency",
        "tls-port": "TLS is not served by this version: write none of them",
        "syslog-ident": "log to their container's output: write none of them",
        "loadmodule": "they are directives of a file and no parameters: write none of them",
    }
    for name, instead in refused.items():
        for kind in (CLUSTER, STANDBY, ALONE):
            yield spec(kind, instead, config={"timeout": 1, name: "1"})
    yield spec(CLUSTER, config={"cluster-allow-reads-when-down": "yes"})
    yield spec(CLUSTER, "a Redis Cluster has one database: write none", config={"databases": 16})
    both = {"hash-max-ziplist-value": 64, "hash-max-listpack-value": 65}
    yield spec(STANDBY, "are two names of one parameter: write one of them", config=both)
    stored = {"config": {"maxmemory": "1gb"}}
    # What was stored before a rule was there may stay, as long as it is not touched.
    yield edit(ALONE, stored, {**stored, "dc": "x"}, advises="write capacity")
    yield edit(ALONE, stored, {"config": {"maxmemory": "2gb"}}, "write capacity")


def _edits() -> Iterator[Case]:
    for kind in (CLUSTER, STANDBY, ALONE):
        yield edit(kind, {}, {"app": "other"}, FORMER_APP, advises="")
        yield edit(kind, {}, {"capacity": 4096, "image": "redis:8"})
    yield edit(CLUSTER, {}, {"size": 2}, "greater than or equal to 3", advises="write 3 or more")
    yield edit(CLUSTER, {}, {"size": 4})
    bad = {"resources": {"limits": {"memory": "512m"}}}
    worse = {"resources": {"limits": {"memory": "256m"}}}
    # What was stored before a rule was there may stay, as long as it is not touched.
    yield edit(ALONE, bad, {**bad, "capacity": 1024}, advises=MEMORY)
    yield edit(ALONE, bad, worse, MEMORY)
    yield edit(ALONE, bad, {"resources": {"limits": {"memory": "512m", "cpu": "1"}}}, MEMORY)
    yield edit(ALONE, bad, {"resources": {"limits": {"memory": "512Mi"}}})
    yield edit(ALONE, {"image": "a b"}, {"image": "a b", "capacity": 1024}, advises=IMAGE)
    yield edit(ALONE, {"image": "a b"}, {"image": "a c"}, IMAGE)
    yield edit(ALONE, {"env": "prod"}, {"env": "prod", "capacity": 1024}, advises="write production")
    yield edit(ALONE, {"env": "prod"}, {"env": "test"}, KNOWN, advises="write production")
    yield edit(ALONE, {"imagePullSecrets": ["A"]}, {"imagePullSecrets": ["A"], "dc": "x"}, advises=CLASS)
    yield edit(ALONE, {"imagePullSecrets": ["A"]}, {"imagePullSecrets": ["A", "b"]}, CLASS)
    yield edit(ALONE, {"pod": {"labels": {"a": "-"}}}, {"pod": {"labels": {"a": "-", "b": "x"}}}, advises=VALUES)
    yield edit(ALONE, {"pod": {"labels": {"a b": "x"}}}, {"pod": {"labels": {"a b": "x", "b": "x"}}}, KEYS)
    # A rule about spec as a whole is asked again with every change of spec.
    yield edit(ALONE, {"secret": "x\ny"}, {"secret": "x\ny", "dc": "x"}, "a password has a line break")
    yield edit(CLUSTER, {"capacity": 40}, {"capacity": 40, "dc": "x"}, "write 16 (MiB) times size or more")


def _volumes() -> Iterator[Case]:
    why = "write what status.storageSize says, or more"

    def sized(size: str | None, given: str | None = None, storageclass: str = "fast") -> Patch:
        storage = {} if size is None else {"storage": {"size": size}}
        status = {} if given is None else {"status": {"storageSize": given}}
        return {"spec": {"storageclass": storageclass, **storage}, **status}

    def case(kind: str, before: Patch, after: Patch, says: str = "") -> Case:
        return Case(kind=kind, before=before, patch=after, says=says, advises="")

    for kind in (CLUSTER, STANDBY, ALONE):
        for given in (None, "64Gi", ""):
            yield case(kind, sized("64Gi", given), sized("128Gi", given))
            yield case(kind, sized("64Gi", given), sized("32Gi", given), why)
            yield case(kind, sized("64Gi", given), sized("65536Mi", given))
        # 64Gi is what it is where nobody says it.
        yield case(kind, sized(None), sized("10Gi"), why)
        yield case(kind, sized("128Gi"), sized(None), why)
        yield case(kind, sized("10Gi"), sized(None))
        # What was not given yet may be taken back, and not more than that.
        yield case(kind, sized("128Gi", "64Gi"), sized("64Gi", "64Gi"))
        yield case(kind, sized("128Gi", "64Gi"), sized(None, "64Gi"))
        yield case(kind, sized("128Gi", "64Gi"), sized("63Gi", "64Gi"), why)
        yield case(kind, sized("128Gi", "68719476736"), sized("65G", "68719476736"), why)
        yield case(kind, sized("128Gi", "68719476736"), sized("69G", "68719476736"))
        # Without volumes it is a word, and so it is for whoever wants other ones.
        yield case(kind, sized("64Gi", storageclass=""), sized("1Gi", storageclass=""))
        yield case(kind, sized("64Gi", storageclass=""), sized("1Gi"))
        yield case(kind, sized("64Gi"), {**sized("64Gi"), "metadata": {"labels": {"a": "b"}}})
    more = ("1Ti", "1.5Ti", "1024.5Gi", "1100000000000", "1100G", "1.2P", "1Pi")
    for size in more:
        yield case(ALONE, sized("1Ti", "1Ti"), sized(size, "1Ti"))
    for size in ("1T", "1023Gi", "0.9Ti", "999999999k", "999999M", "999999999Ki", "1099511627775"):
        wrong = STORAGE if size == "0.9Ti" else why
        yield Case(
            kind=ALONE,
            before=sized("1Ti", "1Ti"),
            patch=sized(size, "1Ti"),
            says=wrong,
            advises=STORAGE if size == "0.9Ti" else "",
        )
    # What was stored before sizes were looked at: nobody was given it.
    yield case(ALONE, sized("lots"), sized("1Gi"))


def _statuses() -> Iterator[Case]:
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "AsSpecified",
        "message": "all is well",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    for kind in (CLUSTER, STANDBY, ALONE):
        yield status(kind, {"phase": "Ready", "conditions": [condition]})
    yield status(CLUSTER, {"size": 3, "slots": {"rat-0": ["0-5460"]}, "shards": [{"name": "rat-0"}]})
    yield status(CLUSTER, {"size": "3"}, TYPE)
    yield status(CLUSTER, {"conditions": [{**condition, "status": "Maybe"}]}, KNOWN)
    yield status(CLUSTER, {"conditions": [{**condition, "lastTransitionTime": "today"}]}, "must be of type date-time")
    yield status(CLUSTER, {"conditions": [condition, condition]}, "Duplicate value")
    yield status(CLUSTER, {"conditions": [{"type": "Ready"}]}, "Required value")
    yield status(ALONE, {"phase": "Ready"}, spec={"resources": {"limits": {"memory": "512m"}}})
    yield status(ALONE, {"phase": "Ready"}, spec={"secret": "x\ny"})


_ALL: Final = (
    *(_amounts, _names, _images, _addresses, _numbers, _texts, _services, _configs, _edits, _volumes, _statuses),
)
CASES: Final = tuple(case for cases in _ALL for case in cases())
