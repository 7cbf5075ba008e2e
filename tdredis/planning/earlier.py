"""Decides what a pod was asked to be, which admission may have changed: it says so, or its StatefulSet remembers it.

Pods that an earlier version of the operator made do not say all of it. The template that they were made from does, as
long as it is there: what it said is kept in an annotation of the StatefulSet when another one is written. Where that
is made anew around its pods, they get it themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from tdredis.api.json_object import JSONObject, object_at
from tdredis.manifests.asked import Asked, asked_for
from tdredis.planning.live import Live
from tdredis.planning.snapshot import EARLIER, PodFacts, Ref, Snapshot


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """What pods of *revision* were made from: images by container, and what the Redis container was to have."""

    revision: str
    images: Mapping[str, str]
    asked: Asked | None = None


def asked_of(snapshot: Snapshot, pod: PodFacts) -> Asked | None:
    """CPUs and memory that *pod* was last told to have; None: nobody knows."""
    if pod.asked is not None:
        return pod.asked
    live = _statefulset(snapshot, pod)
    if live is None:
        return None
    if live.revision is not None and pod.revision == live.revision:
        return live.made.asked
    earlier = _earlier(live, pod)
    return earlier.asked if earlier else None


def images_of(snapshot: Snapshot, pod: PodFacts) -> Mapping[str, str]:
    """Images by container that *pod* was to have; empty: nobody knows."""
    live = _statefulset(snapshot, pod)
    if live is None:
        return {}
    if live.revision is not None and pod.revision == live.revision:
        return live.made.images
    earlier = _earlier(live, pod)
    return earlier.images if earlier else {}


def note_for(live: Live, pod: PodFacts) -> str:
    """What *pod* is to keep of its StatefulSet *live*, which goes: the text of the annotation; "": nothing."""
    text = live.meta.annotations.get(EARLIER, "")
    earlier = _parse(text) if text else None
    return text if earlier is not None and earlier.revision == pod.revision and not pod.earlier else ""


def is_changed_by_others(
    snapshot: Snapshot, pod: PodFacts, requests: Mapping[str, str], limits: Mapping[str, str]
) -> bool:
    """It was told to have just that, and its spec says something else."""
    wanted = asked_for(requests, limits)
    told, has = asked_of(snapshot, pod), Asked(requests=pod.requests, limits=pod.limits)
    return told is not None and not told.differing(wanted) and bool(has.differing(wanted))


def with_earlier(snapshot: Snapshot, manifest: JSONObject) -> JSONObject:
    """The StatefulSet *manifest* with what is remembered of the template that it takes the place of."""
    metadata = object_at(manifest, "metadata")
    live = snapshot.children.get(Ref(str(manifest["kind"]), str(metadata["name"])))
    if manifest["kind"] != "StatefulSet" or live is None:
        return manifest
    text = live.meta.annotations.get(EARLIER, "")
    if not text and live.revision is not None and not live.made.says_all:
        found = Earlier(revision=live.revision, images=live.made.images, asked=live.made.asked)
        text = msgspec.json.encode(found, order="sorted").decode()
    if not text:
        return manifest
    annotations = object_at(metadata, "annotations") if metadata.get("annotations") else {}
    return {**manifest, "metadata": {**metadata, "annotations": {**annotations, EARLIER: text}}}


def _statefulset(snapshot: Snapshot, pod: PodFacts) -> Live | None:
    return snapshot.children.get(Ref("StatefulSet", pod.name.rpartition("-")[0]))


def _earlier(live: Live, pod: PodFacts) -> Earlier | None:
    """What its StatefulSet remembers of *pod*, or it says itself."""
    texts = (pod.earlier, live.meta.annotations.get(EARLIER, ""))
    found = (_parse(text) for text in texts if text)
    return next((each for each in found if each is not None and each.revision == pod.revision), None)


@lru_cache(maxsize=1024)
def _parse(text: str) -> Earlier | None:
    """It stays the same for as long as the StatefulSet does."""
    try:
        return msgspec.json.decode(text, type=Earlier)
    except msgspec.DecodeError:
        return None
