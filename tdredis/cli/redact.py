"""Decides what of a text may leave the house: no password, however it is written.

What is known to be secret is taken out wherever it stands; and what looks like one, by the name before it, is too,
because not every secret can be read by whoever makes a report.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote, quote_plus

HIDDEN: Final = "***"
SHORTEST: Final = 4  # letters; a shorter one is hidden where it stands alone
# Parameters of Redis and Sentinel that are passwords, or say whose: what they are is not shown.
SECRET_PARAMETERS: Final = frozenset(
    (
        *("requirepass", "masterauth", "masteruser", "primaryauth", "primaryuser", "sentinel-pass", "auth-pass"),
        *("tls-key-file-pass", "tls-client-key-file-pass"),
    )
)
# Fields of objects whose value is a secret, whatever it is.
_SECRET_FIELDS: Final = re.compile(
    r"(?i)^(secret|proxysecret|password|passwd|pass|token|apikey|api_key|accesskey|secretkey|credentials?|client-key-data|"
    r"client-certificate-data|bearertoken)$"
)
_SECRET_ENV: Final = re.compile(r"(?i)(passw(or)?d|secret|token|apikey|api_key|credential|auth$)")
# kubectl keeps the whole manifest in the first, passwords and all.
_DROPPED_ANNOTATIONS: Final = ("kubectl.kubernetes.io/last-applied-configuration",)

_DONE: Final = "\0"  # stands for HIDDEN until a text is done: a password may have *** in it
_PARAMETER: Final = "|".join(sorted(SECRET_PARAMETERS - {"auth-pass"}))
_NAME: Final = r"(?<![-\w.])[-\w.]*(?:password|passwd|REDISCLI_AUTH)"
_OPTION: Final = rf"--?(?!WRONGPASS)[-\w.]*(?:password|passwd|pass|{_PARAMETER})"
# A name in quotes has a value in quotes, as JSON and Python write both.
_QUOTED: Final = re.compile(
    rf"""(?i)(["'](?:{_PARAMETER}|{_NAME})["'][ \t]*[:=,][ \t]*)("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"(?=[ \t]*(?:[,}\])]|$))",
    re.MULTILINE,
)
# Else nobody knows where a value ends, which may have blanks, quotes and commas in it: with the line. Other names than
# Redis's own only count with "=" or ":" behind them, sentences speak of passwords too.
_LINES: Final = tuple(
    re.compile(rf"(?m)({before})(?=\S)(?!{_DONE}).+$")
    for before in (
        rf"(?i:\b(?:{_PARAMETER})(?:[\"']?[ \t]*[=:,][ \t]*|[\"']?[ \t]+))",
        rf"(?i:{_NAME}[\"']?[ \t]*[=:][ \t]*)",
        rf"(?i:(?:^|[\s\"'\[,])(?:{_OPTION})[\"']?[ \t=:,]+)",
        # auth-pass NAME PASSWORD is of sentinel.conf, NAME auth-pass PASSWORD of the command.
        r"(?i:\bsentinel[\"']?[ \t]+[\"']?auth-pass[\"']?[ \t]+\S+[ \t]+)",
        r"(?i:(?<!sentinel )\bauth-pass[\"']?[ \t,]+)",
        # What Redis itself logs about AUTH has no password in it.
        r"\bAUTH2?[\"']?,?[ \t]+(?!(?:to (?:MASTER|PRIMARY)|<password> called|but no password is set)\b)",
        r"(?i:\bhello[\"']?,?[ \t]+[\"']?\d+[\"']?,?[ \t].*?\bauth[\"']?,?[ \t]+)",
        r"(?i:\b(?:redis|valkey|keydb)-(?:cli|benchmark)\b.*?[ \t\"'](?:auth|-a)[\"']?,?[ \t]+)",
        # An ACL rule: >password, #hash, and < and ! that take them away.
        r"(?i:^[ \t]*[\"']?user[\"']?[ \t]+.*?[ \t])(?=[\"']?[<>#!])",
        r"(?i:\bacl[\"']?,?[ \t]+[\"']?setuser\b.*?[ \t])(?=[\"']?[<>#!])",
    )
)
_REDIS_URL: Final = re.compile(r"(?i)\b((?:redis|valkey)s?(?:-\w+)?://).*@")
_URL: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s:@]*:[^\s]+@")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}")
# Among words, each by itself: behind these one is secret, or all that follow are.
_ONE_BEHIND: Final = re.compile(rf"(?i)^(?:-a|(?:{_OPTION})|{_PARAMETER}|auth-pass|{_NAME})$")
_ALL_BEHIND: Final = re.compile(r"(?i)^auth2?$")


