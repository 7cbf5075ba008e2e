"""Lets kr8s' suite, which starts a cluster of its own in containers, run against the cluster that KUBECONFIG names."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-cluster", action="store_true", help="always so: the cluster is not ours")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "nginx_pod" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason="needs a real nginx, which localkube does not have"))
