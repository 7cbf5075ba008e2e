"""What a shell offers is what the parser takes, and what the server has."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tdredis.cli.commands.completion import SCRIPTS
from tdredis.cli.complete import FILES, NO_FILES, answer, candidates
from tdredis.cli.page import subparsers
from tdredis.cli.parser import PROGRAM, SHELLS, build_parser
from tests.unit.cli.conftest import NAMESPACE, Obj, Shell

COMMANDS = list(subparsers(build_parser(PROGRAM)))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([""], COMMANDS),
        (["sta"], ["status"]),
        (["config", ""], ["get", "set"]),
        (["config", "s"], ["set"]),
        (["status", "-o", ""], ["text", "json", "yaml"]),
        (["status", "-o", "j"], ["json"]),
        (["top", "--s"], ["--sort"]),
        (["top", "--sort", "m"], ["memory"]),
        (["completion", ""], list(SHELLS)),
        (["completion", "bash", ""], []),
        (["-n", "x", "sta"], []),
        (["logs", "--component", "s"], ["sentinel"]),
        (["nonsense", "x", ""], []),
    ],
)
def test_words_of_the_parser_are_offered(words: list[str], expected: list[str]) -> None:
    assert candidates(words) == expected


async def test_names_of_the_server_are_offered(shell: Shell, rat: Obj, tom: Obj) -> None:
    where = ["--kubeconfig", str(shell.kubeconfig), "-n", NAMESPACE]

    found = await asyncio.to_thread(candidates, ["status", *where, ""])
    some = await asyncio.to_thread(candidates, ["config", "get", *where, "redisst"])

    assert found == ["rediscluster/redis-cluster-rat", "redisstandby/redis-standby-tom"]
    assert some == ["redisstandby/redis-standby-tom"]


def test_a_server_that_is_not_there_offers_nothing_and_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: None
) -> None:
    assert candidates(["status", "--kubeconfig", str(tmp_path / "none"), ""]) == []
    assert capsys.readouterr() == ("", "")


def test_files_are_offered_where_a_file_is_meant() -> None:
    assert answer(["status", "--kubeconfig", ""]).endswith(FILES)
    assert answer(["top", "--sort", "m"]) == f"memory\n{NO_FILES}"


async def test_a_script_is_printed_for_each_shell(shell: Shell) -> None:
    for name in SHELLS:
        done = await shell.type("completion", name, server=False)
        assert done.code == 0
        assert done.out.startswith(SCRIPTS[name])


def test_bash_completes_by_its_script(tmp_path: Path) -> None:
    program = tmp_path / "tdredis"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tdredis.cli "$@"\n')
    program.chmod(0o755)
    lines = [
        SCRIPTS["bash"],
        "COMP_WORDS=(tdredis config s) COMP_CWORD=2",
        '_tdredis; printf "%s\\n" "${COMPREPLY[@]}"',
        'COMP_WORDS=(tdredis top --sort "") COMP_CWORD=3',
        '_tdredis; printf "%s\\n" "${COMPREPLY[@]}"',
    ]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[3])}

    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", "\n".join(lines)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.stdout.split() == ["set", "memory", "ops", "clients", "keys"], done.stderr


async def test_a_shell_asks_by_a_command(shell: Shell) -> None:
    done = await shell.type("complete", "--", "config", "g", server=False)

    assert done.out == f"get\n{NO_FILES}\n"
