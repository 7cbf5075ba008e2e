"""Claims about what is said, and what is never said."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tdredis.runtime.logs import Format, configure_logs, keep_secrets, owner_of, redact

TOM, TIM = owner_of("redis", "redisstandby/tom"), owner_of("redis", "redisstandby/tim")


@pytest.fixture
def _clean() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, before = list(root.handlers), root.level, structlog.get_config()
    yield
    for owner in (TOM, TIM):
        keep_secrets(owner, ())
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


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
    keep_secrets(TOM, ("hunter2",))
    stream = listen()
    logging.getLogger("aiohttp").warning("cannot log in with %s", "hunter2")

    (line,) = said(stream)
    assert (line["event"], line["logger"]) == ("cannot log in with ***", "aiohttp")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_registered_secret_is_never_written(form: Format) -> None:
    keep_secrets(TOM, ("hunter2", "hunter2-longer"))
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
    keep_secrets(TOM, ('qu"ote',))
    stream = listen()
    structlog.get_logger().info("set", value='requirepass qu"ote')

    assert said(stream)[0]["value"] == "requirepass ***"


def test_the_base64_of_a_secret_is_a_secret() -> None:
    keep_secrets(TOM, ("hunter2",))

    assert redact("data: aHVudGVyMg==") == "data: ***"


def test_a_secret_of_one_letter_leaves_the_sentences_readable() -> None:
    keep_secrets(TOM, ("x",))

    assert (redact("x", TOM), redact("exit", TOM)) == ("***", "exit")


def test_a_forgotten_secret_is_no_longer_looked_for() -> None:
    keep_secrets(TOM, ("hunter2",))
    keep_secrets(TOM, ())

    assert redact("hunter2 aHVudGVyMg==") == "hunter2 aHVudGVyMg=="


def test_configuring_again_replaces_the_former_stream() -> None:
    first = listen()
    log = structlog.get_logger()
    log.info("one")
    second = listen()
    log.info("two")

    assert [line["event"] for line in said(first)] == ["one"]
    assert [line["event"] for line in said(second)] == ["two"]


@pytest.mark.parametrize("password", ["redis", "master", "pod", "sentinel", "redis-standby-tim"])
def test_a_password_that_is_a_word_is_cut_out_of_nobody_else_s_sentences(password: str) -> None:
    keep_secrets(TOM, (password,))
    stream = listen()
    log = structlog.get_logger()
    log.info(
        "step done",
        resource="redisstandby/tim",
        namespace="redis",
        step="replace pod redis-standby-tim-0",
        why=password,
    )
    if len(password) < 8:
        log.info("watch re-established", kind="pods", what=f"{password} master redis")

    assert "***" not in stream.getvalue()
    assert redact(f"pod redis-standby-tim-0: {password}", TIM) == f"pod redis-standby-tim-0: {password}"


@pytest.mark.parametrize(
    ("password", "text", "expected"),
    [
        ("vault", 'Invalid value: "vault"', 'Invalid value: "***"'),
        ("vault", "AUTH vault.", "AUTH ***."),
        ("vault", "redis://:vault@host", "redis://:***@host"),
        ("redis", "pod redis-standby-tom-0", "pod redis-standby-tom-0"),
        ("redis", "a redis of tom", "a *** of tom"),
        ("tom", "redis-standby-tom.redis.svc", "redis-standby-tom.redis.svc"),
        ("correct horse", "xcorrect horsex", "x***x"),
        ("sentinel-tom", "pod sentinel-tom-0", "pod ***-0"),
    ],
)
def test_a_short_one_is_hidden_where_it_stands_alone_and_a_long_one_anywhere(
    password: str, text: str, expected: str
) -> None:
    keep_secrets(TOM, (password,))

    assert redact(text, TOM) == expected


def test_the_facts_that_name_whom_a_line_is_about_are_no_secret() -> None:
    keep_secrets(TOM, ("redis", "redisstandby/tom"))
    stream = listen()
    structlog.get_logger().info("step done", resource="redisstandby/tom", namespace="redis", pod="redis", why="redis")

    (line,) = said(stream)
    assert (line["resource"], line["namespace"], line["pod"], line["why"]) == (
        "redisstandby/tom",
        "redis",
        "redis",
        "***",
    )
