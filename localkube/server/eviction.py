"""Whether a pod may be evicted now: never below what a PodDisruptionBudget promises."""

from __future__ import annotations

from localkube.errors import ApiError
from localkube.registry import Obj, Registry, copy_of, time_text
from localkube.selectors import selector_predicate


def check_eviction(registry: Registry, pod: Obj, *, dry_run: bool) -> None:
    """Spends one disruption of the pod's budget. Raises ApiError 429 when there is none left to spend."""
    metadata = pod["metadata"]
    status = pod.get("status") or {}
    if status.get("phase") in ("Pending", "Succeeded", "Failed") or "deletionTimestamp" in metadata:
        return
    labels = metadata.get("labels") or {}
    budgets = [
        one
        for one in registry.list("poddisruptionbudgets.policy", metadata["namespace"])
        if selector_predicate((one.get("spec") or {}).get("selector"))(labels)
    ]
    if not budgets:
        return
    if len(budgets) > 1:
        why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise ApiError(500, "InternalError", why)
    budget = budgets[0]
    state = budget.get("status") or {}
    allowed = state.get("disruptionsAllowed", 0)
    if state.get("observedGeneration", 0) < budget["metadata"].get("generation", 0) or allowed <= 0:
        name = budget["metadata"]["name"]
        why = (
            f"The disruption budget {name} needs {state.get('desiredHealthy', 0)} healthy pods and has "
            f"{state.get('currentHealthy', 0)} currently"
        )
        raise ApiError(
            429,
            "TooManyRequests",
            "Cannot evict pod as it would violate the pod's disruption budget.",
            {"causes": [{"reason": "DisruptionBudget", "message": why}]},
        )
    if dry_run:
        return
    spent = copy_of(budget)
    spent["status"]["disruptionsAllowed"] = allowed - 1
    spent["status"].setdefault("disruptedPods", {})[metadata["name"]] = time_text(registry.now())
    registry.update("poddisruptionbudgets.policy", spent, subresource="status")
