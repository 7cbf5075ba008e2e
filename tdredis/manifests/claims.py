"""Decides what the volume claims of Redis pods ask for, and whether they go with their resource or stay."""

from __future__ import annotations

from typing import Final

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSONObject
from tdredis.manifests.names import REDIS_COMPONENT, build_labels, build_owner

CLAIM: Final = "redis-data"  # volume in the pod; a claim is named <this>-<pod>


def build_claim_template(instance: Instance, shard: str) -> JSONObject:
    """Kubernetes lets nobody change it once its StatefulSet exists."""
    return {
        # By the labels we are told of claims at all.
        "metadata": {"name": CLAIM, "labels": build_labels(instance, REDIS_COMPONENT, shard=shard)},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": instance.spec.storage_class,
            "resources": {"requests": {"storage": instance.spec.storage.size}},
        },
    }


def build_claim_owner(instance: Instance, claim_name: str) -> JSONObject:
    """The part of a claim that says whose it is: with the resource as its owner it is deleted with it, without it
    stays. To be applied to a claim that exists; its StatefulSet made it.
    """
    shard = claim_name.removeprefix(f"{CLAIM}-").rpartition("-")[0]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": claim_name,
            "namespace": instance.namespace,
            "labels": build_labels(instance, REDIS_COMPONENT, shard=shard),
            "ownerReferences": [] if instance.spec.storage.retain else [build_owner(instance, controller=False)],
        },
    }
