"""Decides what Prometheus is told to scrape, where its operator is there to hear it."""

from __future__ import annotations

from tdredis.api.instance import Instance
from tdredis.api.json_object import JSONObject
from tdredis.manifests.names import MANAGED_BY_LABEL, REDIS_COMPONENT, build_metadata
from tdredis.manifests.pods import component_selector
from tdredis.manifests.redis_pods import METRICS_PORT_NAME
from tdredis.manifests.site import Site


def build_pod_monitors(instance: Instance, site: Site) -> tuple[JSONObject, ...]:
    """One for the exporters beside Redis; none unless spec asks for it and the server takes it. Their series have the
    label app_kubernetes_io_managed_by, by which alerts know them from other people's exporters.
    """
    if not instance.spec.pod_monitor or not site.pod_monitors:
        return ()
    monitor: JSONObject = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": build_metadata(instance, instance.name, REDIS_COMPONENT),
        "spec": {
            "selector": {"matchLabels": component_selector(instance, REDIS_COMPONENT)},
            "podTargetLabels": [MANAGED_BY_LABEL],
            "podMetricsEndpoints": [{"port": METRICS_PORT_NAME}],
        },
    }
    return (monitor,)
