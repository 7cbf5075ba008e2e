"""What kubectl is called with says no password, and means the same server and the pods of this instance alone."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from tdredis.cli.commands import kubectl
from tdredis.cli.commands.config import describe as describe_config
from tdredis.cli.commands.config import render as render_config
from tdredis.cli.commands.redis import describe_slots, render_slots
from tdredis.cli.errors import CommandError
from tdredis.cli.parser import PROGRAM, build_parser
from tdredis.cli.pods import Pod
from tdredis.planning.snapshot import Key
from tdredis.redis.views import parse_cluster_nodes

RAT, TOM = Key("RedisCluster", "redis", "rat"), Key("RedisStandby", "redis", "tom")


def pod(name: str, shard: str = "tom", ip: str = "10.0.0.1") -> Pod:
    return Pod(
        name=name, component="redis", shard=shard, role="primary", containers=("redis",), running=True, ready="1/1",
        restarts=0, node="n", ip=ip, trouble="",
    )  # fmt: skip


def read(*words: str) -> argparse.Namespace:
    return build_parser(PROGRAM).parse_args(words)


def test_redis_cli_gets_its_password_within_the_container() -> None:
    words = kubectl.cli_words(TOM, pod("tom-0"), ["GET", "a b"], is_terminal=True)

    assert words[:6] == ["exec", "-n", "redis", "-it", "tom-0", "-c"]
    assert words[words.index("--") + 1 : words.index("--") + 3] == ["sh", "-c"]
    assert words[-2:] == ["GET", "a b"]
    script = words[-4]
    assert "cat /etc/tdredis-auth/password" in script
    assert not {"-a", "--pass", "--user"} & set(words)


def test_redis_cli_follows_redirections_of_a_cluster() -> None:
    assert kubectl.cli_words(RAT, pod("rat-0-0"), ["GET", "a"], is_terminal=False)[-3:] == ["-c", "GET", "a"]


def test_without_a_terminal_none_is_asked_for() -> None:
    assert "-i" in kubectl.cli_words(TOM, pod("tom-0"), [], is_terminal=False)


def test_two_dashes_before_a_command_are_not_a_part_of_it() -> None:
    assert kubectl.cli_words(TOM, pod("tom-0"), ["--", "PING"], is_terminal=False)[-1] == "PING"


def test_logs_are_those_of_the_instance_and_no_other_of_the_same_name() -> None:
    words = kubectl.logs_words(TOM, read("logs", "tom", "-f", "--since", "5m", "--component", "sentinel"))

    selector = words[words.index("-l") + 1].split(",")
    assert {"app.kubernetes.io/instance=tom", "cache.tongdun.net/kind=RedisStandby"} <= set(selector)
    assert "app.kubernetes.io/component=sentinel" in selector
    assert {"--follow", "--since=5m", "--prefix", "--tail=100"} <= set(words)
    assert words[words.index("--container") + 1] == "sentinel"


def test_logs_of_one_pod_are_asked_of_it_alone() -> None:
    words = kubectl.logs_words(
        TOM, read("logs", "tom", "--pod", "tom-1", "--previous", "--tail", "-1", "-c", "exporter")
    )

    assert "-l" not in words
    assert words[-1] == "pod/tom-1"
    assert {"--previous", "--tail=-1"} <= set(words)


def test_a_port_is_forwarded_to_where_redis_listens() -> None:
    assert kubectl.forward_words(TOM, "pod/tom-0", 7000) == ["port-forward", "-n", "redis", "pod/tom-0", "7000:6379"]


def test_kubectl_is_told_the_same_server() -> None:
    chosen = read("logs", "--kubeconfig", "/a/b", "--context", "c", "tom")

    assert kubectl.server_words(chosen) == ["--kubeconfig=/a/b", "--context=c"]


def test_kubectl_takes_the_place_of_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    called: list[list[str]] = []
    program = tmp_path / "kubectl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "execv", lambda path, words: called.append([path, *words]))

    kubectl._replace(read("logs", "--context", "c", "tom"), ["logs"])

    assert called == [[str(program), str(program), "--context=c", "logs"]]


def test_without_kubectl_it_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CommandError, match="kubectl is not on the PATH"):
        kubectl._replace(read("logs", "tom"), ["logs"])


def nodes(me: str) -> str:
    """CLUSTER NODES as one of three says it; the second gives slot 5462 to the first."""
    lines = {
        "a": "a 10.0.0.1:6379@16379 {}master - 0 0 1 connected 0-5460",
        "b": "b 10.0.0.2:6379@16379 {}master - 0 0 2 connected 5461-10922",
        "c": "c 10.0.0.3:6379@16379 {}slave a 0 0 1 connected",
    }
    open_ = {"b": " [5462->-a]", "a": " [5462-<-b]"}
    return "\n".join(
        text.format("myself," if name == me else "") + (open_.get(me, "") if name == me else "")
        for name, text in lines.items()
    )


def test_slots_are_told_by_who_owns_them_with_those_that_are_open_and_those_that_nobody_owns() -> None:
    views = {
        pod("rat-1-0", "rat-1"): parse_cluster_nodes(nodes("b")),
        pod("rat-0-0", "rat-0"): parse_cluster_nodes(nodes("a")),
        pod("rat-0-1", "rat-0"): parse_cluster_nodes(nodes("c")),
    }

    found = describe_slots(views)

    assert [(each["shard"], each["pod"], each["count"], each["slots"]) for each in found] == [
        ("rat-0", "rat-0-0", 5461, ["0-5460"]),
        ("rat-1", "rat-1-0", 5462, ["5461-10922"]),
        ("", None, 5461, ["10923-16383"]),
    ]
    assert (found[0]["importing"], found[1]["migrating"]) == ({"5462": "b"}, {"5462": "a"})
    text = render_slots(found)
    assert "nobody" in text
    assert "5462->" in text


def test_parameters_are_told_once_where_all_have_the_same() -> None:
    by_pod = {"tom-0": {"save": "", "requirepass": "hunter2"}, "tom-1": {"save": "60 1", "requirepass": "hunter2"}}

    found = describe_config({"save": "60 1"}, by_pod)
    text = render_config(found)

    assert "hunter2" not in text + str(found)
    assert [line.split("   ")[0] for line in text.splitlines()] == ["PARAMETER", "requirepass", "save", "save"]
    assert "all" in text.splitlines()[1]
    assert "tom-1" in text.splitlines()[3]
