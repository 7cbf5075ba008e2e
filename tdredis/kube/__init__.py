"""Kubernetes I/O: client, caches fed by LIST and WATCH, server-side apply, events, lease."""
