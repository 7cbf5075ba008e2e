"""Decides which of two states of an object is the older, and at which version of the whole one was seen."""

import msgspec

from tdredis.kube.objects import Meta


def is_older(one: Meta, other: Meta) -> bool:
    """True only where both resourceVersions are numbers, as every real server's are; else the stream's order counts."""
    mine, theirs = one.resource_version, other.resource_version
    return mine.isdecimal() and theirs.isdecimal() and int(mine) < int(theirs)


class _Version(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Versioned(msgspec.Struct):
    metadata: _Version


_VERSIONED = msgspec.json.Decoder(_Versioned)


def version_of(text: msgspec.Raw) -> str:
    try:
        return _VERSIONED.decode(text).metadata.resource_version
    except msgspec.DecodeError:
        return ""
