"""td-redis-operator: runs Redis Cluster and active/standby Redis on Kubernetes from custom resources."""

__version__ = "0.1.0"  # of pyproject.toml: a test holds them to each other
