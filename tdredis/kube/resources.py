"""Which URL a Kubernetes object lives at: the table of every resource the operator talks about."""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as discovery names it; the group of core/v1 is ""."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> tuple[str, str, str]:
        """What `Client.discover` returns a set of."""
        return (self.group, self.version, self.plural)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The percent-encoded path; without a name that of the collection, without a namespace over all namespaces.

        Raises ValueError where the address cannot be meant: a namespaced object without its namespace would
        otherwise read as an object of the cluster and answer 404.
        """
        if namespace and not self.namespaced:
            raise ValueError(f"{self} has no namespaces, got {namespace!r}")
        if name == "" or namespace == "":
            raise ValueError(f"an empty name or namespace is no address of {self}")
        if name and self.namespaced and not namespace:
            raise ValueError(f"{self} {name!r} needs its namespace")
        if subresource and not name:
            raise ValueError(f"subresource {subresource!r} of {self} needs a name")
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/" + "/".join(quote(part, safe="") for part in parts)


NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
PODS = Resource("", "v1", "pods", "Pod")
SERVICES = Resource("", "v1", "services", "Service")
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
EVENTS = Resource("", "v1", "events", "Event")
PERSISTENTVOLUMECLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
ENDPOINTSLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
STATEFULSETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
NETWORKPOLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
PODMONITORS = Resource("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor")
PODDISRUPTIONBUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
CUSTOMRESOURCEDEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
REDISCLUSTERS = Resource("cache.tongdun.net", "v1alpha1", "redisclusters", "RedisCluster")
REDISSTANDBIES = Resource("cache.tongdun.net", "v1alpha1", "redisstandbies", "RedisStandby")
REDISSTANDALONES = Resource("cache.tongdun.net", "v1alpha1", "redisstandalones", "RedisStandalone")

CUSTOM = (REDISCLUSTERS, REDISSTANDBIES, REDISSTANDALONES)

ALL: tuple[Resource, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Resource))

_BY_KIND = {(resource.api_version, resource.kind): resource for resource in ALL}


def resource_of(api_version: str, kind: str) -> Resource:
    """The resource of a manifest's apiVersion and kind; KeyError for what the operator has no business with."""
    return _BY_KIND[(api_version, kind)]
