"""A small Kubernetes for one machine: real API semantics over HTTP, pods as real processes."""
