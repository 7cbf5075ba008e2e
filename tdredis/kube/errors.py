"""What a refusal of the API server means to us: without this tree every caller would read status codes on its own.

ApiError                    the server, or the way to it, did not do what was asked
├── Unauthorized            401: credentials missing or no longer good
├── Forbidden               403: RBAC, quota or an admission plug-in refused
├── NotFound                404
├── Conflict                409: resourceVersion or uid precondition, or a server-side apply conflict
├── AlreadyExists           409, reason AlreadyExists
├── Gone                    410: the resourceVersion (or continue token) is too old, list again
├── Invalid                 400, 422: the object was refused by schema, CEL rule or validation
├── TooManyRequests         429: come back after `retry_after_s`
├── TooMuchOutput           a command in a container wrote more than we take
└── ServerUnavailable       5xx, refused or cut connection
    └── DeadlineExceeded    no complete answer within the deadline: the write may or may not have happened
        └── WatchSilent     a watch without a frame for too long

A message is the server's own sentence. A schema violation may quote the offending value, so whoever shows a message
to people passes it through the redaction of secrets first.
"""

from collections.abc import Mapping

import msgspec

from tdredis.api.json_object import JSONObject


class ApiError(Exception):
    """The server's Status: `status` is the HTTP code (0: no answer), `reason` its CamelCase word."""

    def __init__(self, status: int, reason: str, message: str, details: JSONObject | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details: JSONObject = details or {}

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}" if self.status else f"{self.reason}: {self.message}"


class Unauthorized(ApiError):
    pass


class Forbidden(ApiError):
    pass


class NotFound(ApiError):
    pass


class Conflict(ApiError):
    pass


class AlreadyExists(ApiError):
    pass


class Gone(ApiError):
    pass


class Invalid(ApiError):
    pass


class TooManyRequests(ApiError):
    retry_after_s: float = 1.0


class TooMuchOutput(ApiError):
    pass


class ServerUnavailable(ApiError):
    retry_after_s: float | None = None  # None: the server did not say when to come back


class DeadlineExceeded(ServerUnavailable):
    pass


class WatchSilent(DeadlineExceeded):
    pass


class _Status(msgspec.Struct):
    """The `Status` object of an error answer or of an ERROR frame; everything optional, proxies answer plain text."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_STATUS = msgspec.json.Decoder(_Status)

_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def parse_error(status: int, body: bytes | msgspec.Raw, headers: Mapping[str, str] | None = None) -> ApiError:
    """The error for an answer; `status` 0 takes the code from the Status object (a watch's ERROR frame)."""
    try:
        said = _STATUS.decode(body)
    except msgspec.DecodeError:
        said = _Status(message=bytes(body)[:200].decode("utf-8", "replace").strip())
    status = status or said.code
    message = said.message or f"the server answered {status} without a message"
    kind = _BY_STATUS.get(status, ServerUnavailable if status >= 500 else ApiError)
    if kind is Conflict and said.reason == "AlreadyExists":
        kind = AlreadyExists
    if said.reason == "Expired":
        kind = Gone
    details = _details(said)
    error = kind(status, said.reason or kind.__name__, message, details)
    wait_s = _retry_after_s(details, headers or {})
    if wait_s is not None and isinstance(error, TooManyRequests | ServerUnavailable):
        error.retry_after_s = wait_s
    return error


def is_namespace_going(error: ApiError) -> bool:
    """The namespace is being deleted: nothing new may be made in it, and nobody need be told. Source: the admission
    plug-in NamespaceLifecycle, cause NamespaceTerminating.
    """
    causes = error.details.get("causes")
    found = (cause.get("reason") for cause in causes if isinstance(cause, dict)) if isinstance(causes, list) else ()
    return error.status == 403 and "NamespaceTerminating" in found


def _details(said: _Status) -> JSONObject:
    details = None if isinstance(said.details, msgspec.UnsetType) else msgspec.json.decode(said.details)
    return details if isinstance(details, dict) else {}


def _retry_after_s(details: JSONObject, headers: Mapping[str, str]) -> float | None:
    for value in (headers.get("Retry-After"), details.get("retryAfterSeconds")):
        try:
            wait_s = float(value)  # type: ignore[arg-type]  # whatever is no number is caught below
        except (TypeError, ValueError):
            continue
        if 0 <= wait_s < float("inf"):
            return wait_s
    return None
