"""The rules of our definitions are written in what Kubernetes 1.25 knows of CEL, and in nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tdredis.api.crd import build_crds

# What is allowed, and the Kubernetes that has it. Sources: cel-spec, "List of Standard Definitions" and "Macros", all
# of it there since rules are (1.23 alpha, 1.25 beta); of strings, cel-go ext/strings.go, version 0 of that library
# (k8s.io/apiserver/pkg/cel/environment/base.go: IntroducedVersion 1.0 is "always", and what came later stands there).
MACROS: Final = {"has": "1.23", "all": "1.23", "exists_one": "1.23"}
FUNCTIONS: Final = {
    "size": "1.23",  # of a string, also as a method
    "contains": "1.23",
    "endsWith": "1.23",
    "startsWith": "1.23",
    "matches": "1.23",  # RE2
    "double": "1.23",
    "type": "1.23",
    "replace": "1.23",  # ext.Strings
}
OPERATORS: Final = {
    *("!", "&&", "||", "?", ":", "==", "!=", "<=", ">=", ">", "<", "*", "in"),
    *("(", ")", "[", "]", ",", "."),
}
TYPES: Final = {"int", "string"}
YOUNGER: Final = ("messageExpression", "optionalOldSelf", "fieldPath", "reason")  # 1.27, 1.28, 1.28, 1.28

_TOKEN = re.compile(
    r"(?P<text>'(\\.|[^'\\])*')|(?P<number>\d+(\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<operator>&&|\|\||[=!<>]=|[-+*/%!?:<>()\[\],.])|\s+"
)


def _rules(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield from node.get("x-kubernetes-validations", ())
        for value in node.values():
            yield from _rules(value)
    elif isinstance(node, list):
        for value in node:
            yield from _rules(value)


RULES: Final = [rule for crd in build_crds() for rule in _rules(crd)]


def _words(code: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each token; a name that is called is a function, one behind a dot a field."""
    place, tokens = 0, []
    while place < len(code):
        found = _TOKEN.match(code, place)
        assert found is not None, f"not understood: {code[place:]}"
        place = found.end()
        if found.lastgroup is not None:
            kind = next(name for name in ("text", "number", "name", "operator") if found.group(name) is not None)
            tokens.append((kind, found.group(kind)))
    for index, (kind, text) in enumerate(tokens):
        called = tokens[index + 1 : index + 2] == [("operator", "(")]
        if kind == "name" and text == "in":
            yield "operator", text
        elif kind == "name":
            behind_dot = index > 0 and tokens[index - 1] == ("operator", ".")
            yield "function" if called else "field" if behind_dot else "name", text
        else:
            yield kind, text


def _used(kind: str) -> set[str]:
    return {text for rule in RULES for found, text in _words(rule["rule"]) if found == kind}


def test_functions_and_macros_are_those_of_the_list_and_no_others() -> None:
    assert _used("function") == {*MACROS, *FUNCTIONS}


def test_operators_are_those_of_the_language_itself() -> None:
    assert _used("operator") <= OPERATORS


def test_bare_names_are_variables_and_types() -> None:
    assert _used("name") == {"self", "oldSelf", "name", "one", "other", *TYPES}


@pytest.mark.parametrize("word", YOUNGER)
def test_no_rule_has_a_younger_property(word: str) -> None:
    assert [rule for rule in RULES if word in rule] == []


def test_every_rule_says_what_to_write() -> None:
    assert len(RULES) > 100
    assert [rule for rule in RULES if "write " not in rule["message"]] == []


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("quantity(self.a).isGreaterThan(self.b)", "function", "quantity"),
        ("self.a.format([1])", "function", "format"),
        ("self.?a.orValue(1) == 1", "operator", "?"),
        ("ip(self.vip).family() == 4", "function", "ip"),
    ],
)
def test_the_reader_of_rules_sees_what_is_younger(code: str, kind: str, text: str) -> None:
    assert (kind, text) in set(_words(code))
    assert text == "?" or text not in {*MACROS, *FUNCTIONS}
