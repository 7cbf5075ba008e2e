"""Decides which parameters of Redis spec.config may name: not those that the operator sets itself, or goes by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tdredis.api.fields import Bounds

# Numbers as users write them, and texts. No booleans: a value that may be of any type is one of which no server can ask
# anything by a rule, and YAML's yes is one only without quotes.
VALUES: Final[Bounds] = {
    "maxProperties": 64,
    "additionalProperties": {"x-kubernetes-int-or-string": True, "pattern": "^[ -~]{0,500}$"},
}
NAME_PATTERN: Final = "^[a-z][-a-z0-9_.]*$"
NAMES_SENTENCE: Final = "write names of parameters as CONFIG GET gives them, in lower case"
VALUES_SENTENCE: Final = 'write numbers, or texts of at most 500 plain characters on one line; "yes" and "no" in quotes'


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """Parameters that are not users' to set, and what to write instead. *prefix*: all that begin so, but *others*."""

    names: tuple[str, ...] = ()
    prefix: str = ""
    others: tuple[str, ...] = ()
    instead: str

    def has(self, name: str) -> bool:
        return name in self.names or (self.prefix != "" and name.startswith(self.prefix) and name not in self.others)

    @property
    def sentence(self) -> str:
        told = ", ".join((*self.names, *((f"{self.prefix}*",) if self.prefix else ())))
        return f"{told}: {self.instead}"

    @property
    def cel(self) -> str:
        listed = [f"!(name in [{', '.join(map(repr, self.names))}])"] if self.names else []
        if self.prefix:
            but = f" || name in [{', '.join(map(repr, self.others))}]" if self.others else ""
            listed.append(f"(!name.startsWith('{self.prefix}'){but})")
        return f"self.all(name, {' && '.join(listed)})"


# Of a cluster's node, and nothing that a decision rests on.
FREE_OF_CLUSTERS: Final = (
    "cluster-allow-pubsubshard-when-down",
    "cluster-allow-reads-when-down",
    "cluster-link-sendbuf-limit",
    "cluster-slot-stats-enabled",
)
OURS: Final = (
    Ours(names=("maxmemory",), instead="write capacity"),
    Ours(
        names=("requirepass", "masterauth", "masteruser", "primaryauth", "primaryuser", "aclfile"),
        instead="write secret or secretRef",
    ),
    Ours(
        names=("port", "bind", "bind-source-addr", "protected-mode", "unixsocket", "unixsocketgroup", "unixsocketperm"),
        instead="where processes listen is the operator's: write netmode and networkPolicy",
    ),
    Ours(prefix="tls-", instead="TLS is not served by this version: write none of them"),
    Ours(
        names=("dir", "dbfilename", "appendfilename", "appenddirname"),
        instead="where data is kept is the operator's: write storageclass and storage",
    ),
    Ours(
        prefix="cluster-",
        others=FREE_OF_CLUSTERS,
        instead="how a cluster is kept together is the operator's: write size, replicas and proxy",
    ),
    Ours(
        names=(
            *("replicaof", "slaveof", "replica-priority", "slave-priority"),
            *("replica-announced", "replica-announce-ip", "replica-announce-port"),
            *("slave-announce-ip", "slave-announce-port", "replica-read-only", "slave-read-only"),
            *("replica-serve-stale-data", "slave-serve-stale-data", "replica-ignore-disk-write-errors"),
        ),
        instead="who is a replica of whom, and where, is the operator's: write replicas, netmode and vip",
    ),
    Ours(
        names=("min-replicas-to-write", "min-replicas-max-lag", "min-slaves-to-write", "min-slaves-max-lag"),
        instead="write writePolicy: consistency, which a RedisStandby has",
    ),
    Ours(
        names=("daemonize", "supervised", "pidfile", "logfile"),
        prefix="syslog-",
        instead="processes are the kubelet's, and log to their container's output: write none of them",
    ),
    Ours(
        names=("include", "loadmodule", "rename-command", "sentinel", "user"),
        instead="they are directives of a file and no parameters: write none of them",
    ),
)
OF_ONE_DATABASE: Final = Ours(names=("databases",), instead="a Redis Cluster has one database: write none")

# Two names of one parameter. Source: docs/reference/parameters.md, made of the engines' own answers.
TWO_NAMES: Final[Mapping[str, str]] = {
    "hash-max-ziplist-entries": "hash-max-listpack-entries",
    "hash-max-ziplist-value": "hash-max-listpack-value",
    "list-max-ziplist-size": "list-max-listpack-size",
    "lua-time-limit": "busy-reply-threshold",
    "repl-ping-slave-period": "repl-ping-replica-period",
    "slave-ignore-maxmemory": "replica-ignore-maxmemory",
    "slave-lazy-flush": "replica-lazy-flush",
    "slowlog-log-slower-than": "commandlog-execution-slower-than",
    "slowlog-max-len": "commandlog-slow-execution-max-len",
    "zset-max-ziplist-entries": "zset-max-listpack-entries",
    "zset-max-ziplist-value": "zset-max-listpack-value",
}


def instead_of(name: str) -> str:
    """What to write in place of the parameter *name*; "": it may be named in spec.config."""
    return next((ours.instead for ours in OURS if ours.has(name)), "")


def names_are_plain(config: Mapping[str, object]) -> bool:
    return all(re.fullmatch(NAME_PATTERN.strip("^$"), name) for name in config)


def values_are_plain(config: Mapping[str, object]) -> bool:
    return all(_is_plain(value) for value in config.values())


def _is_plain(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return (
        value is None
        or isinstance(value, int)
        or (isinstance(value, str) and re.fullmatch("[ -~]{0,500}", value) is not None)
    )


def as_texts(config: Mapping[str, object]) -> dict[str, str]:
    """*config* as CONFIG SET takes it, in the order of names. A server may keep a null, which names nothing."""
    return {name: str(value) for name, value in sorted(config.items()) if value is not None}
