"""Claims: which namespaces an operator is told to work for."""

from __future__ import annotations

import pytest

from tdredis.cli.parser import PROGRAM, build_parser


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ((), ()),
        (("--namespaces", "a"), ("a",)),
        (("--namespaces", "b,a"), ("b", "a")),
        (("--namespaces=a, b,a",), ("a", "b")),
    ],
)
def test_they_are_named_in_one_list(words: tuple[str, ...], meant: tuple[str, ...]) -> None:
    assert build_parser(PROGRAM).parse_args(["run", *words]).namespaces == meant


@pytest.mark.parametrize("text", ["", "a,", ",a", "a b", "A", "-a", "a-", "a.b", "*", "a" * 64])
def test_what_is_no_name_is_refused_with_the_way_to_write_it(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser(PROGRAM).parse_args(["run", f"--namespaces={text}"])
    assert "is no name of a namespace: write A,B" in capsys.readouterr().err
