"""Decides what the password is that a spec names by reference.

Such Secrets are not ours and have no label of ours: they are read one by one, never listed, so that the operator holds
no password that nobody gave it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field

from tdredis.api.instance import SecretRef
from tdredis.kube.client import Client
from tdredis.kube.errors import ApiError
from tdredis.kube.resources import SECRETS

KEPT_S = 30.0  # how late a changed Secret is noticed


class UnreadableSecretError(Exception):
    """The password cannot be had; the message says what to write, and holds no secret."""


@dataclass(frozen=True, slots=True)
class _Kept:
    password: str = field(repr=False)
    until: float


class SecretReader:
    """Reads passwords by reference. Remembers what it has read, for when the API server is silent too."""

    def __init__(self, client: Client, now: Callable[[], float]) -> None:
        """*now*: any clock in seconds."""
        self._client = client
        self._now = now
        self._kept: dict[tuple[str, SecretRef], _Kept] = {}

    async def read(self, namespace: str, ref: SecretRef) -> str:
        """The password; a line break at its end is not part of it. Raises UnreadableSecretError."""
        kept = self._kept.get((namespace, ref))
        if kept is not None and self._now() < kept.until:
            return kept.password
        try:
            found = await self._client.find(SECRETS, namespace, ref.name)
        except ApiError as error:
            if kept is not None:
                return kept.password
            raise UnreadableSecretError(f"Secret {ref.name} cannot be read: {error}") from None
        if found is None:
            raise UnreadableSecretError(f"there is no Secret {ref.name}: create it, with the key {ref.key}")
        password = _decode(found.get("data"), ref)
        self._kept[namespace, ref] = _Kept(password, self._now() + KEPT_S)
        return password

    def forget(self, namespace: str, ref: SecretRef) -> None:
        """Nobody names it any more."""
        self._kept.pop((namespace, ref), None)


def _decode(data: object, ref: SecretRef) -> str:
    encoded = data.get(ref.key) if isinstance(data, dict) else None
    if not isinstance(encoded, str):
        raise UnreadableSecretError(f"Secret {ref.name} has no key {ref.key}: add it, or name another key")
    try:
        password = base64.b64decode(encoded).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise UnreadableSecretError(f"Secret {ref.name}, key {ref.key}: write text in UTF-8") from None
    password = password.removesuffix("\n").removesuffix("\r")
    if "\n" in password:
        raise UnreadableSecretError(f"Secret {ref.name}, key {ref.key}: write the password on one line")
    return password
