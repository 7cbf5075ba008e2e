"""Decides what the operator, and the sandbox, are started with."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket

import uvloop

from tdredis.cli.errors import CommandError
from tdredis.cli.target import read_image_map
from tdredis.controllers.manager import Settings, operate
from tdredis.kube.kubeconfig import load_config
from tdredis.runtime.listening import parse_address
from tdredis.runtime.logs import configure_logs


def run(chosen: argparse.Namespace) -> int:
    configure_logs(chosen.log_format, chosen.log_level)
    settings = Settings(
        images=read_image_map(chosen.image_map),
        namespaces=chosen.namespaces or ((chosen.namespace,) if chosen.namespace else ()),
        workers=chosen.workers,
        max_rolls=chosen.max_concurrent_rolls,
        listen=_listen(chosen.listen),
        leader_election=not chosen.no_leader_election,
        lease_namespace=chosen.lease_namespace,
        lease_name=chosen.lease_name,
        identity=chosen.identity or f"{socket.gethostname()}-{os.getpid()}",
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(operate(load_config(chosen.kubeconfig), settings))


def sandbox(chosen: argparse.Namespace) -> int:
    configure_logs(chosen.log_format, chosen.log_level)
    try:
        from tdredis.sandbox import run_sandbox  # noqa: PLC0415 its packages are not installed in production
    except ModuleNotFoundError as error:
        raise CommandError(f"{error}: install td-redis-operator[sandbox]") from error
    return asyncio.run(run_sandbox(chosen.apply, nodes=chosen.nodes, once=chosen.once))


def _listen(text: str) -> tuple[str, int] | None:
    try:
        return parse_address(text) if text else None
    except ValueError as error:
        raise CommandError(f"--listen {error}") from error
