"""Decides what differs from one Kubernetes to the next: where images come from, and which APIs are served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Passwords:
    """Both effective passwords; "" means none. Never printed."""

    redis: str = field(repr=False)
    proxy: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """*images*: image to use instead of another; a key that ends in "/" or ":" replaces that prefix."""

    images: Mapping[str, str] = field(default_factory=dict)
    endpoint_slices: bool = True  # discovery.k8s.io/v1 is served
    disruption_budgets: bool = True  # policy/v1 is served
    pod_monitors: bool = False  # monitoring.coreos.com/v1 is served
    pod_resize: bool = False  # pods have the subresource resize
    pull_secret: bool = True  # the resource's namespace has the Secret of manifests/pods.py, PULL_SECRET

    def image(self, name: str) -> str:
        """The image to run where a spec says *name*: an exact replacement, else the longest prefix's."""
        if name in self.images:
            return self.images[name]
        prefixes = [old for old in self.images if old.endswith(("/", ":")) and name.startswith(old)]
        if not prefixes:
            return name
        longest = max(prefixes, key=len)
        return self.images[longest] + name.removeprefix(longest)
