"""What a refused request says: code, reason and wording as a real API server has them, for clients act on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class ApiError(Exception):
    """One refused request. *code* is the HTTP status; the others are the fields of a `Status` object."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def as_status(self) -> dict[str, Any]:
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            status["details"] = self.details
        status["code"] = self.code
        return status


@dataclass(frozen=True, slots=True)
class FieldError:
    """One complaint about one field. *detail* starts with its kind, as in `Invalid value: 2: must be 3 or more`."""

    field: str
    reason: str  # FieldValueInvalid, FieldValueRequired, FieldValueNotSupported, FieldValueForbidden, ...
    detail: str

    def __str__(self) -> str:
        return f"{self.field}: {self.detail}" if self.field else self.detail


def quote_value(value: object) -> str:
    """A value as the server prints it in a complaint: strings quoted, objects and lists as JSON."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    quoted = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return quoted if quoted.isprintable() else "".join(map(_printable, quoted))


def _printable(character: str) -> str:
    """As Go quotes it: what nobody sees is written as its number."""
    return character if character.isprintable() else f"\\u{ord(character):04x}"


def invalid_value(field: str, value: object, detail: str) -> FieldError:
    return FieldError(field, "FieldValueInvalid", f"Invalid value: {quote_value(value)}: {detail}")


def wrong_type(field: str, value: object, detail: str) -> FieldError:
    return FieldError(field, "FieldValueTypeInvalid", f"Invalid value: {quote_value(value)}: {detail}")


def required_value(field: str, detail: str = "") -> FieldError:
    return FieldError(field, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")


def unsupported_value(field: str, value: object, supported: Sequence[object]) -> FieldError:
    named = ", ".join(quote_value(one if isinstance(one, str) else quote_value(one)) for one in supported)
    return FieldError(
        field, "FieldValueNotSupported", f"Unsupported value: {quote_value(value)}: supported values: {named}"
    )


def duplicate_value(field: str, value: object) -> FieldError:
    return FieldError(field, "FieldValueDuplicate", f"Duplicate value: {quote_value(value)}")


def forbidden_field(field: str, detail: str) -> FieldError:
    return FieldError(field, "FieldValueForbidden", f"Forbidden: {detail}")


def too_long(field: str, limit: int) -> FieldError:
    return FieldError(field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def _named(resource: str, name: str, *, kind: str | None = None) -> dict[str, Any]:
    plural, _, group = resource.partition(".")
    details: dict[str, Any] = {"name": name}
    if group:
        details["group"] = group
    details["kind"] = kind or plural
    return details


def not_found(resource: str, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{resource} "{name}" not found', _named(resource, name))


def already_exists(resource: str, name: str) -> ApiError:
    return ApiError(409, "AlreadyExists", f'{resource} "{name}" already exists', _named(resource, name))


def conflict(resource: str, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, _named(resource, name))


def stale(resource: str, name: str) -> ApiError:
    return conflict(
        resource, name, "the object has been modified; please apply your changes to the latest version and try again"
    )


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def forbidden(resource: str, name: str, why: str, *, causes: list[dict[str, Any]] | None = None) -> ApiError:
    details = _named(resource, name)
    if causes:
        details["causes"] = causes
    return ApiError(403, "Forbidden", f'{resource} "{name}" is forbidden: {why}', details)


def not_implemented(what: str) -> ApiError:
    """What localkube lacks must be named, never answered with something that looks right."""
    return ApiError(501, "NotImplemented", f"localkube does not implement {what}")


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> ApiError:
    """422 with every complaint, in the order found and each once."""
    unique = list(dict.fromkeys(errors))
    texts = [str(error) for error in unique]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    qualified = f"{kind}.{group}" if group else kind
    details: dict[str, Any] = {"name": name}
    if group:
        details["group"] = group
    details["kind"] = kind
    details["causes"] = [{"reason": error.reason, "message": error.detail, "field": error.field} for error in unique]
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {listed}', details)
