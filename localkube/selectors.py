"""Which objects a label selector or field selector picks: the query strings of LIST and WATCH, and `spec.selector`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from localkube.errors import ApiError, bad_request

Labels = Mapping[str, str]
Predicate = Callable[[Labels], bool]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_SET = re.compile(rf"^({_NAME})\s+(in|notin)\s*\(([^()]*)\)$")
_EQUAL = re.compile(rf"^({_NAME})\s*(==|=|!=)\s*({_NAME}|)$")
_EXISTS = re.compile(rf"^(!?)\s*({_NAME})$")


def _everything(_: Labels) -> bool:
    return True


@functools.lru_cache(maxsize=4096)
def parse_selector(text: str) -> Predicate:
    """A predicate on labels from `a=b,c!=d,e in (x,y),f notin (z),g,!h`. Raises ApiError 400 on anything else."""
    tests = [_parse_term(term.strip(), text) for term in re.split(r",(?![^(]*\))", text) if term.strip()]
    if not tests:
        return _everything
    if len(tests) == 1:
        return tests[0]
    return lambda labels: all(test(labels) for test in tests)


def _parse_term(term: str, whole: str) -> Predicate:
    if found := _SET.match(term):
        key, operator, listed = found.groups()
        return _in_set(key, operator == "in", frozenset(one.strip() for one in listed.split(",")))
    if found := _EQUAL.match(term):
        key, operator, value = found.groups()
        return _in_set(key, operator != "!=", frozenset((value,)))
    if found := _EXISTS.match(term):
        absent, key = found.groups()
        return (lambda labels: key not in labels) if absent else (lambda labels: key in labels)
    raise bad_request(f"unable to parse requirement: {term!r} of selector {whole!r}")


def _in_set(key: str, wanted: bool, values: frozenset[str]) -> Predicate:
    # An absent label satisfies != and notin: that is how the real server reads them.
    if wanted:
        return lambda labels: labels.get(key) in values
    return lambda labels: labels.get(key) not in values


def selector_predicate(selector: Mapping[str, Any] | None) -> Predicate:
    """A predicate from a LabelSelector object (matchLabels, matchExpressions). None selects nothing, {} everything."""
    if selector is None:
        return lambda _: False
    tests: list[Predicate] = [
        _in_set(key, True, frozenset((value,))) for key, value in (selector.get("matchLabels") or {}).items()
    ]
    tests.extend(_parse_expression(expression) for expression in selector.get("matchExpressions") or ())
    return lambda labels: all(test(labels) for test in tests)


def _parse_expression(expression: Mapping[str, Any]) -> Predicate:
    key: str = expression["key"]
    match expression.get("operator"):
        case "In" | "NotIn" as operator:
            return _in_set(key, operator == "In", frozenset(expression.get("values") or ()))
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
        case operator:
            raise ApiError(422, "Invalid", f"{operator!r} is not a valid label selector operator")


# Which fields a real server lets one select by; any other is refused, never ignored.
_FIELDS_OF: Mapping[str, tuple[str, ...]] = {
    "pods": ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase",
             "status.podIP", "status.nominatedNodeName"),
    "events": ("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
               "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
               "reportingComponent", "source", "type"),
    "secrets": ("type",),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "services": ("spec.clusterIP", "spec.type"),
    "replicasets.apps": ("status.replicas",),
    "jobs.batch": ("status.successful",),
}  # fmt: skip


def _unknown_field(resource: str, name: str) -> str:
    if resource in _FIELDS_OF:
        return f"field label not supported: {name}"
    return f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def parse_field_selector(resource: str, text: str) -> Callable[[Mapping[str, Any]], bool]:
    """A predicate on objects from `metadata.name=x,status.phase!=Running`. Raises ApiError 400 for an unknown field."""
    tests: list[tuple[tuple[str, ...], bool, str]] = []
    for term in filter(None, (part.strip() for part in text.split(","))):
        found = re.match(r"^([A-Za-z0-9.]+)\s*(==|=|!=)\s*(.*)$", term)
        if not found:
            raise bad_request(f"invalid field selector: {term!r}")
        name, operator, value = found.groups()
        allowed = ("metadata.name", "metadata.namespace", *_FIELDS_OF.get(resource, ()))
        if name not in allowed:
            raise bad_request(_unknown_field(resource, name))
        path = ("source", "component") if name == "source" else tuple(name.split("."))
        tests.append((path, operator != "!=", value))
    return lambda obj: all((_field_text(obj, path) == value) is wanted for path, wanted, value in tests)


def _field_text(obj: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        return "false" if path == ("spec", "unschedulable") else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def selector_text(selector: Mapping[str, Any]) -> str:
    """A LabelSelector object as the text that queries take."""
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or ():
        values = ",".join(one.get("values") or ())
        match one["operator"]:
            case "In":
                terms.append(f"{one['key']} in ({values})")
            case "NotIn":
                terms.append(f"{one['key']} notin ({values})")
            case "Exists":
                terms.append(one["key"])
            case _:
                terms.append(f"!{one['key']}")
    return ",".join(terms)
