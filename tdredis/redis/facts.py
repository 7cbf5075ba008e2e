"""Decides what is known of one Redis process at the moment it was asked, and what it means that it did not answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

import msgspec

from tdredis.redis.ports import REDIS_PORT
from tdredis.redis.views import ClusterView

AOF_ERROR = "aof_last_write_status:err"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The process was asked and did not answer: neither dead nor alive, neither empty nor full."""

    since: float  # of the first question in a row that got no answer; epoch seconds by the clock of snapshot.now
    error: str  # the asker's words; holds no secret
    refused: bool = False  # the pod's own kernel said that nobody listens there: the process that did is dead
    refusing_since: float | None = (
        None  # of the first error reply in a row; None: the last question got no reply at all
    )
    wrong_password: bool = False  # it lives, and has another password than any that we know
    full: bool = False  # it lives, and said that it has no free connection (maxclients)


class Replication(msgspec.Struct, frozen=True, kw_only=True):
    """INFO replication, as far as a decision needs it. Source: redis.io, "INFO"."""

    role: str  # "master" or "slave", the engine's own words
    offset_bytes: int  # master_repl_offset: on a replica what it has applied of its primary's stream
    primary_host: str | None = None
    primary_port: int | None = None
    link_up: bool | None = None  # None: a primary has no link
    sync_in_progress: bool = False
    replicas: frozenset[tuple[str, int]] = frozenset()  # host and port of everybody who replicates it, as they say
    priority: int | None = None  # 0: Sentinels never choose it. None: a primary
    was_linked: bool = False  # it has been in sync with the primary that it follows (whose data set may be empty)
    link_down_s: int | None = None  # since when it is not in sync; None: it is, or it is a primary
    online: frozenset[tuple[str, int]] = frozenset()  # those of *replicas* that have everything but the last moment
    in_reach: int | None = None  # how many of them min-replicas-max-lag lets count. None: it does not count
    id: str = ""  # of the history that it writes or follows; another after every promotion
    former_id: str = ""  # of the history that it took over at its promotion
    former_end_bytes: int = -1  # the first offset that is not of *former_id* any more; -1: there is none
    heard: frozenset[tuple[str, int]] = frozenset()  # those of *online* that said since their copy what they have
    is_handing_over: bool = False  # it was sent FAILOVER, and that has not ended


