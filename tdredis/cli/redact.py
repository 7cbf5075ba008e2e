"""Decides what of a text may leave the house: no password, however it is written.

What is known to be secret is taken out wherever it stands; and what looks like one, by the name before it, is too,
because not every secret can be read by whoever makes a report.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

HIDDEN: Final = "***"
SHORTEST: Final = 4  # letters; a shorter one is hidden where it stands alone
# Fields of objects whose value is a secret, whatever it is.
_SECRET_FIELDS: Final = re.compile(
    r"(?i)^(secret|proxysecret|password|passwd|pass|token|apikey|api_key|accesskey|secretkey|credentials?|client-key-data|"
    r"client-certificate-data|bearertoken)$"
)
_SECRET_ENV: Final = re.compile(r"(?i)(passw(or)?d|secret|token|apikey|api_key|credential|auth$)")
# kubectl keeps the whole manifest in the first, passwords and all.
_DROPPED_ANNOTATIONS: Final = ("kubectl.kubernetes.io/last-applied-configuration",)
# A directive and its value stand on one line; other names only count with "=" or ":", sentences speak of passwords too.
_VALUE: Final = r"""(?!\*\*\*)("[^"\n]*"|'[^'\n]*'|[^\s,;}\]]+)"""
_DIRECTIVES: Final = (
    re.compile(
        r"(?i)\b(requirepass|masterauth|primaryauth|sentinel-pass|tls-key-file-pass|tls-client-key-file-pass)"
        r"""(["']?[ \t]*[=:][ \t]*|["']?[ \t]+)""" + _VALUE
    ),
    re.compile(r"""(?i)([-\w]*(?:password|passwd|REDISCLI_AUTH))(["']?[ \t]*[=:][ \t]*)""" + _VALUE),
)
# sentinel auth-pass NAME PASSWORD, in a file and as a command.
_AUTH_PASS: Final = re.compile(r"(?i)\b(auth-pass\s+[^\s]+\s+)[^\s]+")
_ACL: Final = re.compile(r"(^|\s)[<>#!][^\s]+", re.MULTILINE)  # of an ACL rule: >password, #hash
_URL: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s:@]*:[^/\s@]+@")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}")


class Redactor:
    """*secrets*: what is known to be secret."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret.strip() for form in _forms(secret)}
        # The longest first: one may be a part of another.
        self._patterns = [_pattern(form) for form in sorted(forms, key=lambda form: (-len(form), form))]

    def text(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(HIDDEN, text)
        text = _AUTH_PASS.sub(lambda found: f"{found[1]}{HIDDEN}", text)
        for directive in _DIRECTIVES:
            text = directive.sub(lambda found: f"{found[1]}{found[2]}{HIDDEN}", text)
        text = _URL.sub(lambda found: f"{found[1]}{HIDDEN}@", text)
        text = _BEARER.sub(lambda found: f"{found[1]} {HIDDEN}", text)
        return "\n".join(
            _ACL.sub(rf"\1{HIDDEN}", line) if line.startswith(("user ", "ACL ")) else line for line in text.split("\n")
        )

    def manifest(self, value: Any) -> Any:
        """An object of the API server, by its fields: data of Secrets, passwords of spec, variables of containers."""
        if isinstance(value, Mapping) and value.get("kind") == "Secret":
            return self._value(
                {**value, "data": _names_of(value.get("data")), "stringData": _names_of(value.get("stringData"))}
            )
        return self._value(value)

    def _value(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case list():
                return [self._value(each) for each in value]
            case {"name": str(name), "value": str()} if _SECRET_ENV.search(name):
                return {**{key: self._value(each) for key, each in value.items()}, "value": HIDDEN}
            case dict():
                return {key: self._field(key, each) for key, each in value.items() if key not in _DROPPED_ANNOTATIONS}
            case _:
                return value

    def _field(self, name: str, value: Any) -> Any:
        if isinstance(value, str | int | float) and not isinstance(value, bool) and _SECRET_FIELDS.match(name):
            return HIDDEN if value != "" else ""
        return self._value(value)


def _names_of(data: Any) -> dict[str, str]:
    return dict.fromkeys(data, HIDDEN) if isinstance(data, Mapping) else {}


def _forms(secret: str) -> tuple[str, ...]:
    """As it may be written: itself, in JSON, in a URL, in base64 as Secrets carry it."""
    encoded = base64.b64encode(secret.encode()).decode()
    return (
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        encoded,
    )


def _pattern(form: str) -> re.Pattern[str]:
    if len(form) >= SHORTEST:
        return re.compile(re.escape(form))
    return re.compile(rf"(?<![\w-]){re.escape(form)}(?![\w-])")
