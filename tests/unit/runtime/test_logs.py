"""Claims about what is said, and what is never said."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tdredis.runtime.logs import Format, configure_logs, forget_secret, redact, register_secret


@pytest.fixture
def _clean() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for secret in ("hunter2", "hunter2-longer", 'qu"ote', "x"):
        forget_secret(secret)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


pytestmark = pytest.mark.usefixtures("_clean")


def said(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def listen(form: Format = "json", level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    configure_logs(form, level, stream)
    return stream


def test_a_line_is_a_constant_sentence_and_facts_beside_it() -> None:
    stream = listen()
    structlog.get_logger("here").info("primary replaced", shard="rat-0", lag_bytes=7)

    (line,) = said(stream)
    assert (line["event"], line["shard"], line["lag_bytes"], line["level"]) == ("primary replaced", "rat-0", 7, "info")


def test_what_is_below_the_level_is_not_said() -> None:
    stream = listen(level="warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("aiohttp").info("quiet too")

    assert said(stream) == []


def test_the_standard_library_speaks_through_the_same_door() -> None:
    register_secret("hunter2")
    stream = listen()
    logging.getLogger("aiohttp").warning("cannot log in with %s", "hunter2")

    (line,) = said(stream)
    assert (line["event"], line["logger"]) == ("cannot log in with ***", "aiohttp")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_registered_secret_is_never_written(form: Format) -> None:
    for secret in ("hunter2", "hunter2-longer"):
        register_secret(secret)
    stream = listen(form)
    try:
        int("AUTH hunter2 refused")
    except ValueError:
        structlog.get_logger().exception(
            "failed with hunter2",
            reply=b"-ERR hunter2",
            nested={"hunter2": ["a", ("hunter2-longer",)]},
            error=ValueError("hunter2"),
            number=3,
        )

    text = stream.getvalue()
    assert "***" in text
    assert "hunter2" not in text
    assert "-longer" not in text


def test_a_secret_with_quotes_is_found_before_it_is_escaped() -> None:
    register_secret('qu"ote')
    stream = listen()
    structlog.get_logger().info("set", value='requirepass qu"ote')

    assert said(stream)[0]["value"] == "requirepass ***"


def test_the_base64_of_a_secret_is_a_secret() -> None:
    register_secret("hunter2")

    assert redact("data: aHVudGVyMg==") == "data: ***"


def test_a_secret_of_one_letter_leaves_the_sentences_readable() -> None:
    register_secret("x")

    assert (redact("x"), redact("exit")) == ("***", "exit")


def test_a_forgotten_secret_is_no_longer_looked_for() -> None:
    register_secret("hunter2")
    forget_secret("hunter2")

    assert redact("hunter2 aHVudGVyMg==") == "hunter2 aHVudGVyMg=="


def test_configuring_again_replaces_the_former_stream() -> None:
    first = listen()
    log = structlog.get_logger()
    log.info("one")
    second = listen()
    log.info("two")

    assert [line["event"] for line in said(first)] == ["one"]
    assert [line["event"] for line in said(second)] == ["two"]
