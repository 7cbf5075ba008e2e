"""Decides on which node a pod may run and which of them is best, from facts alone, so that the reasons can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from localkube.controllers.nodeterms import node_term_matches
from localkube.controllers.pods import Obj, controller_ref, labels_of
from localkube.controllers.quantities import parse_quantity
from localkube.selectors import selector_predicate

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"

Requests = Mapping[str, Fraction]


def requests_of(pod: Obj) -> dict[str, Fraction]:
    """What the pod asks of a node: its containers together, or its largest init container when that is more."""
    spec = pod["spec"]
    together: Counter[str] = Counter()
    for container in spec.get("containers") or []:
        _add(together, _container_requests(container))
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            _add(together, _container_requests(container))
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") != "Always":
            for name, amount in _container_requests(container).items():
                together[name] = max(together[name], amount)  # type: ignore[assignment] # Counter of fractions
    _add(together, {name: parse_quantity(value) for name, value in (spec.get("overhead") or {}).items()})
    return dict(together)  # type: ignore[arg-type] # Counter of fractions


def room_of(pod: Obj) -> dict[str, Fraction]:
    """What a pod that is bound takes: while it is being resized, the larger of what it has and what it asks for.

    What its node can never give it is not kept free for it.
    """
    status = pod.get("status") or {}
    given = {
        one["name"]: one["resources"]
        for group in ("initContainerStatuses", "containerStatuses")
        for one in status.get(group) or ()
        if "resources" in one
    }
    spec = pod["spec"]
    lists = {
        field: [{**one, "resources": given.get(one["name"], one.get("resources"))} for one in spec.get(field) or ()]
        for field in ("initContainers", "containers")
    }
    if all(
        one.get("resources", {}) == given.get(one["name"], one.get("resources", {}))
        for field in lists
        for one in spec.get(field) or ()
    ):
        return requests_of(pod)
    has = requests_of({**pod, "spec": {**spec, **lists}})
    if resize_is_infeasible(pod):
        return has
    asks = requests_of(pod)
    return {name: max(has.get(name, Fraction(0)), asks.get(name, Fraction(0))) for name in {**has, **asks}}


def resize_is_infeasible(pod: Obj) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "PodResizePending" and one.get("reason") == "Infeasible" for one in conditions)


def _container_requests(container: Mapping[str, Any]) -> dict[str, Fraction]:
    resources = container.get("resources") or {}
    # A limit without a request is a request as well (the API server's defaulting; harmless to repeat).
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: parse_quantity(value) for name, value in asked.items()}


def _add(total: Counter[str], more: Mapping[str, Fraction]) -> None:
    for name, amount in more.items():
        total[name] += amount  # type: ignore[assignment] # Counter of fractions


def host_ports_of(pod: Obj) -> frozenset[tuple[str, int]]:
    """Protocol and port. The address is left out: all nodes share the loopback, an address would promise too much."""
    spec = pod["spec"]
    host_network = bool(spec.get("hostNetwork"))
    return frozenset(
        (port.get("protocol") or "TCP", port.get("hostPort") or port["containerPort"])
        for container in spec.get("containers") or []
        for port in container.get("ports") or []
        if port.get("hostPort") or host_network
    )


@dataclass(slots=True)
class NodeView:
    """A node and the pods that are bound to it and not finished."""

    node: Obj
    pods: list[Obj] = field(default_factory=list)
    requested: dict[str, Fraction] = field(default_factory=dict)
    allocatable: dict[str, Fraction] = field(default_factory=dict)
    ports: set[tuple[str, int]] = field(default_factory=set)
    guards: list[tuple[Obj, Mapping[str, Any]]] = field(default_factory=list)  # pods with whom they do not want to be

    def __post_init__(self) -> None:
        status = self.node.get("status") or {}
        given = status.get("allocatable") or status.get("capacity") or {}
        self.allocatable = {name: parse_quantity(value) for name, value in given.items()}

    @property
    def name(self) -> str:
        name: str = self.node["metadata"]["name"]
        return name

    def place(self, pod: Obj) -> None:
        self.pods.append(pod)
        self.ports |= host_ports_of(pod)
        self.guards += [(pod, term) for term in _required_terms(pod, "podAntiAffinity")]
        for name, amount in room_of(pod).items():
            self.requested[name] = self.requested.get(name, Fraction(0)) + amount


@dataclass(frozen=True, slots=True)
class Candidate:
    """The pod to place, with what is asked about it for every node parsed once."""

    pod: Obj
    requests: Requests
    ports: frozenset[tuple[str, int]]
    company: Company


def _affinity(pod: Obj, kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (pod["spec"].get("affinity") or {}).get(kind) or {}
    return found


def seeks_company(pod: Obj) -> bool:
    """Whether one more pod elsewhere could make a node fit for this one."""
    spread = pod["spec"].get("topologySpreadConstraints") or []
    return bool(_required_terms(pod, "podAffinity") or spread)


def _required_terms(pod: Obj, kind: str) -> Sequence[Mapping[str, Any]]:
    return _affinity(pod, kind).get("requiredDuringSchedulingIgnoredDuringExecution") or []


def term_matcher(term: Mapping[str, Any], owner: Obj, namespace_labels: Mapping[str, Obj]) -> Callable[[Obj], bool]:
    """Tells whether a pod is one of those that a podAffinityTerm of *owner* speaks of."""
    namespaces = term.get("namespaces") or []
    of_namespace = term.get("namespaceSelector")
    if not namespaces and of_namespace is None:
        namespaces = [owner["metadata"]["namespace"]]
    selects = selector_predicate(term.get("labelSelector"))

    def matches(other: Obj) -> bool:
        there = other["metadata"]["namespace"]
        if there not in namespaces:
            known = namespace_labels.get(there)
            if of_namespace is None or known is None or not selector_predicate(of_namespace)(labels_of(known)):
                return False
        return selects(labels_of(other))

    return matches


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All nodes, and the namespaces by name (a term may select by their labels)."""

    nodes: Sequence[NodeView]
    namespaces: Mapping[str, Obj]