class Redactor:
    """*secrets*: what is known to be secret."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret.strip() for form in _forms(secret)}
        # The longest first: one may be a part of another.
        self._patterns = [_pattern(form) for form in sorted(forms, key=lambda form: (-len(form), form))]

    def text(self, text: str) -> str:
        """What is known, and what the words before it say to be secret. Of lines as they were written."""
        text = self.known(text).replace(_DONE, "\\0")
        text = _QUOTED.sub(lambda found: f"{found[1]}{_DONE}", text)
        for line in _LINES:
            text = line.sub(lambda found: f"{found[1]}{_DONE}", text)
        for url in (_REDIS_URL, _URL):
            text = url.sub(lambda found: f"{found[1]}{_DONE}@", text)
        return _BEARER.sub(lambda found: f"{found[1]} {_DONE}", text).replace(_DONE, HIDDEN)

    def known(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(HIDDEN, text)
        return text

    def manifest(self, value: Any) -> Any:
        """An object of the API server, or what Redis answers: passwords of spec, variables of containers, and words of
        commands by those before them. To be called before it is written as YAML, which quotes and folds.
        """
        match value:
            case str():
                return self.text(value)
            case list() if len(value) > 1 and all(isinstance(each, str) for each in value):
                return list(self._words(value))
            case list():
                return [self.manifest(each) for each in value]
            case {"name": str(name), "value": str()} if _SECRET_ENV.search(name):
                return {**{key: self.manifest(each) for key, each in value.items()}, "value": HIDDEN}
            case dict():
                return {key: self._field(key, each) for key, each in value.items() if key not in _DROPPED_ANNOTATIONS}
            case _:
                return value

    def parameter(self, name: str, value: str) -> str:
        """Of Redis, as CONFIG GET has it."""
        return HIDDEN if name.lower() in SECRET_PARAMETERS and value else self.text(value)

    def _field(self, name: str, value: Any) -> Any:
        if isinstance(value, str | int | float) and not isinstance(value, bool) and _SECRET_FIELDS.match(name):
            return HIDDEN if value != "" else ""
        if isinstance(value, str) and name.lower() in SECRET_PARAMETERS:
            return self.parameter(name, value)
        return self.manifest(value)

    def _words(self, words: Sequence[str]) -> Iterator[str]:
        is_acl = [word.lower() for word in words[:2]] == ["acl", "setuser"]
        before = ""
        for index, word in enumerate(words):
            if _ONE_BEHIND.match(before) or (is_acl and word[:1] in "<>#!"):
                yield HIDDEN
            elif _ALL_BEHIND.match(word):
                yield word
                yield from (HIDDEN for _ in words[index + 1 :])
                return
            else:
                yield self.text(word)
            before = word


def _forms(secret: str) -> set[str]:
    """As it may be written: itself, in JSON, in YAML, by Redis, by a shell, in a URL, in base64 as Secrets carry it."""
    quoted = quote(secret, safe="")
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        secret.replace("'", "''"),
        secret.replace("'", "'\\''"),
        shlex.quote(secret),
        repr(secret)[1:-1],
        _as_redis_writes(secret),
        quoted,
        re.sub("%..", lambda found: found[0].lower(), quoted),
        quote(secret),
        quote_plus(secret),
        base64.b64encode(secret.encode()).decode(),
    }


def _as_redis_writes(secret: str) -> str:
    """Source: sds.c, sdscatrepr."""
    named = {ord(letter): f"\\{name}" for letter, name in zip('\\"\n\r\t\a\b', '\\"nrtab', strict=True)}
    return "".join(named.get(each) or (chr(each) if 32 <= each < 127 else f"\\x{each:02x}") for each in secret.encode())


def _pattern(form: str) -> re.Pattern[str]:
    if len(form) >= SHORTEST:
        return re.compile(re.escape(form))
    return re.compile(rf"(?<![\w-]){re.escape(form)}(?![\w-])")