class Announced(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where a process tells others that it is, when that is not its pod's own address."""

    host: str
    port: int
    bus_port: int = 0  # 0: not in cluster mode


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One Redis process's answers, all of one moment. A struct, because thousands are made in a pass."""

    version: str
    uptime_s: int
    loading: bool
    used_memory_bytes: int
    maxmemory_bytes: int  # 0: no limit
    keys: int
    databases: int = 0  # that would have to be there at the least: one more than the highest number with a key
    replication: Replication
    view: ClusterView | None = None  # None: not in cluster mode
    cluster_ok: bool | None = None  # cluster_state:ok; None: not in cluster mode
    cluster_counts: tuple[str, ...] = ()  # CLUSTER INFO's state, slots, nodes and epochs
    node_timeout_ms: int | None = None  # None: not in cluster mode
    accepted_password: str | None = None  # None: it has none, or it is not known. Never printed
    run_id: str = ""  # another one after every start of the process
    announced: Announced | None = None  # None: it announces nothing, so what others see is its pod's address
    slot_keys: Mapping[int, int] = {}  # keys in slots that some node left open; else not asked
    min_replicas_to_write: int | None = None  # so many must be in reach, or a primary refuses writes. None: not asked
    min_replicas_max_lag_s: int | None = None  # seconds of silence after which one is not in reach. None: not asked
    masteruser: str | None = None  # as whom it logs in to its primary; "": as everybody. None: not asked
    engine: str = ""  # "redis 7.0.15", "valkey 8.0.1": *version* of the latter is that of the Redis that it is like
    settings: Mapping[str, str] = {}  # that were asked for, and that it knows
    lost: str = ""  # what its start script says of data that it could not use (manifests/data_scripts.py)
    refused_at_start: Mapping[str, str] = {}  # by parameter, or * of all: the engine's words

    maxmemory_policy: str = ""  # what becomes of keys, or of writes, when maxmemory is used up. "": it does not say
    backlog_bytes: int | None = None  # repl-backlog-size. None: it does not say
    write_error: str = ""  # why a primary refuses writes (MISCONF): its disk takes nothing more. "": it does take it
    is_logged: bool | None = None  # it writes an append-only file. None: it does not say
    log_begins: bool = False  # one is made anew, or is to be: while it is the first, it is not whole
    saves: bool | None = None  # it writes a snapshot, when it is told to end too. None: it does not say
    write_failed_s: float | None = None  # so long ago that was last seen of its pod. None: never
    heard_s: float = 0.0  # it has answered every question for so long

    def __repr__(self) -> str:
        return f"NodeFacts({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        names = (name for name in self.__struct_fields__ if name != "accepted_password")
        return [(name, getattr(self, name)) for name in names]

    @property
    def id(self) -> str | None:
        return self.view.me.id if self.view else None


@dataclass(frozen=True, slots=True)
class ProxyFacts:
    """A proxy that answered a read, which it can only with the help of some Redis."""

    resp3: bool | None = None  # somebody serves RESP3 there, on a port of its own; None: not known


_REFUSED = re.compile(r"refused-setting (\S+): (.*)")  # manifests/data_scripts.py
_INFO_FIELD = re.compile(r"^([^#:\r\n][^:\r\n]*):([^\r\n]*)", re.MULTILINE)
# What is read of INFO of a Redis process: a fifth of its fields, and most of a pass would be spent on the others.
NODE_FIELDS = (
    "redis_version",
    "valkey_version",
    "run_id",
    "uptime_in_seconds",
    "used_memory",
    "maxmemory",
    "maxmemory_policy",
    "loading",
    "aof_enabled",
    "aof_last_write_status",
    "aof_rewrite_in_progress",
    "aof_rewrite_scheduled",
    "rdb_last_bgsave_status",
    "role",
    "master_host",
    "master_port",
    "master_link_status",
    "master_link_down_since_seconds",
    "master_sync_in_progress",
    "slave_repl_offset",
    "slave_priority",
    r"slave\d+",
    "min_slaves_good_slaves",
    "master_failover_state",
    "master_replid",
    "master_replid2",
    "master_repl_offset",
    "second_repl_offset",
    "repl_backlog_size",
    r"db\d+",
)


def _by_first_letter(names: Iterable[str]) -> str:
    """A pattern for any of *names* that passes over a line as soon as its first letter is none of theirs."""
    rests: dict[str, list[str]] = {}
    for name in names:
        rests.setdefault(name[0], []).append(name[1:])
    return "|".join(f"{letter}(?:{'|'.join(each)})" for letter, each in rests.items())


_NODE_FIELD = re.compile(rf"\n({_by_first_letter(NODE_FIELDS)}):([^\r\n]*)")
# CLUSTER INFO without what it counts of messages, which changes from moment to moment.
_CLUSTER_FIELD = re.compile(r"^(?!cluster_stats_|total_cluster_links_)(\w+):([^\r\n]*)", re.MULTILINE)


def parse_info(text: str) -> dict[str, str]:
    """INFO (or CLUSTER INFO) to its fields; section headers are passed over."""
    return dict(_INFO_FIELD.findall(text))


def parse_node_info(text: str) -> dict[str, str]:
    """As `parse_info`, of NODE_FIELDS alone."""
    return dict(_NODE_FIELD.findall(f"\n{text}"))


def parse_replication(info: Mapping[str, str]) -> Replication:
    """Raises KeyError when *info* has no replication section, or a replica's no uptime."""
    is_replica = info["role"] == "slave"
    link_up = info.get("master_link_status") == "up"
    offset = info.get("slave_repl_offset") if is_replica else info.get("master_repl_offset")
    # -1, or absent while the link is up: it was never down (replication.c, repl_down_since).
    down_s = int(info.get("master_link_down_since_seconds") or -1)
    replicas, offset_bytes = tuple(_parse_replicas(info)), int(offset or 0)
    return Replication(
        role=info["role"],
        offset_bytes=offset_bytes,
        primary_host=info.get("master_host") if is_replica else None,
        primary_port=int(info.get("master_port") or 0) if is_replica else None,
        link_up=link_up if is_replica else None,
        priority=int(info.get("slave_priority") or 0) if is_replica else None,
        sync_in_progress=info.get("master_sync_in_progress") == "1",
        replicas=frozenset(place for place, _, _ in replicas),
        in_reach=None if (count := info.get("min_slaves_good_slaves")) is None else int(count),
        online=frozenset(place for place, state, _ in replicas if state == "online"),
        heard=frozenset(
            # Whoever has written nothing yet is told of nothing either.
            place
            for place, state, has in replicas
            if state == "online" and (has or not offset_bytes)
        ),
        id=info.get("master_replid", ""),
        former_id=info.get("master_replid2", ""),
        former_end_bytes=int(info.get("second_repl_offset") or -1),
        is_handing_over=info.get("master_failover_state", "no-failover") != "no-failover",
        was_linked=is_replica and (link_up or down_s >= 0),
        link_down_s=None if not is_replica or link_up else down_s if down_s >= 0 else int(info["uptime_in_seconds"]),
    )


def _parse_replicas(info: Mapping[str, str]) -> Iterator[tuple[tuple[str, int], str, int]]:
    """Place, state and offset in bytes, of the lines ``slave0:ip=10.0.0.1,port=6379,state=online,offset=14,...``."""
    for number in count():  # as Redis counts them (replication.c, genRedisInfoString)
        value = info.get(f"slave{number}")
        if value is None:
            return
        fields = dict(word.split("=", 1) for word in value.split(",") if "=" in word)
        place = fields.get("ip", ""), int(fields.get("port") or 0)
        yield place, fields.get("state", ""), int(fields.get("offset") or 0)


def keys_by_database(info: Mapping[str, str]) -> dict[int, int]:
    """Of the keyspace lines ``db0:keys=3,expires=0,...``: a database without keys has none."""
    return {
        int(name[2:]): int(value.partition("keys=")[2].partition(",")[0] or 0)
        for name, value in info.items()
        if name[0] == "d" and name[1:2] == "b" and name[2:].isdigit()
    }


def find_write_error(info: Mapping[str, str], save: str) -> str:
    """The field of INFO persistence for which a primary refuses writes, and PING; "" if none. Source: config.c,
    writeCommandsDeniedByDiskError: an append-only file that cannot be written, or snapshots, where there are to be any.
    """
    if info.get("aof_enabled") == "1" and info.get("aof_last_write_status") == "err":
        return AOF_ERROR
    if save and info.get("rdb_last_bgsave_status") == "err":
        return "rdb_last_bgsave_status:err"
    return ""


def parse_announced(config: Mapping[str, str]) -> Announced | None:
    """What CONFIG GET says of announcing, in cluster mode or not. None: nothing is announced. Raises ValueError."""
    kind = "cluster" if "cluster-announce-ip" in config else "replica"
    host = config.get(f"{kind}-announce-ip", "")
    if not host:
        return None
    port = int(config.get(f"{kind}-announce-port") or 0)
    return Announced(host=host, port=port or REDIS_PORT, bus_port=int(config.get("cluster-announce-bus-port") or 0))


def said_by_the_start_script(config: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Of data that it could not use, and by parameter of what the engine refused. Where nothing was said, the engine's
    own default is there: "redis" or "valkey".
    """
    lines = config.get("syslog-ident", "").splitlines()
    found = (_REFUSED.fullmatch(line) for line in lines)
    refused = {match[1]: match[2] for match in found if match is not None}
    return next((line for line in lines if ": " in line and not _REFUSED.fullmatch(line)), ""), refused


def parse_node_facts(
    info_text: str, view: ClusterView | None, cluster_info_text: str | None, config: Mapping[str, str]
) -> NodeFacts:
    """INFO, CLUSTER NODES, CLUSTER INFO and parameters of one process to facts. Raises KeyError or ValueError on
    another shape.
    """
    info = parse_node_info(info_text)
    cluster = None if cluster_info_text is None else dict(_CLUSTER_FIELD.findall(cluster_info_text))
    timeout = config.get("cluster-node-timeout")
    lost, refused = said_by_the_start_script(config)
    least, lag = config.get("min-replicas-to-write"), config.get("min-replicas-max-lag")
    keys = keys_by_database(info)
    return NodeFacts(
        version=info["redis_version"],
        engine=f"valkey {valkey}" if (valkey := info.get("valkey_version")) else f"redis {info['redis_version']}",
        uptime_s=int(info["uptime_in_seconds"]),
        loading=info.get("loading") == "1",
        used_memory_bytes=int(info["used_memory"]),
        maxmemory_bytes=int(info["maxmemory"]),
        keys=sum(keys.values()),
        databases=1 + max(keys, default=-1),
        replication=parse_replication(info),
        view=view,
        cluster_ok=None if cluster is None else cluster.get("cluster_state") == "ok",
        cluster_counts=tuple(cluster.values()) if cluster else (),
        node_timeout_ms=None if cluster is None or timeout is None else int(timeout),
        run_id=info.get("run_id", ""),
        announced=parse_announced(config),
        min_replicas_to_write=None if least is None else int(least),
        min_replicas_max_lag_s=None if lag is None else int(lag),
        maxmemory_policy=info.get("maxmemory_policy", ""),
        backlog_bytes=None if (backlog := info.get("repl_backlog_size")) is None else int(backlog),
        write_error=find_write_error(info, config.get("save", "")),
        is_logged=None if (logged := info.get("aof_enabled")) is None else logged == "1",
        log_begins="1" in (info.get("aof_rewrite_in_progress"), info.get("aof_rewrite_scheduled")),
        saves=None if (save := config.get("save")) is None else bool(save),
        masteruser=config.get("masteruser"),
        lost=lost,
        refused_at_start=refused,
    )
