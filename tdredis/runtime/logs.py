"""How the operator speaks: a constant sentence and facts beside it, and never a secret."""

import base64
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Literal, TextIO, TypeAlias

import structlog

Format = Literal["json", "console"]

# A shorter password, cut out of every word with it inside, would leave no sentence: it is hidden where it stands alone.
_SHORTEST_ANYWHERE = 8
_SHORTEST_TO_SEARCH = 4  # one of a letter or two is hidden where it is all there is
_HIDDEN = "***"
_NAMES = frozenset(("resource", "namespace", "pod", "pass_id"))  # facts that are never secret
_NOBODY = ""
_secrets: dict[str, dict[str, re.Pattern[str] | None]] = {}  # by owner; how a short one is found, None: anywhere


def keep_secrets(owner: str, secrets: Iterable[str]) -> None:
    """These, and their base64 form as Secrets carry it, are *** from now on in what is said of *owner*
    (`owner_of`), and no others. Of lines that name no owner too, but for ordinary words: a password "redis" is to be
    cut out of nobody else's sentences.
    """
    found: dict[str, re.Pattern[str] | None] = {}
    for secret in filter(None, secrets):
        found[secret] = None if len(secret) >= _SHORTEST_ANYWHERE else _standing_alone(secret)
        if len(secret) >= _SHORTEST_TO_SEARCH:
            found[base64.b64encode(secret.encode()).decode()] = None
    if found:
        _secrets[owner] = found
    else:
        _secrets.pop(owner, None)


def owner_of(namespace: str, resource: str) -> str:
    """Whose a line is that has these facts."""
    return f"{namespace}/{resource}"


def redact(text: str, owner: str = _NOBODY) -> str:
    """`text` without any secret of *owner*: for whatever leaves by another door than the log (events, conditions)."""
    return _redact_text(text, _found_in((text,), owner))


def hide_secrets(_logger: object, _method: str, facts: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor; the last before the renderer, so that formatted stack traces pass through it too."""
    if not _secrets:
        return facts
    resource = facts.get("resource")
    owner = owner_of(str(facts.get("namespace", "")), str(resource)) if resource else _NOBODY
    if found := _found_in(_strings_of({key: value for key, value in facts.items() if key not in _NAMES}), owner):
        return {key: value if key in _NAMES else _redact(value, found) for key, value in facts.items()}
    return facts


_Found: TypeAlias = list[tuple[str, "re.Pattern[str] | None"]]


def _found_in(texts: Iterable[str], owner: str) -> _Found:
    """One search of the joined text for each secret costs microseconds, replacing in every value milliseconds."""
    joined = "\0".join(texts)
    found = {secret: pattern for secret, pattern in _candidates(owner) if secret in joined}
    # The longest first: of two secrets of which one contains the other, no half may stay.
    return sorted(found.items(), key=lambda item: (-len(item[0]), item[0]))


def _candidates(owner: str) -> Iterator[tuple[str, re.Pattern[str] | None]]:
    if owner != _NOBODY:
        yield from _secrets.get(owner, {}).items()
        return
    for secrets in _secrets.values():
        yield from (item for item in secrets.items() if not _is_ordinary(item[0]))


def _is_ordinary(secret: str) -> bool:
    """A word as sentences are made of."""
    return len(secret) < _SHORTEST_ANYWHERE and secret.isalpha()


def _standing_alone(secret: str) -> re.Pattern[str]:
    """It is a part of no longer word or name."""
    if len(secret) < _SHORTEST_TO_SEARCH:
        return re.compile(rf"\A{re.escape(secret)}\Z")
    return re.compile(rf"(?<![\w-])(?<!\w\.){re.escape(secret)}(?![\w-]|\.\w)")


def _strings_of(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case bytes():
            yield value.decode("utf-8", "replace")
        case None | bool() | int() | float():
            pass
        case Mapping():
            for key, inner in value.items():
                yield str(key)
                yield from _strings_of(inner)
        case list() | tuple() | set() | frozenset():
            for inner in value:
                yield from _strings_of(inner)
        case _:
            yield repr(value)
            yield str(value)


def _redact(value: Any, found: _Found) -> Any:
    match value:
        case str():
            return _redact_text(value, found)
        case bytes():
            return _redact_text(value.decode("utf-8", "replace"), found)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {_redact_text(str(key), found): _redact(inner, found) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_redact(inner, found) for inner in value]
        case _:
            text = repr(value)
            return _redact_text(text, found)


def _redact_text(text: str, found: _Found) -> str:
    for secret, pattern in found:
        text = text.replace(secret, _HIDDEN) if pattern is None else pattern.sub(_HIDDEN, text)
    return text


def configure_logs(form: Format = "json", level: str = "info", stream: TextIO | None = None) -> None:
    """Sets up structlog and the standard library's logging (aiohttp, asyncio) alike: one stream, one redaction.

    May be called again; the last call wins. Default stream: stderr.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[structlog.typing.Processor]
    if form == "json":
        last = [structlog.processors.format_exc_info, hide_secrets, structlog.processors.JSONRenderer(default=repr)]
    else:
        console = structlog.dev.ConsoleRenderer(colors=_is_terminal(stream))
        last = [structlog.processors.format_exc_info, hide_secrets, console]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(threshold)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # so that configuring again reaches loggers that already exist
    )


def _is_terminal(stream: TextIO | None) -> bool:
    return (stream or sys.stderr).isatty()