Domain = tuple[str, str]  # topology key and value


def _domains_with(term: Mapping[str, Any], owner: Obj, around: Surroundings) -> frozenset[Domain]:
    """Where there is at least one pod that *term* of *owner* speaks of."""
    matches, key = term_matcher(term, owner, around.namespaces), term["topologyKey"]
    return frozenset(
        (key, value)
        for node in around.nodes
        if (value := labels_of(node.node).get(key)) is not None and any(map(matches, node.pods))
    )


@dataclass(frozen=True, slots=True)
class Company:
    """What the pods that are there mean to the new one: asked once, not for every node again."""

    wanted: Sequence[tuple[str, frozenset[Domain] | None]]  # None: the first of its kind may go anywhere
    shunned: frozenset[Domain]
    refused: frozenset[Domain]  # by those who are there already


def _meet_company(pod: Obj, around: Surroundings) -> Company:
    wanted: list[tuple[str, frozenset[Domain] | None]] = []
    for term in _required_terms(pod, "podAffinity"):
        domains = _domains_with(term, pod, around)
        # A pod that wants company of its own kind may be the first one: otherwise none could ever start.
        alone = term_matcher(term, pod, around.namespaces)(pod) and not _exists(term, pod, around)
        wanted.append((term["topologyKey"], None if alone else domains))
    shunned: set[Domain] = set()
    for term in _required_terms(pod, "podAntiAffinity"):
        shunned |= _domains_with(term, pod, around)
    refused: set[Domain] = set()
    for node in around.nodes:
        labels = labels_of(node.node)
        for guard, term in node.guards:
            domain = (term["topologyKey"], labels.get(term["topologyKey"]) or "")
            if domain[1] and domain not in refused and term_matcher(term, guard, around.namespaces)(pod):
                refused.add(domain)
    return Company(wanted, frozenset(shunned), frozenset(refused))


def _exists(term: Mapping[str, Any], pod: Obj, around: Surroundings) -> bool:
    matches = term_matcher(term, pod, around.namespaces)
    return any(matches(other) for node in around.nodes for other in node.pods)


# --- filters: each answers why not, or nothing. The first to object speaks for the node, as with the real scheduler.


def _unschedulable(it: Candidate, node: NodeView, _: Surroundings) -> list[str]:
    if not node.node["spec"].get("unschedulable") or _tolerates(
        it.pod, {"key": UNSCHEDULABLE_TAINT, "effect": "NoSchedule"}
    ):
        return []
    return ["node(s) were unschedulable"]


def _tolerates(pod: Obj, taint: Mapping[str, Any]) -> bool:
    for toleration in pod["spec"].get("tolerations") or []:
        if toleration.get("effect") not in {None, "", taint.get("effect")}:
            continue
        if toleration.get("key") not in {None, "", taint["key"]}:
            continue
        if toleration.get("operator", "Equal") == "Exists":
            return True
        if toleration.get("key") and (toleration.get("value") or "") == (taint.get("value") or ""):
            return True
    return False


