"""The bounds of a field say the same in each of their three shapes, and what they let by Kubernetes takes as well."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from localkube.units import quantity_value
from tdredis.api.fields import ADDRESS_OR_NONE, IMAGE, QUALIFIED_NAME
from tdredis.api.kinds import KINDS, parse
from tdredis.api.validation import exact_pattern, fits, problems
from tests.unit.api.admission_cases import ALONE, sample
from tests.unit.api.test_admission import judge

AMOUNTS = st.from_regex(r"[-+ ]?[0-9]{0,9}[.]?[0-9]{0,4}[ eE]?(m|k|Ki|Mi|Gi|Ti|M|G|T|Pi|u|B)?[ \n]?", fullmatch=True)
ADDRESSES = st.one_of(
    st.text("0123456789abcdef:", max_size=24),
    st.text("0129.", max_size=12),
    st.text("ab-.0Z_: ", max_size=10),
    st.ip_addresses().map(str),
)
IMAGES = st.text("aZ0.:/@-_ [", max_size=16)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "resources.limits.memory": st.one_of(AMOUNTS, st.integers(-5, 1 << 50)),
    "resources.limits.cpu": st.one_of(AMOUNTS, st.integers(-5, 2000)),
    "resources.limits.ephemeral-storage": AMOUNTS,
    "storage.size": AMOUNTS,
    "vip": ADDRESSES,
    "image": IMAGES,
    "storageclass": st.text("aZ0.-_ ", max_size=8),
    "service.loadBalancerClass": st.text("aZ0.-_ /", max_size=8),
}


def _with(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return sample(ALONE, {"spec": value})


@pytest.mark.parametrize("path", VALUES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_server_and_the_operator_come_to_the_same_verdict(path: str, data: st.DataObject) -> None:
    manifest = _with(path, data.draw(VALUES[path]))

    said = problems(parse(KINDS[ALONE], manifest))

    assert bool(judge(ALONE, manifest)) is bool(said)


@settings(max_examples=100, deadline=None)
@given(request=AMOUNTS, limit=AMOUNTS, name=st.sampled_from(["cpu", "memory"]))
@example(request="1024Mi", limit="1Gi", name="memory")
@example(request="1001m", limit="1", name="cpu")
def test_more_is_requested_than_the_limit_if_kubernetes_counts_so(request: str, limit: str, name: str) -> None:
    manifest = sample(ALONE, {"spec": {"resources": {"requests": {name: request}, "limits": {name: limit}}}})
    said = problems(parse(KINDS[ALONE], manifest))

    assert bool(judge(ALONE, manifest)) is bool(said)
    if not [each for each in said if "is requested than" not in each]:
        asked, most = quantity_value(request), quantity_value(limit)
        assert asked is not None
        assert most is not None
        assert bool(said) is (asked > most)


@settings(max_examples=300, deadline=None)
@given(ADDRESSES)
@example("00.0.0.0")
@example("192.0.2.010")
def test_an_address_with_colons_is_one_of_ipv6(text: str) -> None:
    fitting = fits(exact_pattern(ADDRESS_OR_NONE), text)

    assert fitting is _is_ip(text) if ":" in text or re.fullmatch(r"[0-9.]+", text) else True
    assert fitting or not _is_ip(text)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("text", ["a/b:c", "a.b/c", "localhost:5000/a", "a@sha256:" + "f" * 64, "a--b", "a__b"])
def test_names_of_images_that_people_have_are_taken(text: str) -> None:
    assert fits(exact_pattern(IMAGE), text)


@pytest.mark.parametrize(
    ("text", "fitting"),
    [("a", True), ("a.b/c", True), ("a/b/c", False), ("A/b", False), ("a." + "b" * 61, True), ("b" * 64, False)],
)
def test_a_qualified_name_is_what_kubernetes_calls_so(text: str, fitting: bool) -> None:
    assert fits(QUALIFIED_NAME, text) is fitting
