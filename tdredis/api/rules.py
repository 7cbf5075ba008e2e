"""Decides what a resource must obey beyond the bounds of single fields: rows of CEL, sentence and predicate.

CEL is for servers from Kubernetes 1.25 on, and uses nothing that 1.25 does not have; the predicate says the same for
older ones. The sentence says what to write instead, and is the same for both: an expression that worded it would cost a
modern server more than it allows (`messageExpression`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec

from tdredis.api import quantities, settings
from tdredis.api.fields import QUALIFIED_NAME, wire_name
from tdredis.api.instance import ExporterResources
from tdredis.api.pod_settings import PodSettings, ResourceSettings
from tdredis.api.rediscluster import ProxySpec, RedisClusterSpec
from tdredis.api.redisstandalone import RedisStandaloneSpec
from tdredis.api.redisstandby import LEAST_LAG_S, RedisStandbySpec, SentinelSpec
from tdredis.api.rollout import RolloutWindow, is_cron, is_zone
from tdredis.api.service_settings import ServiceSettings

# A StatefulSet <name>-<i> carries the label controller-revision-hash: its name, a dash and 10 characters within 63;
# with i of up to three digits that leaves the resource's name 63 - 11 - 4.
LONGEST_NAME: Final = 48
LEAST_MIB: Final = 16  # of one Redis process
# A Service's name, which the resource's becomes, begins with a letter and has no dots (RFC 1035).
NAME_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
LEAST_DOWN_AFTER_MS: Final = (LEAST_LAG_S + 2) * 1000

Predicate: TypeAlias = Callable[[Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """*at*: the attribute that the rule is about, "" for the whole; *holds* is asked about what stands there. None: it
    is about a change, of which only the API server sees both sides. *cel* "": no server is asked, the operator alone
    says it: all rules of a definition together may cost a server only so much.
    """

    cel: str
    message: str
    holds: Predicate | None
    at: str = ""


NAME_RULES: Final = (
    Rule(
        cel=f"size(self.metadata.name) <= {LONGEST_NAME}",
        message=f"metadata.name is too long: write at most {LONGEST_NAME} characters,"
        " the names of its pods and their labels are made of it",
        holds=lambda instance: len(instance.name) <= LONGEST_NAME,
    ),
    Rule(
        cel=f"self.metadata.name.matches('{NAME_PATTERN}')",
        message="metadata.name: write lower-case letters, digits and '-', a letter first: Services are named after it",
        holds=lambda instance: re.fullmatch(NAME_PATTERN.strip("^$"), instance.name) is not None,
    ),
)

_SIZE: Final = "^[0-9]+([.][0-9]+)?([KMGTP]i?|k)?$"
_UNITS: Final = {"k": 10**3, **{u: 10 ** (3 * n) for n, u in enumerate("MGTP", start=2)}}
_UNITS_OF_TWO: Final = {f"{u}i": 2 ** (10 * n) for n, u in enumerate("KMGTP", start=1)}


def _cel_volume(whose: str) -> str:
    return f"(has({whose}.spec.storage) && has({whose}.spec.storage.size) ? {whose}.spec.storage.size : '64Gi')"


def _cel_bytes(size: str) -> str:
    units = "".join(
        f"{size}.endsWith('{unit}') ? double({size}.replace('{unit}', '')) * {factor}.0 : "
        for unit, factor in (_UNITS | _UNITS_OF_TWO).items()
    )
    return f"({units}double({size}))"


def _cel_is_less(whose: str, other: str) -> str:
    """One is a size, and less than the other; what is no size, nobody was given."""
    pair = f"{whose}.matches('{_SIZE}') && {other}.matches('{_SIZE}')"
    return f"{pair} && {_cel_bytes(whose)} < {_cel_bytes(other)}"


def _cel_has_volumes(whose: str) -> str:
    return f"has({whose}.spec.storageclass) && size({whose}.spec.storageclass) > 0"


# Kubernetes would refuse it of every volume, for as long as spec says so. What was asked for and never given (a quota,
# a class that does not grow) may be taken back: status says what was.
VOLUMES_DO_NOT_SHRINK: Final = Rule(
    cel=f"!({_cel_has_volumes('self')}) || !({_cel_has_volumes('oldSelf')})"
    f" || !({_cel_is_less(_cel_volume('self'), _cel_volume('oldSelf'))})"
    " || (has(self.status) && has(self.status.storageSize) && size(self.status.storageSize) > 0"
    f" && !({_cel_is_less(_cel_volume('self'), 'self.status.storageSize')}))",
    message="storage.size is less than volumes have, and they do not shrink: write what status.storageSize says, or"
    " more; for smaller ones make another resource and copy the data there",
    holds=None,
)

_APP: Final = Rule(
    cel="self.app == oldSelf.app",
    message="app cannot be changed, objects and labels are named after it: write the previous app again,"
    " or make another resource",
    holds=None,
)
_BALANCER: Final = "(has({0}.service) && has({0}.service.loadBalancerClass) ? {0}.service.loadBalancerClass : '')"
# Kubernetes would refuse to change the Service, and its refusal would stand in status for as long as spec says so.
_LOAD_BALANCER_CLASS: Final = Rule(
    cel="!has(self.netmode) || self.netmode != 'LoadBalancer' || !has(oldSelf.netmode)"
    " || oldSelf.netmode != 'LoadBalancer'"
    f" || {_BALANCER.format('self')} == {_BALANCER.format('oldSelf')}",
    message="service.loadBalancerClass cannot be changed while netmode is LoadBalancer: write netmode: ClusterIP first,"
    " and both when its Service has changed",
    holds=None,
)
_FIXED: Final = (_APP, _LOAD_BALANCER_CLASS)
# On spec, not on the fields: a refusal quotes the value of the field that it is about.
_SECRETS: Final = (
    Rule(
        cel="!has(self.secret) || !self.secret.contains('\\n')",
        message="a password has a line break in it: write it on one line",
        holds=lambda spec: "\n" not in spec.secret,
    ),
    Rule(
        cel="!has(self.secretRef) || !has(self.secret) || size(self.secret) == 0",
        message="secret and secretRef are both given: write one of them",
        holds=lambda spec: spec.secret_ref is None or not spec.secret,
    ),
)
_PROXY_SECRETS: Final = (
    Rule(
        cel="!has(self.proxysecret) || !self.proxysecret.contains('\\n')",
        message="a password has a line break in it: write it on one line",
        holds=lambda spec: "\n" not in (spec.proxy_secret or ""),
    ),
    Rule(
        cel="has(self.proxysecret) || has(self.proxySecretRef)",
        message='proxysecret is missing: write it ("" for no password), or proxySecretRef',
        holds=lambda spec: spec.proxy_secret is not None or spec.proxy_secret_ref is not None,
    ),
    Rule(
        cel="!has(self.proxySecretRef) || !has(self.proxysecret) || size(self.proxysecret) == 0",
        message="proxysecret and proxySecretRef are both given: write one of them",
        holds=lambda spec: spec.proxy_secret_ref is None or not spec.proxy_secret,
    ),
)
_CAPACITY: Final = Rule(
    cel=f"!has(self.capacity) || self.capacity == 0 || self.capacity >= {LEAST_MIB}",
    message=f"capacity is too small: write {LEAST_MIB} (MiB) or more, or leave it out for no limit",
    holds=lambda spec: not 0 < spec.capacity < LEAST_MIB,
)
_CLUSTER_CAPACITY: Final = Rule(
    cel=f"!has(self.capacity) || self.capacity == 0 || self.capacity >= {LEAST_MIB} * self.size",
    message=f"capacity is too small for its shards: write {LEAST_MIB} (MiB) times size or more,"
    " or leave it out for no limit",
    holds=lambda spec: not 0 < spec.capacity < LEAST_MIB * spec.size,
)
_PROXY_IMAGE: Final = Rule(
    cel="size(self.proxyimage) > 0 || (has(self.proxy) && has(self.proxy.enabled) && !self.proxy.enabled)",
    message="proxyimage is empty: write the image of the proxy, or proxy.enabled: false",
    holds=lambda spec: bool(spec.proxy_image) or not spec.proxy.enabled,
)
_WRITE_POLICY: Final = Rule(
    cel="!has(self.writePolicy) || self.writePolicy != 'consistency' || !has(self.sentinel)"
    " || !has(self.sentinel.downAfterMilliseconds)"
    f" || self.sentinel.downAfterMilliseconds >= {LEAST_DOWN_AFTER_MS}",
    message="writePolicy: consistency needs time for a primary to stop before another is chosen: write"
    f" sentinel.downAfterMilliseconds: {LEAST_DOWN_AFTER_MS} or more, or writePolicy: availability",
    holds=lambda spec: (
        spec.write_policy != "consistency" or spec.sentinel.down_after_milliseconds >= LEAST_DOWN_AFTER_MS
    ),
)


def _amounts(at: str) -> tuple[Rule, ...]:
    names = Rule(
        at=at,
        cel=quantities.cel_names(),
        message=quantities.NAMES_SENTENCE,
        holds=quantities.names_are_known,
    )
    each = (
        Rule(
            at=at,
            cel=quantities.cel_amount(name),
            message=quantities.amount_sentence(name),
            holds=partial(quantities.is_amount, name),
        )
        for name in quantities.NAMES
    )
    return (names, *each)


def _request_fits(name: str, settings: ResourceSettings) -> bool:
    return quantities.request_fits(name, settings.requests, settings.limits)


_REQUESTS_FIT: Final = tuple(
    Rule(
        cel=quantities.cel_request_fits(name),
        message=quantities.request_sentence(name),
        holds=partial(_request_fits, name),
    )
    for name in quantities.NAMES
)


def _keys(at: str) -> Rule:
    return Rule(
        at=at,
        cel=f"self.all(name, name.matches('{QUALIFIED_NAME}'))",
        message=f"{wire_name(at)}: write names of letters, digits, '-', '_' and '.', at most 63 and with a letter or"
        " digit at both ends, after a prefix such as example.com/ if you like",
        holds=lambda found: all(re.fullmatch(QUALIFIED_NAME.strip("^$"), name) for name in found),
    )


def _unique(at: str) -> Rule:
    return Rule(
        at=at,
        cel="self.all(one, self.exists_one(other, other.name == one.name))",
        message=f"{at} has two of one name: write another for one of them",
        holds=lambda parts: len(parts) == len({str(part.get("name")) for part in parts}),
    )


def _not_ours(at: str, *names: str) -> Rule:
    """Of who has `pod`: the operator's own parts of it are not overlaid."""
    listed = ", ".join(repr(name) for name in names)
    return Rule(
        cel=f"!has(self.pod) || !has(self.pod.{at}) || self.pod.{at}.all(one, !(one.name in [{listed}]))",
        message=f"pod.{at}: {', '.join(names)} are the operator's own: write another name",
        holds=lambda spec: not any(part.get("name") in names for part in getattr(spec.pod, at)),
    )


