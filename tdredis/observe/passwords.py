"""Decides which passwords are desired and which are effective, and which of them a process is tried with."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tdredis.api.instance import Instance, SecretRef
from tdredis.api.rediscluster import RedisCluster
from tdredis.manifests.names import PASSWORD_KEY, PROXY_PASSWORD_KEY, auth_secret_name, proxy_name
from tdredis.manifests.site import Passwords
from tdredis.observe.secrets import NotReadYetError, SecretReader, UnreadableSecretError
from tdredis.planning.live import Live
from tdredis.planning.snapshot import Key, Ref
from tdredis.redislink.access import Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What spec asks for; *passwords* None: it is not to be had. *problems*: why, a sentence each. *is_awaited*: the
    API server has not answered yet.
    """

    passwords: Passwords | None = field(repr=False)
    problems: tuple[str, ...] = ()
    is_awaited: bool = False


def read_desired(key: Key, instance: Instance, secrets: SecretReader) -> Desired:
    """Waits for nobody."""
    problems: list[str] = []
    is_awaited = False

    def read(inline: str, ref: SecretRef | None) -> str:
        nonlocal is_awaited
        if ref is None:
            return inline
        try:
            return secrets.read(key, ref)
        except NotReadYetError:
            is_awaited = True
        except UnreadableSecretError as error:
            problems.append(str(error))
        return ""

    spec = instance.spec
    redis = read(spec.secret, spec.secret_ref)
    proxy = ""
    if isinstance(instance, RedisCluster):
        proxy = read(instance.spec.proxy_secret or "", instance.spec.proxy_secret_ref)
    if problems or is_awaited:
        return Desired(passwords=None, problems=tuple(problems), is_awaited=is_awaited)
    return Desired(passwords=Passwords(redis=redis, proxy=proxy))


def effective(
    instance: Instance, children: Mapping[Ref, Live], desired: Passwords | None, accepted: str | None
) -> Passwords:
    """What the running processes were given: what they accepted, *accepted*, if they did; else the Secrets', where
    there are any; else what spec says. A Secret that somebody edited is not what processes have.

    The proxy's follows spec at once: it is rolled.
    """
    wanted = desired or Passwords(redis="", proxy="")
    stored = _stored(children, auth_secret_name(instance.name), PASSWORD_KEY)
    redis = next(each for each in (accepted, stored, wanted.redis) if each is not None)
    proxy = None if desired else _stored(children, proxy_name(instance.name), PROXY_PASSWORD_KEY)
    return Passwords(redis=redis, proxy=wanted.proxy if proxy is None else proxy)


def access(instance: Instance, children: Mapping[Ref, Live], effective: Passwords, desired: Passwords | None) -> Access:
    """The effective one first: most processes have it. One may have the Secret's, or what spec asks for."""
    stored = _stored(children, auth_secret_name(instance.name), PASSWORD_KEY)
    found = (effective.redis, stored, desired.redis if desired else None)
    return Access(tuple(dict.fromkeys(each for each in found if each is not None)))


def most_accepted(accepted: Iterable[str | None], before: str | None) -> str | None:
    """The password that most processes accepted, *before* where nobody tells; ties go to that one, or the lowest."""
    counts = Counter(each for each in accepted if each is not None)
    if not counts:
        return before
    most = max(counts.values())
    best = sorted(each for each, count in counts.items() if count == most)
    return before if before in best else best[0]


def _stored(children: Mapping[Ref, Live], name: str, key: str) -> str | None:
    secret = children.get(Ref("Secret", name))
    data = secret.json.get("data") if secret else None
    encoded = data.get(key) if isinstance(data, dict) else None
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except ValueError:  # somebody edited it: it is put back
        return None