def _tainted(it: Candidate, node: NodeView, _: Surroundings) -> list[str]:
    for taint in node.node["spec"].get("taints") or []:
        if taint.get("effect") in {"NoSchedule", "NoExecute"} and not _tolerates(it.pod, taint):
            if taint["key"] == UNSCHEDULABLE_TAINT:
                continue  # said by the filter above, in its own words
            value = taint.get("value") or ""
            return [f"node(s) had untolerated taint {{{taint['key']}: {value}}}"]
    return []


def _not_its_node(it: Candidate, node: NodeView, _: Surroundings) -> list[str]:
    labels = labels_of(node.node)
    wanted: Mapping[str, str] = it.pod["spec"].get("nodeSelector") or {}
    refused = ["node(s) didn't match Pod's node affinity/selector"]
    if any(labels.get(key) != value for key, value in wanted.items()):
        return refused
    required = _affinity(it.pod, "nodeAffinity").get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return []
    terms = required.get("nodeSelectorTerms") or []
    return [] if any(node_term_matches(term, labels, node.name) for term in terms) else refused


def _ports_taken(it: Candidate, _: NodeView, around: Surroundings) -> list[str]:
    # All nodes are one machine: a port taken on one is taken on all.
    if any(it.ports & node.ports for node in around.nodes):
        return ["node(s) didn't have free ports for the requested pod ports"]
    return []


def _no_room(it: Candidate, node: NodeView, _: Surroundings) -> list[str]:
    reasons = []
    if len(node.pods) + 1 > node.allocatable.get("pods", Fraction(110)):
        reasons.append("Too many pods")
    for name in sorted(it.requests):
        amount = it.requests[name]
        free = node.allocatable.get(name, Fraction(0)) - node.requested.get(name, Fraction(0))
        if amount > 0 and amount > free:
            reasons.append(f"Insufficient {name}")
    return reasons


def _spread_counts(
    constraint: Mapping[str, Any], it: Candidate, around: Surroundings
) -> tuple[str, dict[str, int], Callable[[NodeView], bool]]:
    """Topology key, matching pods by topology value among the nodes that count, and which nodes count."""
    key: str = constraint["topologyKey"]
    selector = dict(constraint.get("labelSelector") or {})
    own = labels_of(it.pod)
    expressions = list(selector.get("matchExpressions") or [])
    expressions += [
        {"key": label, "operator": "In", "values": [own[label]]}
        for label in constraint.get("matchLabelKeys") or []
        if label in own
    ]
    matches = selector_predicate({**selector, "matchExpressions": expressions})
    honour_affinity = constraint.get("nodeAffinityPolicy", "Honor") == "Honor"
    honour_taints = constraint.get("nodeTaintsPolicy", "Ignore") == "Honor"

    def counts(node: NodeView) -> bool:
        if key not in labels_of(node.node):
            return False
        if honour_affinity and _not_its_node(it, node, around):
            return False
        return not (honour_taints and _tainted(it, node, around))

    totals: dict[str, int] = {}
    for node in around.nodes:
        if counts(node):
            here = sum(
                1
                for pod in node.pods
                if pod["metadata"]["namespace"] == it.pod["metadata"]["namespace"]
                and pod["metadata"].get("deletionTimestamp") is None
                and matches(labels_of(pod))
            )
            value = labels_of(node.node)[key]
            totals[value] = totals.get(value, 0) + here
    return key, totals, counts


def _spread_refuses(it: Candidate, node: NodeView, around: Surroundings) -> list[str]:
    for constraint in it.pod["spec"].get("topologySpreadConstraints") or []:
        if constraint.get("whenUnsatisfiable", "DoNotSchedule") != "DoNotSchedule":
            continue
        key, totals, _ = _spread_counts(constraint, it, around)
        value = labels_of(node.node).get(key)
        if value is None:
            return ["node(s) didn't match pod topology spread constraints (missing required label)"]
        fewest = min(totals.values(), default=0)
        if len(totals) < (constraint.get("minDomains") or 1):
            fewest = 0
        itself = 1 if selector_predicate(constraint.get("labelSelector"))(labels_of(it.pod)) else 0
        if totals.get(value, 0) + itself - fewest > constraint["maxSkew"]:
            return ["node(s) didn't match pod topology spread constraints"]
    return []


def _pods_of_domain(key: str, node: NodeView, around: Surroundings) -> Iterable[Obj]:
    value = labels_of(node.node).get(key)
    if value is None:
        return
    for other in around.nodes:
        if labels_of(other.node).get(key) == value:
            yield from other.pods


