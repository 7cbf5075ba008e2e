"""How much a namespace may have together: a ResourceQuota refuses what is beyond it, and says what is used.

Facts: Kubernetes documentation "Resource Quotas"; the sentences are a real server's. Counted are pods with what they
request and may use, what claims request, and the objects of `_OBJECTS`; scopes and other names are refused when they
are written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from fractions import Fraction

from localkube.controllers.fit import requests_of
from localkube.controllers.pods import is_terminal, is_terminating, now_text
from localkube.controllers.quantities import parse_quantity
from localkube.controllers.settings import MANAGER, Settings
from localkube.controllers.workqueue import KeyedQueue
from localkube.errors import forbidden, not_implemented
from localkube.registry import Event, Obj, Registry

QUOTAS = "resourcequotas"
CLAIMS = "persistentvolumeclaims"
_OBJECTS = ("configmaps", CLAIMS, "pods", "secrets", "services")
_STORAGE = "requests.storage"
_OF_PODS = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
_KNOWN = frozenset((*_OF_PODS, _STORAGE, *_OBJECTS, *(f"count/{one}" for one in _OBJECTS)))
_BINARY = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki")

Usage = dict[str, Fraction]
Key = tuple[str, str]


class QuotaController:
    """Refuses at once by what there is; what status says follows."""

    def __init__(self, registry: Registry, _: Settings) -> None:
        self._registry = registry
        self._queue: KeyedQueue[Key] = KeyedQueue("resource quotas", self._reconcile)
        self._unsubscribe: list[Callable[[], None]] = []
        registry.admit(QUOTAS, _check_known)
        for resource in _OBJECTS:
            registry.check(resource, functools.partial(self._check, resource))

    def start(self) -> None:
        subscribe = self._registry.subscribe
        self._unsubscribe = [subscribe(QUOTAS, self._on_quota)]
        self._unsubscribe += [subscribe(one, self._on_object, replay=False) for one in _OBJECTS]

    async def stop(self) -> None:
        for end in self._unsubscribe:
            end()
        self._queue.stop()

    def _on_quota(self, event: Event) -> None:
        if event.type != "DELETED":
            metadata = event.object["metadata"]
            self._queue.mark((metadata["namespace"], metadata["name"]))

    def _on_object(self, event: Event) -> None:
        namespace = event.object["metadata"]["namespace"]
        for quota in self._registry.list(QUOTAS, namespace):
            self._queue.mark((namespace, quota["metadata"]["name"]))

    def _reconcile(self, key: Key) -> None:
        quota = self._registry.find(QUOTAS, *key)
        if quota is None or is_terminating(quota):
            return
        hard = quota["spec"].get("hard") or {}
        used = self._used(key[0])
        status = {"hard": hard, "used": {name: _text(name, used.get(name, Fraction(0))) for name in sorted(hard)}}
        if status != quota.get("status"):
            self._registry.update(QUOTAS, {**quota, "status": status}, subresource="status", manager=MANAGER)

    def _used(self, namespace: str) -> Usage:
        total: Usage = {}
        for resource in _OBJECTS:
            for obj in self._registry.list(resource, namespace):
                if resource != "pods" or not _is_over(obj):
                    _add(total, _usage(resource, obj))
        return total

    def _check(self, resource: str, new: Obj, old: Obj | None, subresource: str | None) -> None:
        """Raises ApiError 403."""
        is_growth = (resource == "pods" and subresource == "resize") or (resource == CLAIMS and subresource is None)
        if old is not None and not is_growth:
            return
        namespace, name = new["metadata"]["namespace"], new["metadata"]["name"]
        quotas = self._registry.list(QUOTAS, namespace)
        if not quotas:
            return
        asked = _usage(resource, new)
        before = _usage(resource, old) if old is not None else {}
        more = {one: amount - before.get(one, Fraction(0)) for one, amount in asked.items()}
        used: Usage | None = None
        for quota in quotas:
            hard = {one: parse_quantity(value) for one, value in (quota["spec"].get("hard") or {}).items()}
            if resource == "pods":
                _check_specified(quota["metadata"]["name"], new, hard)
            if used is None:
                used = self._used(namespace)
            beyond = sorted(
                one
                for one, limit in hard.items()
                if more.get(one, 0) > 0 and used.get(one, Fraction(0)) + more[one] > limit
            )
            if beyond:
                told = ", ".join(
                    f"{what}: {_listed(beyond, amounts)}"
                    for what, amounts in (("requested", more), ("used", used), ("limited", hard))
                )
                raise forbidden(resource, name, f"exceeded quota: {quota['metadata']['name']}, {told}")


def _check_known(new: Obj, _: Obj | None) -> Obj:
    """Raises ApiError 501 for what would not be counted."""
    if new["spec"].get("scopes") or new["spec"].get("scopeSelector"):
        raise not_implemented("scopes of a ResourceQuota")
    for name in new["spec"].get("hard") or ():
        if name not in _KNOWN:
            raise not_implemented(f"{name} in a ResourceQuota")
    return new


def _check_specified(quota: str, pod: Obj, hard: Mapping[str, Fraction]) -> None:
    """Where a sum is limited, every container says its part. Raises ApiError 403."""
    missing: dict[str, list[str]] = {}
    for container in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())):
        resources = container.get("resources") or {}
        has = {f"{part}.{name}" for part in ("requests", "limits") for name in resources.get(part) or ()}
        has |= {name.removeprefix("requests.") for name in has if name.startswith("requests.")}
        for name in set(_OF_PODS) & hard.keys() - has:
            missing.setdefault(name, []).append(container["name"])
    if missing:
        listed = "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))
        raise forbidden("pods", pod["metadata"]["name"], f"failed quota: {quota}: must specify {listed}")


def _usage(resource: str, obj: Obj) -> Usage:
    usage: Usage = {resource: Fraction(1), f"count/{resource}": Fraction(1)}
    if resource == "pods":
        requests, limits = requests_of(obj), requests_of(_as_limits(obj))
        for name in ("cpu", "memory"):
            usage[name] = usage[f"requests.{name}"] = requests.get(name, Fraction(0))
            usage[f"limits.{name}"] = limits.get(name, Fraction(0))
    if resource == CLAIMS:
        asked = ((obj["spec"].get("resources") or {}).get("requests") or {}).get("storage")
        usage[_STORAGE] = parse_quantity(asked) if asked is not None else Fraction(0)
    return usage


def _as_limits(pod: Obj) -> Obj:
    """A pod that requests what *pod* is limited to."""
    spec = dict(pod["spec"])
    for field in ("containers", "initContainers"):
        spec[field] = [
            {**one, "resources": {"requests": (one.get("resources") or {}).get("limits") or {}}}
            for one in spec.get(field) or ()
        ]
    return {**pod, "spec": spec}


def _is_over(pod: Obj) -> bool:
    return is_terminal(pod) or (is_terminating(pod) and pod["metadata"]["deletionTimestamp"] < now_text())


def _add(total: Usage, more: Usage) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Fraction(0)) + amount


def _listed(names: list[str], amounts: Mapping[str, Fraction]) -> str:
    return ",".join(f"{name}={_text(name, amounts.get(name, Fraction(0)))}" for name in names)


def _text(name: str, amount: Fraction) -> str:
    """As a real server writes it: 500m, 2, 128Mi."""
    if amount.denominator != 1:
        return f"{int(amount * 1000)}m"
    if name.endswith(("memory", "storage")):
        for power, suffix in zip(range(6, 0, -1), _BINARY, strict=True):
            if amount and amount % 1024**power == 0:
                return f"{int(amount / 1024**power)}{suffix}"
    return str(int(amount))
