"""CLUSTER NODES and INFO, as real servers print them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdredis.redis.facts import keys_by_database, parse_info, parse_replication
from tdredis.redis.views import _READ, _read_view, parse_cluster_nodes

# Printed by redis-server 7.0.15 and 6.0.16 (the second has no hostname field); ids shortened by repetition.
NODES_7 = (
    "a1 127.70.1.2:6379@16379,, myself,master - 0 1700000000000 3 connected 0-5460 5462 [93-<-b2] [77->-c3]\n"
    "b2 127.70.2.2:6379@16379,host-b master - 0 1700000000001 2 connected 5461 5463-10922\n"
    "c3 127.70.3.2:6379@16379,, slave a1 0 1700000000002 3 connected\n"
    "d4 :0@0 master,noaddr - 0 0 0 disconnected\n"
    "e5 fd00::5:6379@16379 master,fail - 0 0 9 disconnected\n"
    "f6 127.70.6.2:6379@16379 handshake - 0 0 0 connected\n"
)


def test_a_view_tells_own_line_from_the_others() -> None:
    view = parse_cluster_nodes(NODES_7)

    assert view.me.id == "a1"
    assert str(view.me.slots) == "0-5460,5462-5462"
    assert view.me.open_slots == ("[93-<-b2]", "[77->-c3]")
    assert sorted(view.others) == ["b2", "c3", "d4", "e5", "f6"]


def test_addresses_of_every_shape_are_read() -> None:
    others = parse_cluster_nodes(NODES_7).others

    assert [(others[i].ip, others[i].port) for i in ("b2", "d4", "e5")] == [
        ("127.70.2.2", 6379),
        ("", 0),
        ("fd00::5", 6379),
    ]


def test_roles_and_flags_are_read() -> None:
    view = parse_cluster_nodes(NODES_7)

    assert view.others["c3"].is_replica
    assert view.others["c3"].primary_id == "a1"
    assert view.others["e5"].failed
    assert view.knows("b2")
    assert not view.knows("f6")  # a handshake's id is made up
    assert not view.knows("zz")


@pytest.mark.parametrize("text", ["", "a1 1.2.3.4:6379 master", NODES_7.replace("myself,", "")])
def test_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="CLUSTER NODES"):
        parse_cluster_nodes(text)


def test_a_replica_s_link_and_offset_are_read() -> None:
    info = parse_info(
        "# Replication\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_link_status:up\r\n"
        "master_sync_in_progress:0\r\nslave_repl_offset:42\r\nmaster_repl_offset:40\r\n"
    )

    replication = parse_replication(info)

    assert (replication.offset_bytes, replication.link_up, replication.primary_host) == (42, True, "10.0.0.1")


def test_keys_of_all_databases_are_counted() -> None:
    assert keys_by_database(parse_info("db0:keys=3,expires=0,avg_ttl=0\r\ndb7:keys=4,expires=1\r\ndbx:1\r\n")) == {
        0: 3,
        7: 4,
    }


WORDS = st.tuples(
    st.sampled_from(["a1", "b2"]),
    st.sampled_from(["127.70.1.2:6379@16379", "fd00::5:6379@16379,host-b", ":0@0"]),
    st.sampled_from(["myself,master", "slave", "master,fail?", "handshake"]),
    st.sampled_from(["-", "a1"]),
    st.integers(0, 2),  # ping-sent
    st.integers(0, 2),  # pong-recv
    st.integers(0, 2),
    st.sampled_from(["connected", "disconnected", "connected 0-1 7", "connected 0-1 [7-<-b2]", "connected 0 1 2"]),
)


@given(st.lists(st.lists(WORDS, min_size=1, max_size=3), min_size=2, max_size=2))
def test_a_view_that_somebody_has_is_taken_for_an_answer_that_differs_by_times_alone(
    answers: list[list[tuple[str | int, ...]]],
) -> None:
    both = ["".join(" ".join(map(str, line)) + "\n" for line in (ME, *answer)) for answer in answers]
    timeless = [[(*line[:4], *line[6:]) for line in answer] for answer in answers]

    first, second = map(parse_cluster_nodes, both)

    assert (first is second) == (timeless[0] == timeless[1])
    assert [first, second] == [_read_view(text) for text in both]


ME = ("f6", "127.70.6.2:6379@16379", "myself,master", "-", 0, 0, 3, "connected 5")


def test_a_view_that_nobody_has_is_held_no_longer() -> None:
    before = len(_READ)
    view = parse_cluster_nodes(NODES_7.replace("a1 127.70.1.2", "a1 127.70.1.9"))
    assert len(_READ) == before + 1

    del view

    assert len(_READ) == before