def _company_refuses(it: Candidate, node: NodeView, _: Surroundings) -> list[str]:
    labels = labels_of(node.node)
    for key, domains in it.company.wanted:
        if key not in labels or (domains is not None and (key, labels[key]) not in domains):
            return ["node(s) didn't match pod affinity rules"]
    if any(labels.get(key) == value for key, value in it.company.shunned):
        return ["node(s) didn't match pod anti-affinity rules"]
    if any(labels.get(key) == value for key, value in it.company.refused):
        return ["node(s) didn't satisfy existing pods anti-affinity rules"]
    return []


Filter = Callable[[Candidate, NodeView, Surroundings], list[str]]

FILTERS: tuple[Filter, ...] = (
    _unschedulable,
    _tainted,
    _not_its_node,
    _ports_taken,
    _no_room,
    _spread_refuses,
    _company_refuses,
)


# --- scores: more is better; each is small whole numbers, so that equal worlds give equal choices


def _preferred(it: Candidate, node: NodeView, around: Surroundings) -> float:
    """What the pod would like, in the weights it gives; refused wishes count against the node."""
    score = 0.0
    for wish in _affinity(it.pod, "nodeAffinity").get("preferredDuringSchedulingIgnoredDuringExecution") or []:
        if node_term_matches(wish["preference"], labels_of(node.node), node.name):
            score += wish["weight"]
    for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
        for wish in _affinity(it.pod, kind).get("preferredDuringSchedulingIgnoredDuringExecution") or []:
            term = wish["podAffinityTerm"]
            matches = term_matcher(term, it.pod, around.namespaces)
            here = sum(1 for pod in _pods_of_domain(term["topologyKey"], node, around) if matches(pod))
            score += sign * wish["weight"] * here
    for taint in node.node["spec"].get("taints") or []:
        if taint.get("effect") == "PreferNoSchedule" and not _tolerates(it.pod, taint):
            score -= 100
    return score


def _uneven(it: Candidate, node: NodeView, around: Surroundings) -> float:
    """How crowded the node's domain already is, for the constraints that only wish."""
    crowd = 0.0
    for constraint in it.pod["spec"].get("topologySpreadConstraints") or []:
        if constraint.get("whenUnsatisfiable", "DoNotSchedule") == "ScheduleAnyway":
            key, totals, _ = _spread_counts(constraint, it, around)
            crowd += totals.get(labels_of(node.node).get(key, ""), max(totals.values(), default=0) + 1)
    return crowd


def _siblings(it: Candidate, node: NodeView) -> int:
    owner = controller_ref(it.pod)
    if owner is None:
        return 0
    return sum(1 for pod in node.pods if (ref := controller_ref(pod)) is not None and ref["uid"] == owner["uid"])


def _fullness(it: Candidate, node: NodeView) -> Fraction:
    used = Fraction(0)
    for name in ("cpu", "memory"):
        total = node.allocatable.get(name, Fraction(0))
        if total:
            used += (node.requested.get(name, Fraction(0)) + it.requests.get(name, Fraction(0))) / total
    return used


@dataclass(frozen=True, slots=True)
class Placement:
    """The best node, or None and what to say about it."""

    node: str | None
    message: str


def choose_node(pod: Obj, nodes: Sequence[NodeView], namespaces: Mapping[str, Obj]) -> Placement:
    """The node for *pod*: wishes first, then few siblings, then much room, few pods, and the lowest name."""
    if not nodes:
        return Placement(None, "no nodes available to schedule pods")
    around = Surroundings(nodes, namespaces)
    it = Candidate(pod, requests_of(pod), host_ports_of(pod), _meet_company(pod, around))
    refusals: Counter[str] = Counter()
    fitting: list[NodeView] = []
    for node in nodes:
        reasons = next((found for check in FILTERS if (found := check(it, node, around))), [])
        refusals.update(reasons)
        if not reasons:
            fitting.append(node)
    if not fitting:
        told = ", ".join(sorted(f"{count} {reason}" for reason, count in refusals.items()))
        return Placement(None, f"0/{len(nodes)} nodes are available: {told}.")
    best = min(
        fitting,
        key=lambda node: (
            -_preferred(it, node, around),
            _uneven(it, node, around),
            _siblings(it, node),
            _fullness(it, node),
            len(node.pods),
            _natural(node.name),
        ),
    )
    return Placement(best.name, f"{len(fitting)} of {len(nodes)} nodes fit")


def _natural(name: str) -> tuple[int, str]:
    # node-2 before node-10
    return len(name), name
