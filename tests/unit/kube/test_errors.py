"""Claims about what a refusal means."""

import json

import pytest

from tdredis.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerUnavailable,
    TooManyRequests,
    Unauthorized,
    parse_error,
)
from tests.unit.kube.scripted_server import build_status


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "BadRequest", Invalid),
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Gone),
        (410, "Gone", Gone),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", TooManyRequests),
        (500, "InternalError", ServerUnavailable),
        (503, "ServiceUnavailable", ServerUnavailable),
        (504, "Timeout", ServerUnavailable),
        (415, "UnsupportedMediaType", ApiError),
    ],
)
def test_status_and_reason_choose_the_error(status: int, reason: str, kind: type[ApiError]) -> None:
    error = parse_error(status, json.dumps(build_status(status, reason, "the sentence")).encode())

    assert type(error) is kind
    assert (error.status, error.reason, error.message) == (status, reason, "the sentence")


def test_an_error_frame_brings_its_own_code() -> None:
    error = parse_error(0, json.dumps(build_status(410, "Expired")).encode())

    assert type(error) is Gone


@pytest.mark.parametrize(
    ("headers", "details", "wait_s"),
    [
        ({"Retry-After": "7"}, None, 7.0),
        ({}, {"retryAfterSeconds": 3}, 3.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, {"retryAfterSeconds": 2}, 2.0),
        ({"Retry-After": "-1"}, None, 1.0),
        ({}, None, 1.0),
    ],
)
def test_429_says_when_to_come_back(headers: dict[str, str], details: dict[str, int] | None, wait_s: float) -> None:
    body = json.dumps({"code": 429, "reason": "TooManyRequests", "details": details}).encode()

    error = parse_error(429, body, headers)

    assert isinstance(error, TooManyRequests)
    assert error.retry_after_s == wait_s


def test_an_answer_that_is_no_status_keeps_the_beginning_of_its_text() -> None:
    error = parse_error(502, b"<html>bad gateway")

    assert isinstance(error, ServerUnavailable)
    assert error.message == "<html>bad gateway"
