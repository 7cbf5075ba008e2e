"""Decides what the password is that a spec names by reference.

Such Secrets are not ours and have no label of ours: they are read one by one, never listed, so that the operator holds
no password that nobody gave it.
"""

from __future__ import annotations

import base64
import binascii

from tdredis.api.instance import SecretRef
from tdredis.kube.client import Client
from tdredis.kube.resources import SECRETS
from tdredis.observe.lookups import Lookups
from tdredis.planning.snapshot import Key

KEPT_S = 30.0  # how late a changed Secret is noticed
MISSING_S = 2.0  # how late one that was not there


class UnreadableSecretError(Exception):
    """The password cannot be had; the message says what to write, and holds no secret."""


class NotReadYetError(UnreadableSecretError):
    """Nobody has answered yet."""


class SecretReader:
    """Passwords by reference, as they were read last: also while the API server is silent."""

    def __init__(self, client: Client, lookups: Lookups) -> None:
        self._client = client
        self._lookups = lookups

    def read(self, key: Key, ref: SecretRef) -> str:
        """The password; a line break at its end is not part of it. Raises UnreadableSecretError."""

        async def fetch() -> object:
            found = await self._client.find(SECRETS, key.namespace, ref.name)
            return None if found is None else found.get("data") or {}

        last = self._lookups.peek(key, ref)
        fresh_s = KEPT_S if last is not None and last.found is not None and not last.error else MISSING_S
        answer = self._lookups.look(key, ref, fetch, fresh_s=fresh_s)
        if answer is None:
            raise NotReadYetError(f"Secret {ref.name} has not been read yet: the API server has not answered")
        if answer.found is not None:
            return _decode(answer.found, ref)
        if answer.error:
            raise UnreadableSecretError(f"Secret {ref.name} cannot be read: {answer.error}")
        raise UnreadableSecretError(f"there is no Secret {ref.name}: create it, with the key {ref.key}")


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
