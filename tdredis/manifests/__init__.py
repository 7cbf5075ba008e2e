"""Spec to desired Kubernetes objects: one builder an object, names, labels, drift. PURE."""
