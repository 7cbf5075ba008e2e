"""The part of an object's metadata that we read: who it is, which generation, and whether it is going away."""

import msgspec


class ObjectMeta(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """metadata of a custom resource; timestamps are RFC 3339 text as the server wrote them."""

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None  # None: nobody asked to delete it
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
