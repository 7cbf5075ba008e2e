"""How the operator speaks: a constant sentence and facts beside it, and never a secret."""

import base64
import logging
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

Format = Literal["json", "console"]

_SHORTEST_TO_SEARCH = 4  # a password of one letter, cut out of every sentence, would leave no sentence
_HIDDEN = "***"
_secrets: dict[str, None] = {}  # an ordered set


def register_secret(secret: str) -> None:
    """From now on this value, and its base64 form as Secrets carry it, is logged as ***."""
    if not secret or secret in _secrets:
        return
    _secrets[secret] = None
    if len(secret) >= _SHORTEST_TO_SEARCH:
        _secrets[base64.b64encode(secret.encode()).decode()] = None


def forget_secret(secret: str) -> None:
    """The secret is no longer in use anywhere: so that years of rotation do not pile up."""
    _secrets.pop(secret, None)
    _secrets.pop(base64.b64encode(secret.encode()).decode(), None)


def redact(text: str) -> str:
    """`text` without any registered secret: for whatever leaves by another door than the log (events, conditions)."""
    return _redact_text(text, _found_in((text,)))


def hide_secrets(_logger: object, _method: str, facts: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """structlog processor; the last before the renderer, so that formatted stack traces pass through it too."""
    if _secrets and (found := _found_in(_strings_of(facts))):
        return {key: _redact(value, found) for key, value in facts.items()}
    return facts


def _found_in(texts: Iterator[str] | tuple[str, ...]) -> list[str]:
    """One search of the joined text for each secret costs microseconds, replacing in every value milliseconds."""
    texts = tuple(texts)
    joined = "\0".join(texts)
    found = [secret for secret in _secrets if secret in joined]
    found = [secret for secret in found if len(secret) >= _SHORTEST_TO_SEARCH or secret in texts]
    # The longest first: of two secrets of which one contains the other, no half may stay.
    return sorted(found, key=lambda secret: (-len(secret), secret))


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


def _redact(value: Any, found: list[str]) -> Any:
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


def _redact_text(text: str, found: list[str]) -> str:
    for secret in found:
        if len(secret) >= _SHORTEST_TO_SEARCH:
            text = text.replace(secret, _HIDDEN)
        elif text == secret:
            text = _HIDDEN
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
