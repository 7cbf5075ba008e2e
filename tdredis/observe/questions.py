"""Decides what every process is asked in one round trip, and reads its answers as facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Generic, TypeVar

from msgspec.structs import replace

from tdredis.manifests.data_scripts import TOLD_BY
from tdredis.redis.facts import NodeFacts, ProxyFacts, parse_info, parse_node_facts
from tdredis.redis.sentinels import SentinelFacts, parse_watch
from tdredis.redis.views import parse_cluster_nodes
from tdredis.redislink.errors import Refused
from tdredis.redislink.pool import Command

FactsT = TypeVar("FactsT")


@dataclass(frozen=True, slots=True)
class Questions(Generic[FactsT]):
    """*parse* takes the replies in the order of *commands*; raises ValueError, KeyError or Refused."""

    commands: tuple[Command, ...]
    parse: Callable[[Sequence[object]], FactsT]


# One CONFIG GET for each: Redis 6 takes one parameter only.
_CLUSTER_CONFIG = (
    "cluster-node-timeout",
    "cluster-announce-ip",
    "cluster-announce-port",
    "cluster-announce-bus-port",
    "save",
    TOLD_BY,
    "masteruser",
)
_REPLICATION_CONFIG = (
    "replica-announce-ip",
    "replica-announce-port",
    "min-replicas-to-write",
    "min-replicas-max-lag",
    "save",
    TOLD_BY,
    "masteruser",
)


# Sections that are read, one a question: servers before 7.0 take no more. Never all of them: errorstats and
# commandstats grow with what clients do, to megabytes that take the server's only thread a tenth of a second.
INFO_SECTIONS = ("server", "memory", "persistence", "replication", "keyspace")
_INFO: tuple[Command, ...] = tuple(("INFO", section) for section in INFO_SECTIONS)


def _config_questions(parameters: Sequence[str]) -> tuple[Command, ...]:
    return tuple(("CONFIG", "GET", parameter) for parameter in parameters)


def _info(replies: Sequence[object]) -> str:
    sections = replies[: len(_INFO)]
    if {*map(type, sections)} == {bytes}:
        return _text(b"\r\n".join(sections))  # type: ignore[arg-type] # it has just been looked at
    return "\r\n".join(map(_text, sections))


def _parse_cluster_node(replies: Sequence[object]) -> NodeFacts:
    nodes, cluster_info = map(_text, replies[len(_INFO) : len(_INFO) + 2])
    config = _config(replies[len(_INFO) + 2 :])
    return parse_node_facts(_info(replies), parse_cluster_nodes(nodes), cluster_info, config)


def _parse_without_view(replies: Sequence[object]) -> NodeFacts:
    cluster_info, config = _text(replies[len(_INFO)]), _config(replies[len(_INFO) + 1 :])
    return parse_node_facts(_info(replies), None, cluster_info, config)


def _parse_replication_node(replies: Sequence[object]) -> NodeFacts:
    return parse_node_facts(_info(replies), None, None, _config(replies[len(_INFO) :]))


CLUSTER_NODE = Questions(
    commands=(*_INFO, ("CLUSTER", "NODES"), ("CLUSTER", "INFO"), *_config_questions(_CLUSTER_CONFIG)),
    parse=_parse_cluster_node,
)
CLUSTER_NODE_WITHOUT_VIEW = Questions(
    commands=(*_INFO, ("CLUSTER", "INFO"), *_config_questions(_CLUSTER_CONFIG)), parse=_parse_without_view
)
REPLICATION_NODE = Questions(commands=(*_INFO, *_config_questions(_REPLICATION_CONFIG)), parse=_parse_replication_node)


def with_settings(questions: Questions[NodeFacts], names: Sequence[str]) -> Questions[NodeFacts]:
    """*questions*, and the parameters *names*, which a server may know or not."""
    if not names:
        return questions
    count = len(questions.commands)

    def parse(replies: Sequence[object]) -> NodeFacts:
        return replace(questions.parse(replies[:count]), settings=_optional_config(replies[count:]))

    return Questions(commands=(*questions.commands, *_config_questions(names)), parse=parse)


def _parse_read(replies: Sequence[object]) -> ProxyFacts:
    """Whatever is no error: the keys need not exist."""
    for reply in replies:
        if isinstance(reply, Refused):
            raise reply
    return ProxyFacts()


def proxy_questions(keys: Sequence[str]) -> Questions[ProxyFacts]:
    """What a proxy is asked: to read *keys*, one of each shard. They need not exist."""
    return Questions(commands=tuple(("GET", key) for key in keys), parse=_parse_read)


def _parse_hello(replies: Sequence[object]) -> bool:
    """A listener for RESP2 refuses the version (NOPROTO). Any other answer, NOAUTH among them, is of one for RESP3."""
    return not (isinstance(replies[0], Refused) and replies[0].code == "NOPROTO")


RESP3_LISTENER = Questions(commands=(("HELLO", "3"),), parse=_parse_hello)


def slot_questions(slots: Sequence[int]) -> Questions[dict[int, int]]:
    """How many keys a node has in each of *slots*, whoever owns them. Source: redis.io, "CLUSTER COUNTKEYSINSLOT"."""

    def parse(replies: Sequence[object]) -> dict[int, int]:
        return dict(zip(slots, map(_number, replies), strict=True))

    return Questions(commands=tuple(("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in slots), parse=parse)


def sentinel_questions(master_name: str) -> Questions[SentinelFacts]:
    """What a Sentinel is asked that is to watch *master_name*."""

    def parse(replies: Sequence[object]) -> SentinelFacts:
        info = parse_info(_text(replies[0]))
        masters = _rows(replies[1])
        # A Sentinel that watches nothing of this name refuses these two; so it knows none.
        replicas, sentinels = ([] if isinstance(reply, Refused) else _rows(reply) for reply in replies[2:4])
        my_id = "" if isinstance(replies[4], Refused) else _text(replies[4])
        tilt = parse_info(_text(replies[5])).get("sentinel_tilt", "0")
        announced = _optional_config(replies[6:])
        return SentinelFacts(
            version=info["redis_version"],
            run_id=info["run_id"],
            watches=tuple(
                parse_watch(row, *((replicas, sentinels) if row["name"] == master_name else ((), ())))
                for row in sorted(masters, key=lambda row: row["name"])
            ),
            announced_host=announced.get("announce-ip", ""),
            announced_port=int(announced.get("announce-port") or 0),
            id=my_id,
            in_tilt=tilt != "0",
        )

    return Questions(
        commands=(
            ("INFO", "server"),
            ("SENTINEL", "MASTERS"),
            ("SENTINEL", "REPLICAS", master_name),
            ("SENTINEL", "SENTINELS", master_name),
            ("SENTINEL", "MYID"),
            ("INFO", "sentinel"),
            ("SENTINEL", "CONFIG", "GET", "announce-ip"),
            ("SENTINEL", "CONFIG", "GET", "announce-port"),
        ),
        parse=parse,
    )


def _config(replies: Sequence[object]) -> Mapping[str, str]:
    """Replies of CONFIG GET, one parameter each; one that the server does not know is absent."""
    if {*map(type, replies)} == {list}:
        return _known_config(tuple(map(tuple, replies)))  # type: ignore[arg-type] # it has just been looked at
    return _read_config(replies)


@lru_cache(maxsize=1024)
def _known_config(replies: tuple[tuple[object, ...], ...]) -> Mapping[str, str]:
    """Nodes of a cluster have the same configuration, but for the address that they announce, and keep it."""
    return MappingProxyType(_read_config(list(map(list, replies))))


def _read_config(replies: Sequence[object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for reply in replies:
        found |= _pairs(reply)
    return found


def _optional_config(replies: Sequence[object]) -> Mapping[str, str]:
    """As `_config`, for parameters that not every version has."""
    return _config([reply for reply in replies if not isinstance(reply, Refused)])


def _rows(reply: object) -> list[Mapping[str, str]]:
    if isinstance(reply, Refused):
        raise reply
    if not isinstance(reply, list):
        raise ValueError(f"expected a list from Sentinel, got {type(reply).__name__}")  # noqa: TRY004 a border: data
    return [_pairs(row) for row in reply]


def _pairs(reply: object) -> dict[str, str]:
    """``[name, value, name, value ...]`` to a dict. Raises as `_text` does."""
    if not isinstance(reply, list) or len(reply) % 2:
        raise ValueError(f"expected names and values from Redis, got {_text(reply)[:80]!r}")
    texts = [_text(word) for word in reply]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _number(reply: object) -> int:
    if isinstance(reply, Refused):
        raise reply
    if not isinstance(reply, int):
        raise ValueError(f"expected a number from Redis, got {type(reply).__name__}")  # noqa: TRY004 a border: data
    return reply


def _text(reply: object) -> str:
    """Raises Refused for an error reply, ValueError for anything but text."""
    if isinstance(reply, Refused):
        raise reply
    if not isinstance(reply, bytes):
        raise ValueError(f"expected text from Redis, got {type(reply).__name__}")  # noqa: TRY004 a border: data
    return reply.decode("utf-8", "replace")
