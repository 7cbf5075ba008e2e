"""Decides what fields are called in manifests, and which bounds many of them share.

Bounds live in `extra_json_schema`, which msgspec does not enforce: an object stored before a bound existed must still
be readable, so that its owner is told what to write (`validation.problems`), instead of a failure to decode.
The key `x-write` says in words what a pattern demands; `x-pattern` is the pattern where a server had better not quote
it, because nobody could read it. Neither reaches the CRD but as a rule.
"""

from __future__ import annotations

from typing import Any, Final

GROUP: Final = "cache.tongdun.net"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

# What users of the Go operator have in their manifests: lower case, whatever our attribute is called.
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


MOST_MIB: Final = 1 << 30  # a pebibyte
Bounds = dict[str, Any]  # what msgspec.Meta takes as extra_json_schema

_DIGEST: Final = "@[A-Za-z][A-Za-z0-9]*([-+._][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_HOST: Final = r"([A-Za-z0-9][-A-Za-z0-9.]*|\[[0-9a-fA-F:]+\])(:[0-9]+)?/"
# Source: distribution, "reference grammar"; what a kubelet would call InvalidImageName.
_IMAGE: Final = f"({_HOST})?[a-z0-9]+([-._/]+[a-z0-9]+)*(:[A-Za-z0-9_][-A-Za-z0-9_.]{{0,127}})?({_DIGEST})?"
IMAGE: Final[Bounds] = {
    "minLength": 1,
    "maxLength": 512,
    "pattern": r"^\S+$",
    "x-pattern": f"^{_IMAGE}$",
    "x-write": "an image such as redis:7.0 or registry.example.com/team/redis:7.0, without blanks",
}
IMAGE_OR_NONE: Final[Bounds] = {**IMAGE, "minLength": 0, "pattern": r"^\S*$", "x-pattern": f"^({_IMAGE})?$"}
TEXT: Final[Bounds] = {"maxLength": 253}
_SUBDOMAIN: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
# What an object of Kubernetes may be called (RFC 1123 subdomain).
OBJECT_NAME: Final[Bounds] = {
    "minLength": 1,
    "maxLength": 253,
    "pattern": f"^{_SUBDOMAIN}$",
    "x-write": "lower-case letters, digits, '-' and '.', a letter or digit at both ends of each part",
}
OBJECT_NAME_OR_NONE: Final[Bounds] = {**OBJECT_NAME, "minLength": 0, "pattern": f"^({_SUBDOMAIN})?$"}
PASSWORD: Final[Bounds] = {"maxLength": 512}
NET_MODE: Final[Bounds] = {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]}

_OCTET: Final = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"  # 010 is 8 to some, and 10 to others
_GROUP: Final = "[0-9a-fA-F]{1,4}"
_IPV6: Final = "|".join(
    (
        f"({_GROUP}:){{7}}({_GROUP}|:)",
        *(f"({_GROUP}:){{{before}}}(:{_GROUP}){{1,{7 - before}}}" for before in range(1, 7)),
        *(f"({_GROUP}:){{{before}}}:" for before in range(1, 7)),
        f":((:{_GROUP}){{1,7}}|:)",
    )
)
_LABEL: Final = "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
# The last part of a host's name begins with a letter: 10.0.0.256 is no host, and no address.
_HOST_NAME: Final = f"({_LABEL}[.])*[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?"
ADDRESS_OR_NONE: Final[Bounds] = {
    "maxLength": 253,
    "x-pattern": f"^(({_OCTET}[.]){{3}}{_OCTET}|{_IPV6}|{_HOST_NAME})?$",
    "x-write": "an IP address such as 192.0.2.7, or a host's name",
}

# A network: its address and the length of its prefix.
CIDR: Final[Bounds] = {
    "maxLength": 43,
    "pattern": r"^[0-9a-fA-F.:]+/[0-9]{1,3}$",
    "x-pattern": f"^(({_OCTET}[.]){{3}}{_OCTET}/(3[0-2]|[12]?[0-9])|({_IPV6})/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$",
    "x-write": "a network such as 192.0.2.0/24 or 2001:db8::/32",
}

_NAME_PART: Final = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
QUALIFIED_NAME: Final = f"^({_SUBDOMAIN}/)?{_NAME_PART}$"  # key of a label or an annotation
_LABEL_VALUE: Final[Bounds] = {
    "type": "string",
    "maxLength": 63,
    "pattern": f"^({_NAME_PART})?$",
    "x-write": "at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends",
}
LABELS: Final[Bounds] = {"maxProperties": 32, "additionalProperties": _LABEL_VALUE}
# Kubernetes takes 256 KiB of annotations altogether, and ours are among them.
ANNOTATIONS: Final[Bounds] = {"maxProperties": 32, "additionalProperties": {"type": "string", "maxLength": 7000}}
_PART_NAME: Final[Bounds] = {
    "type": "string",
    "description": "Its name among the pod's. The rest is as Kubernetes has it.",
    "minLength": 1,
    "maxLength": 63,
    "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "x-write": "lower-case letters, digits and '-', a letter or digit at both ends",
}
# Containers, volumes: of each only the name is ours to look at.
NAMED_PARTS: Final[Bounds] = {
    "maxItems": 16,
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": _PART_NAME},
        "x-kubernetes-preserve-unknown-fields": True,
    },
}
# What Kubernetes itself validates: kept as it is written, and refused by it, with its own words, if it is wrong.
AS_KUBERNETES_HAS_IT: Final[Bounds] = {"x-kubernetes-preserve-unknown-fields": True}
