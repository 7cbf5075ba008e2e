"""td-redis-operator: runs Redis Cluster and active/standby Redis on Kubernetes from custom resources."""
