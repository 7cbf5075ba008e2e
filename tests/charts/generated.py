"""Decides what in the charts is made of something else: the definitions, the rules of the roles, the schema of an
instance's values, and the page about values. `python -m tests.charts.generated` writes it, `make generated` does too.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tdredis.api.crd import build_crds

ROOT: Final = Path(__file__).parents[2]
OPERATOR: Final = ROOT / "charts/td-redis-operator"
INSTANCE: Final = ROOT / "charts/td-redis-instance"
DEFINITIONS: Final = "cache.tongdun.net.yaml"
_RULES: Final = re.compile(r"^rules:\n.*?(?=^---$|\Z)", re.MULTILINE | re.DOTALL)
Schema = dict[str, Any]


def render() -> dict[Path, str]:
    """Each file and its text."""
    manifests = (ROOT / "deploy/operator.yaml").read_text()
    return {
        OPERATOR / "files/crds" / DEFINITIONS: (ROOT / "deploy/crds" / DEFINITIONS).read_text(),
        OPERATOR / "files/rules.yaml": _rules(manifests, "ClusterRole"),
        OPERATOR / "files/lease-rules.yaml": _rules(manifests, "Role"),
        INSTANCE / "values.schema.json": json.dumps(instance_schema(), indent=1, ensure_ascii=False) + "\n",
        ROOT / "docs/reference/charts.md": _page(),
    }


def _rules(manifests: str, kind: str) -> str:
    """The rules of the one role of *kind*, with what is said about them."""
    (text,) = (part for part in manifests.split("\n---\n") if f"\nkind: {kind}\n" in f"\n{part}\n")
    found = _RULES.search(text + "\n")
    assert found is not None, f"no rules of {kind}"
    return found[0]


def instance_schema() -> Schema:
    """As values.schema.json of the chart of one instance: `spec` is what the kind's definition says, less what the
    chart itself fills in.
    """
    specs = {
        crd["spec"]["names"]["kind"]: _plain(
            crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        )
        for crd in map(dict[str, Any], build_crds())
    }
    for spec in specs.values():
        spec.pop("required", None)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart td-redis-instance",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "global": {
                "type": "object",
                "description": "Values that a chart above shares with all of its parts. None is read here.",
            },
            "kind": {
                "type": "string",
                "enum": list(specs),
                "description": "What is made: a RedisCluster (shards behind a proxy), a RedisStandby (a primary and "
                "its standbys, with Sentinels) or a RedisStandalone (one Redis).",
            },
            "name": {
                "type": "string",
                "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$",
                "maxLength": 63,
                "description": "Name of the resource. Empty: the release's. The Services that clients use have it.",
            },
            "keep": {
                "type": "boolean",
                "description": "Whether the instance stays when the release is uninstalled. false: it goes, and its "
                "volumes with it unless spec.storage.retain is true.",
            },
            "labels": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Labels on the resource.",
            },
            "annotations": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Annotations on the resource.",
            },
            "spec": {
                "type": "object",
                "description": "What the resource says, field by field as in the page of its kind. What is not given "
                "of app, images, netmode, realname and size is filled in by the chart.",
            },
        },
        "allOf": [
            {"if": {"properties": {"kind": {"const": kind}}}, "then": {"properties": {"spec": spec}}}
            for kind, spec in specs.items()
        ],
    }


def _plain(schema: Schema) -> Schema:
    """Without the words that only an API server knows; a field that is not known is refused, as it says it."""
    found = {
        name: value
        for name, value in schema.items()
        if name not in ("properties", "items", "additionalProperties", "default", "format")
        and not name.startswith("x-")
    }
    if schema.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
        found.pop("anyOf", None)
    for name in ("items", "additionalProperties"):
        if name in schema:
            found[name] = _plain(schema[name]) if isinstance(schema[name], dict) else schema[name]
    if "properties" in schema:
        found["properties"] = {name: _plain(part) for name, part in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    return found


def _page() -> str:
    parts = ["# Values of the charts\n\nMade of `values.schema.json` and `values.yaml`; what is not here is refused.\n"]
    for chart, schema in (
        (OPERATOR, json.loads((OPERATOR / "values.schema.json").read_text())),
        (INSTANCE, instance_schema()),
    ):
        values = yaml.safe_load((chart / "values.yaml").read_text())
        rows = [
            f"| `{path}` | {_type(part)} | {_default(values, path)} | {_words(part)} |"
            for path, part in walk(schema)
            if path != "global"
        ]
        table = "\n".join(("| value | type | default | what it is |", "|---|---|---|---|", *rows))
        parts.append(f"## {chart.name}\n\n{table}\n")
    return "\n".join(parts)


def walk(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Schema]]:
    """Every value that the schema names, by its path; those within lists too."""
    for name, part in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, part
        yield from walk(part, f"{path}.")
        if isinstance(part.get("items"), dict):
            yield from walk(part["items"], f"{path}[].")


def _type(part: Schema) -> str:
    said = part.get("type", "object")
    return " or ".join(said) if isinstance(said, list) else str(said)


def _default(values: Any, path: str) -> str:
    found = values
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            return ""
        found = found[name]
    if isinstance(found, dict) and found and not path.endswith(("requests", "limits", "labels")):
        return "" if path != "resources" else f"`{json.dumps(found)}`"
    return f"`{json.dumps(found)}`"


def _words(part: Schema) -> str:
    words = str(part.get("description", ""))
    if "enum" in part:
        words += f" One of {', '.join(f'`{each}`' for each in part['enum'])}."
    if "minimum" in part and "maximum" in part:
        words += f" {part['minimum']} to {part['maximum']}."
    return words.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    for path, text in render().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
