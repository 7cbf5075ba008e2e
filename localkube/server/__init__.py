"""The HTTP face of localkube: what a client of a Kubernetes API server may send, and the bytes it gets back."""
