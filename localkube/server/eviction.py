"""Whether a pod may be evicted now: never below what a PodDisruptionBudget promises."""

from __future__ import annotations

from localkube.controllers.pods import condition, is_ready
from localkube.errors import ApiError
from localkube.registry import Obj, Registry, copy_of, time_text
from localkube.selectors import selector_predicate


def check_eviction(registry: Registry, pod: Obj, *, dry_run: bool) -> None:
    """Spends one disruption of the pod's budget. Raises ApiError 429 when there is none left to spend.

    A pod that is not ready is not among the healthy ones that a budget counts: it goes without being counted while
    there are enough of them, or always if the budget says AlwaysAllow.
    """
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
    healthy, desired = state.get("currentHealthy", 0), state.get("desiredHealthy", 0)
    if not is_ready(pod):
        if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
            return
        if healthy >= desired > 0:
            return
    name = budget["metadata"]["name"]
    if state.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _refused(f"The disruption budget {name} is still being processed by the server.", retry_after_s=10)
    allowed = state.get("disruptionsAllowed", 0)
    if allowed <= 0:
        failed = condition(budget, "DisruptionAllowed")
        if failed is not None and failed.get("reason") == "SyncFailed":
            why = (
                f"The disruption budget {name} does not allow evicting pods currently because it failed sync: "
                f"{failed.get('message', '')}"
            )
        else:
            why = f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
        raise _refused(why)
    if dry_run:
        return
    spent = copy_of(budget)
    spent["status"]["disruptionsAllowed"] = allowed - 1
    spent["status"].setdefault("disruptedPods", {})[metadata["name"]] = time_text(registry.now())
    registry.update("poddisruptionbudgets.policy", spent, subresource="status")


def _refused(why: str, *, retry_after_s: int | None = None) -> ApiError:
    details: Obj = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry_after_s is not None:
        details["retryAfterSeconds"] = retry_after_s
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return ApiError(429, "TooManyRequests", message, details)