_REDIS_PARTS: Final = (
    _not_ours("containers", "redis", "exporter"),
    _not_ours("volumes", "config", "auth", "redis-data"),
)


def _has_one_of(names: tuple[str, str], config: Mapping[str, object]) -> bool:
    return not all(name in config for name in names)


def _has_none_of(ours: settings.Ours, config: Mapping[str, object]) -> bool:
    return not any(ours.has(name) for name in config)


def _not_users(ours: settings.Ours) -> Rule:
    return Rule(at="config", cel=ours.cel, message=ours.sentence, holds=partial(_has_none_of, ours))


_CONFIG: Final = (
    Rule(
        at="config",
        cel=f"self.all(name, name.matches('{settings.NAME_PATTERN}'))",
        message=settings.NAMES_SENTENCE,
        holds=settings.names_are_plain,
    ),
    # A server has the pattern, and no words.
    Rule(at="config", cel="", message=settings.VALUES_SENTENCE, holds=settings.values_are_plain),
    *map(_not_users, settings.OURS),
    *(
        Rule(
            at="config",
            cel=f"!('{previous}' in self) || !('{now}' in self)",
            message=f"{previous} and {now} are two names of one parameter: write one of them",
            holds=partial(_has_one_of, (previous, now)),
        )
        for previous, now in settings.TWO_NAMES.items()
    ),
)
_OF_RESOURCES: Final = (*_amounts("requests"), *_amounts("limits"), *_REQUESTS_FIT)

