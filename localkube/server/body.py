"""Which object a request body holds, whatever of the accepted encodings it came in."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from localkube.errors import ApiError, bad_request
from localkube.server.protobuf import parse_protobuf

_json: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class _JsonLikeLoader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: what looks like a date stays a string."""


_JsonLikeLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def parse_json(raw: bytes) -> Any:
    try:
        return _json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"the object provided is unrecognized: invalid JSON: {error}") from error


def parse_yaml(raw: bytes) -> Any:
    try:
        return yaml.load(raw, _JsonLikeLoader)  # noqa: S506 - a safe loader, as its base says
    except yaml.YAMLError as error:
        raise bad_request(f"error decoding YAML: {error}") from error


def parse_object(raw: bytes, content_type: str) -> dict[str, Any]:
    """Raises ApiError 415 for an encoding that is not spoken here, 400 for a body that is no object."""
    match content_type:
        case "application/json" | "" | "application/octet-stream":
            decoded = parse_json(raw)
        case "application/yaml":
            decoded = parse_yaml(raw)
        case "application/vnd.kubernetes.protobuf":
            decoded = parse_protobuf(raw)
        case other:
            raise unsupported_media_type(other, ("application/json", "application/yaml"))
    if not isinstance(decoded, dict):
        raise bad_request("the object provided is unrecognized: it is not a JSON object")
    return decoded


def unsupported_media_type(got: str, accepted: tuple[str, ...]) -> ApiError:
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        f"{', '.join(accepted)} (got {got})"
    )
    return ApiError(415, "UnsupportedMediaType", message, {})
