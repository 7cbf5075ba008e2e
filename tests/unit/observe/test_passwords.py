"""Which password is effective: the one that processes accept, whatever somebody wrote into the Secret made of it."""

from __future__ import annotations

import base64

import pytest

from tdredis.manifests.site import Passwords
from tdredis.observe.passwords import access, effective, most_accepted
from tdredis.planning.live import Live
from tdredis.planning.snapshot import Ref
from tests.unit.planning.simulated_standby import SimulatedStandby

AUTH = Ref("Secret", "redis-standby-tom-auth")
DESIRED = Passwords(redis="vault", proxy="")


def stored(password: str | None) -> dict[Ref, Live]:
    if password is None:
        return {}
    return {AUTH: Live.of({"data": {"password": base64.b64encode(password.encode()).decode()}})}


@pytest.mark.parametrize(
    ("accepted", "secret", "desired", "expected"),
    [
        ("vault", "vault", "vault", "vault"),
        ("vault", "oops", "vault", "vault"),  # kubectl edit secret: it is put back
        ("vault", None, "new", "vault"),  # deleted while an edit of spec is held
        ("vault", "oops", None, "vault"),  # and the Secret that spec names cannot be read
        (None, "vault", "new", "vault"),  # nobody answers: what they were given
        (None, None, "new", "new"),  # a new instance
        (None, None, None, ""),
    ],
)
def test_it_is_what_processes_accept_then_what_they_were_given_then_what_spec_says(
    accepted: str | None, secret: str | None, desired: str | None, expected: str
) -> None:
    instance = SimulatedStandby().instance
    wanted = None if desired is None else Passwords(redis=desired, proxy="")

    assert effective(instance, stored(secret), wanted, accepted).redis == expected


def test_a_secret_that_is_no_base64_any_more_is_as_if_there_were_none() -> None:
    instance = SimulatedStandby().instance
    broken = {AUTH: Live.of({"data": {"password": "%%%"}})}

    assert effective(instance, broken, DESIRED, None).redis == "vault"


def test_all_that_a_process_may_have_are_tried_and_each_once() -> None:
    instance = SimulatedStandby().instance
    found = Passwords(redis="old", proxy="")

    assert access(instance, stored("oops"), found, DESIRED).passwords_to_try == ("old", "oops", "vault")
    assert access(instance, stored("old"), found, None).passwords_to_try == ("old",)
    assert "old" not in repr(access(instance, stored("old"), found, DESIRED))


@pytest.mark.parametrize(
    ("accepted", "before", "expected"),
    [
        (["a", "a", "b"], None, "a"),
        (["b", "a"], "b", "b"),
        (["b", "a"], None, "a"),
        ([None, None], "a", "a"),
        ([None, "b"], "a", "b"),
        ([], None, None),
    ],
)
def test_the_password_of_most_processes_counts(
    accepted: list[str | None], before: str | None, expected: str | None
) -> None:
    assert most_accepted(accepted, before) == expected
