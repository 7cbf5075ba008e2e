"""No secret leaves the house: what is known is taken out however it is written, and what looks like one is too."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdredis.cli.redact import HIDDEN, Redactor

PASSWORDS = ("s3cr3t-horse", 'with "quotes" and \\', "pä$$ wörd/", "a.b*c[d]")


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_known_password_is_taken_out_in_every_form(password: str) -> None:
    encoded = base64.b64encode(password.encode()).decode()
    written = f"a {password} b {json.dumps(password)} c {quote(password, safe='')} d {encoded} e"

    text = Redactor([password]).text(written)

    for form in (password, json.dumps(password)[1:-1], quote(password, safe=""), encoded):
        assert form not in text
    assert text.startswith("a *** b ")


def test_of_two_of_which_one_is_in_the_other_no_half_stays() -> None:
    assert Redactor(["horse", "horse-and-cart"]).text("horse-and-cart horse") == "*** ***"


def test_a_very_short_one_is_taken_out_where_it_stands_alone() -> None:
    assert Redactor(["abc"]).text("abc abcdef x=abc") == "*** abcdef x=***"


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("requirepass hunter2hunter", "requirepass ***"),
        ('masterauth "two words"', "masterauth ***"),
        ("sentinel auth-pass redis-tom hunter2", "sentinel auth-pass redis-tom ***"),
        ("user default on >hunter2 ~* +@all", "user default on *** ~* +@all"),
        ("user default on #5e884898da28 ~*", "user default on *** ~*"),
        ('"password": "hunter2"', '"password": ***'),
        ("REDISCLI_AUTH=hunter2 redis-cli", "REDISCLI_AUTH=*** redis-cli"),
        ("redis://:hunter2@host:6379/0", "redis://***@host:6379/0"),
        ("https://me:hunter2@registry.example/x", "https://***@registry.example/x"),
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer ***"),
    ],
)
def test_what_looks_like_a_password_is_taken_out_though_nobody_knows_it(written: str, left: str) -> None:
    text = Redactor([]).text(written)

    assert "hunter2" not in text
    assert "5e884898" not in text
    assert text == left


@pytest.mark.parametrize(
    "text",
    [
        "maxmemory 100mb",
        "requirepass \nsave 60 1",
        "the password of it is kept",
        "key: password\nname: tom",
        "a secret is kept",
        "10.0.0.1:6379 connected",
        "save 3600 1 300 100",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert Redactor([]).text(text) == text


def test_objects_lose_passwords_by_their_fields() -> None:
    manifest = {
        "kind": "RedisCluster",
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{secret}", "kept": "yes"}},
        "spec": {
            "secret": "hunter2",
            "proxysecret": "hunter3",
            "secretRef": {"name": "tom", "key": "password"},
            "size": 3,
        },
    }

    found = Redactor([]).manifest(manifest)

    assert found["spec"] == {
        "secret": HIDDEN,
        "proxysecret": HIDDEN,
        "secretRef": {"name": "tom", "key": "password"},
        "size": 3,
    }
    assert found["metadata"] == {"annotations": {"kept": "yes"}}


def test_variables_of_containers_lose_passwords_by_their_names() -> None:
    env = [
        {"name": "DB_PASSWORD", "value": "hunter2"},
        {"name": "API_TOKEN", "value": "x1"},
        {"name": "TZ", "value": "UTC"},
    ]

    found = Redactor([]).manifest({"spec": {"env": env}})

    assert [each["value"] for each in found["spec"]["env"]] == [HIDDEN, HIDDEN, "UTC"]


def test_of_a_secret_only_the_names_stay() -> None:
    found = Redactor([]).manifest({"kind": "Secret", "data": {"a": "aHVudGVyMg=="}, "stringData": {"b": "hunter2"}})

    assert (found["data"], found["stringData"]) == ({"a": HIDDEN}, {"b": HIDDEN})


@given(
    st.text(min_size=4, max_size=30).filter(lambda text: text.strip() == text and text),
    st.text(max_size=40),
    st.text(max_size=40),
)
def test_no_text_around_it_saves_a_password(password: str, before: str, after: str) -> None:
    text = Redactor([password]).text(f"{before}\n{password}\n{after}")

    assert f"\n{password}\n" not in text
