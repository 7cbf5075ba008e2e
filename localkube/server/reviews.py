"""Who a token belongs to and what they may do: the questions that services put to the API server.

One token is known: its holder is of `system:masters` and may do everything. For everybody else the roles and bindings
that are stored decide, as a real server's RBAC does; nothing is enforced on anybody, as nobody else gets in.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from localkube import errors
from localkube.errors import bad_request
from localkube.registry import Obj, Registry

RBAC = "rbac.authorization.k8s.io"
MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Subject:
    name: str
    groups: tuple[str, ...]


HOLDER = Subject("kubernetes-admin", (MASTERS, "system:authenticated"))


def answer_review(registry: Registry, token: str, kind: str, namespace: str | None, review: Obj) -> Obj:
    """The review with its status. *kind*: as in the URL's last part. Raises ApiError 400 and 422."""
    spec: Obj = review.get("spec") or {}
    match kind:
        case "tokenreviews":
            status = _whose(token, spec)
        case "selfsubjectreviews":
            status = {"userInfo": _user(HOLDER)}
        case "selfsubjectrulesreviews":
            everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            paths = {"verbs": ["*"], "nonResourceURLs": ["*"]}
            status = {"resourceRules": [everything], "nonResourceRules": [paths], "incomplete": False}
        case "selfsubjectaccessreviews":
            _check_asked(review, spec)
            status = _verdict(registry, HOLDER, spec)
        case _:
            _check_asked(review, spec)
            if not spec.get("user") and not spec.get("groups"):
                why = "at least one of user or group must be specified"
                raise _refuse(review, errors.invalid_value("spec.user", "", why))
            asked: Obj = spec.get("resourceAttributes") or {}
            if namespace is not None and asked.get("namespace", namespace) != namespace:
                field = "spec.resourceAttributes.namespace"
                raise _refuse(
                    review, errors.invalid_value(field, asked.get("namespace"), "must match metadata.namespace")
                )
            status = _verdict(registry, Subject(spec.get("user") or "", tuple(spec.get("groups") or ())), spec)
    return {**review, "metadata": {"creationTimestamp": None, **(review.get("metadata") or {})}, "status": status}


def _refuse(review: Obj, error: errors.FieldError) -> errors.ApiError:
    return errors.invalid("authorization.k8s.io", review.get("kind", ""), "", [error])


def _whose(token: str, spec: Obj) -> Obj:
    given = spec.get("token")
    if not given:
        raise bad_request("token is required for TokenReview in authentication")
    if not hmac.compare_digest(str(given).encode(), token.encode()):
        return {"user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": _user(HOLDER)}


def _user(subject: Subject) -> Obj:
    return {"username": subject.name, "groups": list(subject.groups)}


def _check_asked(review: Obj, spec: Obj) -> None:
    if bool(spec.get("resourceAttributes")) is bool(spec.get("nonResourceAttributes")):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _refuse(review, errors.invalid_value("spec.resourceAttributes", spec.get("resourceAttributes"), why))


def _verdict(registry: Registry, subject: Subject, spec: Obj) -> Obj:
    """A status without a yes is a no, as on a real server: nothing ever denies, somebody must allow."""
    if MASTERS in subject.groups:
        return {"allowed": True}
    asked: Obj = spec.get("resourceAttributes") or {}
    path: Obj = spec.get("nonResourceAttributes") or {}
    for binding, rules in _rules_for(registry, subject, asked.get("namespace") or ""):
        if any(_allows_resource(rule, asked) if asked else _allows_path(rule, path) for rule in rules):
            role, name = binding["roleRef"], binding["metadata"]["name"]
            where = binding["metadata"].get("namespace")
            title = f'{binding["kind"]} "{name}/{where}"' if where else f'{binding["kind"]} "{name}"'
            return {"allowed": True, "reason": f'RBAC: allowed by {title} of {role["kind"]} "{role["name"]}"'}
    return {"allowed": False}


def _rules_for(registry: Registry, subject: Subject, namespace: str) -> Iterator[tuple[Obj, Sequence[Obj]]]:
    bindings: list[Obj] = list(registry.list(f"clusterrolebindings.{RBAC}"))
    if namespace:
        bindings += registry.list(f"rolebindings.{RBAC}", namespace)
    for binding in bindings:
        home = binding["metadata"].get("namespace")
        if not any(_is_meant(one, subject, home) for one in binding.get("subjects") or ()):
            continue
        reference = binding["roleRef"]
        if reference["kind"] == "Role":
            role = registry.find(f"roles.{RBAC}", home, reference["name"])
        else:
            role = registry.find(f"clusterroles.{RBAC}", None, reference["name"])
        if role is not None:
            yield binding, _rules_of(registry, role)


def _rules_of(registry: Registry, role: Obj) -> Sequence[Obj]:
    """A role's own rules, or those of all that an aggregated role selects."""
    selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors")
    if not selectors:
        return role.get("rules") or ()
    found: list[Obj] = []
    for selector in selectors:
        if selector.get("matchExpressions"):
            raise errors.not_implemented("matchExpressions in the aggregationRule of a ClusterRole")
        for one in registry.list(f"clusterroles.{RBAC}", labels=selector.get("matchLabels") or None):
            found += one.get("rules") or ()
    return found


def _is_meant(one: Obj, subject: Subject, home: str | None) -> bool:
    match one.get("kind"):
        case "User":
            return bool(one["name"] == subject.name)
        case "Group":
            return one["name"] in subject.groups
        case "ServiceAccount":
            return subject.name == f"system:serviceaccount:{one.get('namespace') or home}:{one['name']}"
        case _:
            return False


def _covers(allowed: Iterable[str] | None, wanted: str) -> bool:
    listed = list(allowed or ())
    return "*" in listed or wanted in listed


def _allows_resource(rule: Obj, asked: Obj) -> bool:
    resource, subresource = asked.get("resource") or "", asked.get("subresource") or ""
    full = f"{resource}/{subresource}" if subresource else resource
    resources: Sequence[str] = rule.get("resources") or ()
    names: Sequence[Any] = rule.get("resourceNames") or ()
    return (
        _covers(rule.get("verbs"), asked.get("verb") or "")
        and _covers(rule.get("apiGroups"), asked.get("group") or "")
        and (_covers(resources, full) or (bool(subresource) and f"*/{subresource}" in resources))
        and (not names or asked.get("name") in names)
    )


def _allows_path(rule: Obj, asked: Obj) -> bool:
    path = asked.get("path") or ""
    fits = any(
        path == one or (one.endswith("*") and path.startswith(one[:-1])) for one in rule.get("nonResourceURLs") or ()
    )
    return fits and _covers(rule.get("verbs"), asked.get("verb") or "")
