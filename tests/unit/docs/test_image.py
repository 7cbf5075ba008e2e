"""The image can be built: what the package is made of is copied before it is made."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_what_the_package_is_made_of_is_copied_into_the_image_that_builds_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    sources = {"pyproject.toml", project["project"]["readme"], *wheel["packages"], *wheel["force-include"]}
    build, _, _ = (ROOT / "Dockerfile").read_text().partition("RUN ")
    words = [line.split() for line in build.splitlines() if line.startswith("COPY ")]
    copied = {source: target for _, *named, target in words for source in named}

    missing = [each for each in sources if not any(each == name or each.startswith(f"{name}/") for name in copied)]

    assert not missing
    assert all(target in (name, "./") for name, target in copied.items()), "where pyproject.toml looks for it"
