"""Whether names, labels and the rest of metadata are well-formed, in the words of a real server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from localkube.errors import FieldError, invalid_value
from localkube.resources import ResourceType

Obj = dict[str, Any]
_NOTHING: Mapping[str, Any] = {}

# The same names as the server's own expressions below allow, written so that nothing is ever tried twice.
LABEL = re.compile(r"[a-z0-9]++(?:-++[a-z0-9]++)*+")
_LABEL_1035 = re.compile(r"[a-z][a-z0-9]*+(?:-++[a-z0-9]++)*+")
_SUBDOMAIN = re.compile(r"[a-z0-9]++(?:-++[a-z0-9]++)*+(?:\.[a-z0-9]++(?:-++[a-z0-9]++)*+)*+")
_QUALIFIED = re.compile(r"[A-Za-z0-9]++(?:[-_.]++[A-Za-z0-9]++)*+")
_PATH_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/%]+")

SUBDOMAIN_HELP = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_HELP = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
LABEL_1035_HELP = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
QUALIFIED_HELP = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE_HELP = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
ANNOTATIONS_BYTES = 256 * 1024


def check_metadata(rtype: ResourceType, metadata: Obj, old: Obj | None) -> list[FieldError]:
    found: list[FieldError] = []
    if old is None:
        found += _check_name(rtype, metadata["name"])
    elif metadata == old["metadata"]:
        return found
    found += check_labels(metadata.get("labels"), "metadata.labels")
    annotations = metadata.get("annotations") or _NOTHING
    for key, value in annotations.items():
        found += _check_qualified(key.lower(), "metadata.annotations")
        if not isinstance(value, str):
            found.append(invalid_value(f"metadata.annotations.{key}", value, "must be a string"))
    if sum(len(key) + len(str(value)) for key, value in annotations.items()) > 256 * 1024:
        found.append(
            FieldError("metadata.annotations", "FieldValueTooLong", "Too long: may not be more than 262144 bytes")
        )
    for owner in metadata.get("ownerReferences") or ():
        found += [
            invalid_value(f"metadata.ownerReferences.{name}", "", f"{word} must not be empty")
            for name, word in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid"))
            if not owner.get(name)
        ]
    if sum(1 for owner in metadata.get("ownerReferences") or () if owner.get("controller")) > 1:
        why = "Only one reference can have Controller set to true"
        found.append(invalid_value("metadata.ownerReferences", metadata["ownerReferences"], why))
    for index, finalizer in enumerate(metadata.get("finalizers") or ()):
        where = f"metadata.finalizers[{index}]"
        if "/" in finalizer or finalizer in _PLAIN_FINALIZERS:
            found += _check_qualified(finalizer, where)
        elif rtype.custom:
            found += [] if _SUBDOMAIN.fullmatch(finalizer) else [invalid_value(where, finalizer, SUBDOMAIN_HELP)]
        else:
            advice = "name is neither a standard finalizer name nor is it fully qualified"
            found.append(invalid_value(where, finalizer, advice))
    return found


_PLAIN_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes", "customresourcecleanup.apiextensions.k8s.io")


def _check_name(rtype: ResourceType, name: str) -> list[FieldError]:
    match rtype.key:
        case "services":
            return must_match(_LABEL_1035, name, 63, LABEL_1035_HELP)
        case "namespaces" | "statefulsets.apps":
            return must_match(LABEL, name, 63, LABEL_HELP)
        case key if key.endswith("rbac.authorization.k8s.io"):
            return (
                [] if _PATH_SEGMENT.fullmatch(name) else [invalid_value("metadata.name", name, "may not contain '/'")]
            )
        case _:
            return must_match(_SUBDOMAIN, name, 253, SUBDOMAIN_HELP)


def must_match(
    pattern: re.Pattern[str], name: str, limit: int, advice: str, path: str = "metadata.name"
) -> list[FieldError]:
    found = []
    if len(name) > limit:
        found.append(invalid_value(path, name, f"must be no more than {limit} characters"))
    if not pattern.fullmatch(name):
        found.append(invalid_value(path, name, advice))
    return found


def check_labels(labels: Mapping[str, Any] | None, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for key, value in (labels or _NOTHING).items():
        found += _check_qualified(key, path)
        if not isinstance(value, str):
            found.append(invalid_value(path, value, "must be a string"))
            continue
        if len(value) > 63:
            found.append(invalid_value(path, value, "must be no more than 63 characters"))
        if value and not _QUALIFIED.fullmatch(value):
            found.append(invalid_value(path, value, LABEL_VALUE_HELP))
    return found


def _check_qualified(key: str, path: str) -> list[FieldError]:
    prefix, slash, name = key.rpartition("/")
    found = []
    if slash and not prefix:
        found.append(invalid_value(path, key, "prefix part must be non-empty"))
    elif slash and not _SUBDOMAIN.fullmatch(prefix):
        found.append(invalid_value(path, key, f"prefix part {SUBDOMAIN_HELP}"))
    if not name:
        found.append(invalid_value(path, key, "name part must be non-empty"))
    elif len(name) > 63:
        found.append(invalid_value(path, key, "name part must be no more than 63 characters"))
    if not _QUALIFIED.fullmatch(name):
        found.append(invalid_value(path, key, QUALIFIED_HELP))
    return found
