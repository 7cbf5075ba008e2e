"""No secret leaves the house: what is known is taken out however it is written, and what looks like one is too."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdredis.cli.output import dump_yaml
from tdredis.cli.redact import HIDDEN, SECRET_PARAMETERS, Redactor

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
        ("user default on >hunter2 ~* +@all", "user default on ***"),
        ("user default on #5e884898da28 ~*", "user default on ***"),
        ('"password": "hunter2"', '"password": ***'),
        ("REDISCLI_AUTH=hunter2 redis-cli", "REDISCLI_AUTH=***"),
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


# Where a password may stand of which nobody knows what it is: {} stands for it.
PLACES = (
    "requirepass {}",
    "1:M 01 Jan 2026 # bad directive: masterauth {}",
    "primaryauth {}",
    "tls-key-file-pass {}",
    "tls-client-key-file-pass {}",
    "sentinel sentinel-pass {}",
    "sentinel auth-pass tom {}",
    "SENTINEL SET tom auth-pass {}",
    "exporter --redis.password {} --debug",
    "exporter --redis.password={} --debug",
    "redis-cli -h 10.0.0.1 -a {} PING",
    "redis-cli --pass {} PING",
    "redis-cli auth {}",
    "AUTH {}",
    "AUTH somebody {}",
    "HELLO 3 AUTH somebody {}",
    "hello 3 auth somebody {}",
    "MIGRATE 10.0.0.1 6379 key 0 1000 AUTH2 somebody {}",
    "CONFIG SET requirepass {}",
    "user somebody on ~* >{} +@all",
    "ACL SETUSER somebody on >{} ~*",
    "password={}",
    "DB_PASSWORD: {}",
    "connecting to redis://:{}@10.0.0.1:6379/0",
    "rediss://somebody:{}@redis.example",
)
# The same as words of a command, as SLOWLOG and a container have them.
WORDS: tuple[tuple[str, ...], ...] = (
    ("CONFIG", "SET", "requirepass", "{}"),
    ("config", "set", "maxmemory", "1gb", "masterauth", "{}"),
    ("SENTINEL", "SET", "tom", "auth-pass", "{}"),
    ("AUTH", "{}"),
    ("auth", "somebody", "{}"),
    ("HELLO", "3", "AUTH", "somebody", "{}", "SETNAME", "x"),
    ("MIGRATE", "10.0.0.1", "6379", "", "0", "1000", "AUTH", "{}", "KEYS", "a"),
    ("ACL", "SETUSER", "somebody", "on", ">{}", "~*"),
    ("redis-server", "--requirepass", "{}", "--port", "6379"),
    ("exporter", "--redis.password", "{}"),
    ("exporter", "--redis.password={}"),
    ("redis-cli", "-a", "{}", "PING"),
    ("sh", "-c", "redis-cli -a {} PING"),
    ("client", "redis://:{}@10.0.0.1"),
)
# Its head and its tail are told from all other words.
HEAD, TAIL = "Qz7", "Kx9"
passwords = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20).map(
    lambda text: f"{HEAD}{text}{TAIL}"
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "middle", ["Ab1,Cd2;Ef3", "two words", "}] : = @/", 'it\'s "so" \\ done', "***", ".*[a-z]$", "ü"]
)
def test_no_part_of_a_password_stays_though_nobody_knows_it(place: str, middle: str) -> None:
    text = Redactor([]).text(f"before\n{place.replace('{}', f'{HEAD}{middle}{TAIL}')}\nafter")

    assert HEAD not in text
    assert TAIL not in text
    assert (text.split("\n")[0], text.split("\n")[-1]) == ("before", "after")


@given(st.sampled_from(PLACES), passwords)
def test_no_password_has_letters_that_save_a_part_of_it(place: str, password: str) -> None:
    text = Redactor([]).text(place.replace("{}", password))

    assert HEAD not in text
    assert TAIL not in text


@given(st.sampled_from(WORDS), passwords)
def test_among_words_a_password_is_known_by_those_before_it(words: tuple[str, ...], password: str) -> None:
    command = [word.replace("{}", password) for word in words]

    found = dump_yaml(Redactor([]).manifest({"entries": [[7, 1700000000, 12, command, "10.0.0.1:5"]]}))

    assert HEAD not in found
    assert TAIL not in found
    assert words[0] in found


@given(st.sampled_from(sorted(SECRET_PARAMETERS)), passwords)
def test_a_parameter_is_hidden_by_its_name(name: str, password: str) -> None:
    assert Redactor([]).parameter(name, password) == HIDDEN
    assert Redactor([]).parameter(name, "") == ""
    assert Redactor([]).parameter("maxmemory-policy", "noeviction") == "noeviction"


@given(passwords, st.sampled_from(("{}", "GET {}", "x{}y", "--flag {}")))
def test_a_known_one_is_taken_out_before_yaml_quotes_and_folds_it(password: str, around: str) -> None:
    redactor = Redactor([password])
    long = "word " * 30
    written = dump_yaml(redactor.manifest([[1, ["SET", "k", long + around.replace("{}", password) + long]]]))

    assert HEAD not in redactor.known(written)
    assert TAIL not in redactor.known(written)


def test_what_redis_says_of_its_own_authentication_stays() -> None:
    lines = (
        "Unable to AUTH to MASTER: -WRONGPASS invalid username-password pair",
        "NOAUTH Authentication required.",
        "ERR AUTH <password> called without any password configured for the default user",
        "cmdstat_auth:calls=3,usec=5",
        "user default on nopass ~* &* +@all",
        "the user asked for it",
        "ls -a /data",
    )

    assert Redactor([]).text("\n".join(lines)) == "\n".join(lines)


@given(
    st.text(min_size=4, max_size=30).filter(lambda text: text.strip() == text and text),
    st.text(max_size=40),
    st.text(max_size=40),
)
def test_no_text_around_it_saves_a_password(password: str, before: str, after: str) -> None:
    text = Redactor([password]).text(f"{before}\n{password}\n{after}")

    assert f"\n{password}\n" not in text
