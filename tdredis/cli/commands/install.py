"""Decides what is applied to install the operator: the definitions, and deploy/ with the names that are wanted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from tdredis.api.crd import render_crds
from tdredis.cli.errors import CommandError
from tdredis.cli.output import dump_yaml
from tdredis.cli.target import read_image_map

NAME: Final = "td-redis-operator"  # of everything in deploy/, and of its namespace
MANIFESTS: Final = ("operator.yaml", "operator-budget.yaml")


def generate(chosen: argparse.Namespace) -> int:
    read_image_map(chosen.image_map)  # a slip of the pen is told now, not by a pod that ends
    parts = [] if chosen.without_crds else [render_crds()]
    if not chosen.crds_only:
        parts += [f"---\n{dump_yaml(each)}" for each in operator_manifests(chosen)]
    if not parts:
        raise CommandError("--crds-only and --without-crds leave nothing: write one of them")
    sys.stdout.write("".join(parts))
    return 0


def operator_manifests(chosen: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    for name in MANIFESTS:
        for manifest in yaml.safe_load_all(_read(name)):
            yield _changed(manifest, chosen)


def _read(name: str) -> str:
    """Of the wheel; in a checkout, of deploy/."""
    packed = files("tdredis").joinpath("deploy", name)
    if packed.is_file():
        return packed.read_text()
    return (Path(__file__).parents[3] / "deploy" / name).read_text()


def _changed(manifest: dict[str, Any], chosen: argparse.Namespace) -> dict[str, Any]:
    """In the namespace, with the image, the replicas and the image map that are asked for."""
    namespace = chosen.namespace or NAME
    if manifest["kind"] == "Namespace":
        manifest["metadata"]["name"] = namespace
    elif "namespace" in manifest["metadata"]:
        manifest["metadata"]["namespace"] = namespace
    for subject in manifest.get("subjects", ()):
        subject["namespace"] = namespace
    if manifest["kind"] == "Deployment":
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        container["image"] = chosen.image
        container["args"] += [word for each in chosen.image_map for word in ("--image-map", each)]
        manifest["spec"]["replicas"] = chosen.replicas
    return manifest
