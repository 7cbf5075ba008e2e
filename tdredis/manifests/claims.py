"""Decides what the volume claims of Redis pods ask for, and whether they go with their resource or stay."""

from __future__ import annotations

from typing import Final

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSONObject
from tdredis.manifests.names import REDIS_COMPONENT, build_labels, build_owner

CLAIM: Final = "redis-data"  # volume in the pod; a claim is named <this>-<pod>


# A retained claim has nobody's name on it but that of its instance, by label: what looks, to a tool that tracks its own
# objects by app.kubernetes.io/instance, like an object that is in no manifest any more. Source: Argo CD, "Sync Options"
# (no prune, no resource deletion), "Diffing Customization" (ignoring extraneous resources).
UNTRACKED: Final = {
    "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
}


def build_claim_template(instance: Instance, shard: str) -> JSONObject:
    """Kubernetes lets nobody change it once its StatefulSet exists."""
    return {
        # By the labels we are told of claims at all.
        "metadata": {
            "name": CLAIM,
            "labels": build_labels(instance, REDIS_COMPONENT, shard=shard),
            "annotations": {**UNTRACKED},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": instance.spec.storage_class,
            "resources": {"requests": {"storage": instance.spec.storage.size}},
        },
    }


def build_claim_owner(instance: Instance, claim_name: str) -> JSONObject:
    """The part of a claim that says whose it is, and that no tool is to prune it. With the resource as its owner it is
    deleted with it, without it stays. To be applied to a claim that exists; its StatefulSet made it.
    """
    shard = claim_name.removeprefix(f"{CLAIM}-").rpartition("-")[0]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": claim_name,
            "namespace": instance.namespace,
            "labels": build_labels(instance, REDIS_COMPONENT, shard=shard),
            "annotations": {**UNTRACKED},
            "ownerReferences": [] if instance.spec.storage.retain else [build_owner(instance, controller=False)],
        },
    }
