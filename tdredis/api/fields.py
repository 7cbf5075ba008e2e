"""Decides what fields are called in manifests, and which bounds many of them share.

Bounds live in `extra_json_schema`, which msgspec does not enforce: an object stored before a bound existed must still
be readable, so that its owner is told what to write (`validation.problems`), instead of a failure to decode.
The key `x-write` says in words what a pattern demands; it is for people and never reaches the CRD.
"""

from __future__ import annotations

from typing import Any, Final

GROUP: Final = "cache.tongdun.net"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

# What users of old have in their manifests: lower case, whatever our attribute is called.
_WIRE_NAMES_OF_OLD: Final = {
    "monitor_image": "monitorimage",
    "net_mode": "netmode",
    "proxy_image": "proxyimage",
    "proxy_secret": "proxysecret",
    "sentinel_image": "sentinelimage",
    "storage_class": "storageclass",
    "cluster_ip": "clusterIP",
    "external_ip": "externalip",
}


def wire_name(attribute: str) -> str:
    """The name that a field has in a manifest."""
    if attribute in _WIRE_NAMES_OF_OLD:
        return _WIRE_NAMES_OF_OLD[attribute]
    first, *rest = attribute.split("_")
    return first + "".join(word.capitalize() for word in rest)


Bounds = dict[str, Any]  # what msgspec.Meta takes as extra_json_schema

IMAGE: Final[Bounds] = {
    "minLength": 1,
    "maxLength": 512,
    "pattern": r"^\S+$",
    "x-write": "an image name without blanks",
}
IMAGE_OR_NONE: Final[Bounds] = {"maxLength": 512}
TEXT: Final[Bounds] = {"maxLength": 253}
# What an object of Kubernetes may be called (RFC 1123 subdomain).
OBJECT_NAME: Final[Bounds] = {
    "minLength": 1,
    "maxLength": 253,
    "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    "x-write": "lower-case letters, digits, '-' and '.', a letter or digit at both ends",
}
PASSWORD: Final[Bounds] = {"maxLength": 512}
NET_MODE: Final[Bounds] = {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]}
# What Kubernetes itself validates: kept as it is written, and refused by it, with its own words, if it is wrong.
AS_KUBERNETES_HAS_IT: Final[Bounds] = {"x-kubernetes-preserve-unknown-fields": True}
