"""The one reconcile loop, one small module per kind, and the manager that starts them."""
