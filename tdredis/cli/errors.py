"""Decides how what went wrong is said to the person who typed the command: what happened, and what to do about it."""

from __future__ import annotations


class CommandError(Exception):
    """The message says what cannot be done, and what to write or do instead."""


def explain_error(error: Exception) -> str | None:
    """A sentence for what may go wrong outside; None: it is a bug, and its traceback is wanted.

    What could have raised it is loaded by now, so that asking costs nothing where nothing failed.
    """
    from tdredis.api.kinds import InvalidResourceError  # noqa: PLC0415 not loaded when nothing went wrong
    from tdredis.kube.credentials import ConfigError  # noqa: PLC0415 likewise
    from tdredis.kube.errors import ApiError  # noqa: PLC0415 likewise

    if isinstance(error, ApiError):
        return f"{error}{_advice(error)}"
    if isinstance(error, ConfigError):
        return f"{error}; name a kubeconfig with --kubeconfig or $KUBECONFIG"
    if isinstance(error, InvalidResourceError | OSError):
        return str(error)
    return None


def _advice(error: Exception) -> str:
    from tdredis.kube import errors  # noqa: PLC0415 as above

    match error:
        case errors.NotFound():
            return "; `kubectl get redis -A` lists what there is"
        case errors.Forbidden():
            return "; `kubectl auth can-i --list` says what you may do, whoever runs the cluster can allow it"
        case errors.Unauthorized():
            return "; log in again, or name another context with --context"
        case errors.DeadlineExceeded():
            return "; is the API server reachable from here? `kubectl version` asks the same one"
        case errors.ServerUnavailable():
            return "; `kubectl version` asks the same server: look at the kubeconfig's address and the network"
        case _:
            return ""
