"""Decides what the Secret of an instance holds: its password, in each of the shapes in which a program reads it."""

from __future__ import annotations

import json

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSONObject
from tdredis.api.redisstandby import RedisStandby
from tdredis.manifests.drift import encode_data
from tdredis.manifests.names import PASSWORD_KEY, REDIS_COMPONENT, auth_secret_name, build_metadata, pod_names
from tdredis.manifests.peers import build_peers_files
from tdredis.manifests.redis_config import build_auth_conf
from tdredis.manifests.sentinel_config import build_sentinel_auth_files
from tdredis.manifests.site import Passwords
from tdredis.redis.ports import REDIS_PORT


def build_auth_secret(instance: Instance, passwords: Passwords) -> JSONObject:
    """`exporter.json` is redis_exporter's password file: it looks a password up by the address that it scrapes."""
    exporter = {f"redis://{pod}:{REDIS_PORT}": passwords.redis for pod in pod_names(instance)}
    texts = {
        "auth.conf": build_auth_conf(passwords.redis),
        "exporter.json": json.dumps(exporter, sort_keys=True),
        PASSWORD_KEY: passwords.redis,
        **build_peers_files(instance, passwords.redis),
    }
    if isinstance(instance, RedisStandby):
        texts |= build_sentinel_auth_files(instance, passwords.redis)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": build_metadata(instance, auth_secret_name(instance.name), REDIS_COMPONENT),
        "type": "Opaque",
        "data": encode_data(texts),
    }