# What a pattern cannot say, CEL cannot either: it knows no calendar.
_WINDOW: Final = (
    Rule(
        cel="",
        message="it names no time: write minute (0-59), hour (0-23), day of the month (1-31), month (1-12) and day of"
        " the week (0-7, or SUN to SAT), for example '0 2 * * SUN'",
        holds=is_cron,
        at="cron",
    ),
    Rule(
        cel="",
        message="no such time zone is known: write a name of the IANA database, for example Europe/Paris",
        holds=is_zone,
        at="time_zone",
    ),
)


RULES: Final[dict[type[msgspec.Struct], tuple[Rule, ...]]] = {
    RedisClusterSpec: (
        _APP,
        _LOAD_BALANCER_CLASS,
        _CLUSTER_CAPACITY,
        _PROXY_IMAGE,
        *_SECRETS,
        *_PROXY_SECRETS,
        *_REDIS_PARTS,
        *_CONFIG,
        _not_users(settings.OF_ONE_DATABASE),
    ),
    RedisStandbySpec: (*_FIXED, _CAPACITY, *_SECRETS, _WRITE_POLICY, *_REDIS_PARTS, *_CONFIG),
    RedisStandaloneSpec: (*_FIXED, _CAPACITY, *_SECRETS, *_REDIS_PARTS, *_CONFIG),
    ProxySpec: (_not_ours("containers", "proxy"), _not_ours("volumes", "config", "secret", "tmp")),
    SentinelSpec: (_not_ours("containers", "sentinel"), _not_ours("volumes", "config", "auth", "data")),
    PodSettings: (
        _keys("annotations"),
        _keys("labels"),
        _keys("node_selector"),
        _unique("containers"),
        _unique("volumes"),
    ),
    ServiceSettings: (_keys("annotations"),),
    ResourceSettings: _OF_RESOURCES,
    ExporterResources: tuple(replace(rule, cel="") for rule in _OF_RESOURCES),
    RolloutWindow: _WINDOW,
}


def rules_of(type_: type[msgspec.Struct], at: str) -> tuple[Rule, ...]:
    """The rules of *type_* about its attribute *at*, or about the whole where that is ""."""
    return tuple(rule for rule in RULES.get(type_, ()) if rule.at == at)
