"""Which pods, nodes and addresses a fault is about, from the words a person writes."""

from __future__ import annotations

from localkube.errors import ApiError
from localkube.faults.menu import BadFault, Side
from localkube.registry import Obj, Registry
from localkube.selectors import Predicate, parse_selector

PodKey = tuple[str, str]


def pod_key(text: str) -> PodKey:
    """NAME or NAMESPACE/NAME. Raises BadFault."""
    namespace, slash, name = text.rpartition("/")
    if not name or "/" in namespace or (slash and not namespace):
        raise BadFault(f"{text!r} is no pod: write NAME or NAMESPACE/NAME")
    return namespace or "default", name


def find_pod(registry: Registry, text: str) -> Obj:
    """Raises BadFault."""
    namespace, name = pod_key(text)
    found = registry.find("pods", namespace, name)
    if found is None:
        raise BadFault(f"there is no pod {name} in namespace {namespace}")
    return found


def node_of(pod: Obj) -> str:
    """Raises BadFault."""
    node: str | None = pod["spec"].get("nodeName")
    if not node:
        raise BadFault(f"pod {pod['metadata']['name']} has no node yet")
    return node


def is_one_of(pod: Obj, words: Side) -> bool:
    """Whether *pod* is named by words that name pods: by name, by label, all of a namespace. Raises BadFault."""
    metadata = pod["metadata"]
    for word in words:
        namespace, name = _split(word)
        if metadata["namespace"] != namespace:
            continue
        if name == "*" or name == metadata["name"]:
            return True
        if "=" in name and _selector(name)(metadata.get("labels") or {}):
            return True
    return False


def check_names_pods(words: Side) -> None:
    """Raises BadFault for a side that is not made of pods."""
    if not words:
        raise BadFault("a side without pods: say who is meant")
    for word in words:
        if word in ("others", "everyone") or word.startswith("node:"):
            raise BadFault(f"{word} names no pods")
        _, name = _split(word)
        if "=" in name:
            _selector(name)
        elif name != "*":
            pod_key(word)


def _split(word: str) -> tuple[str, str]:
    """Namespace, and a name, a label or an asterisk."""
    namespace, slash, rest = word.partition("/")
    return (namespace, rest) if slash else ("default", word)


def _selector(text: str) -> Predicate:
    """Raises BadFault."""
    try:
        return parse_selector(text)
    except ApiError as error:
        raise BadFault(error.message) from error


class Sides:
    """Turns the two sides of a conversation into addresses, again and again: pods come back with new ones."""

    def __init__(self, registry: Registry, block: int, node_addresses: dict[str, str]) -> None:
        """*node_addresses*: name of each node -> its addresses as 127.B.n.0/24."""
        self._registry = registry
        self._block = block
        self._nodes = node_addresses

    def addresses(self, side: Side, opposite: Side) -> list[str]:
        """Addresses and ranges, sorted, none inside another. Raises BadFault."""
        found: set[str] = set()
        for word in side:
            found |= self._of(word, side, opposite)
        return sorted(found)

    def _of(self, word: str, side: Side, opposite: Side) -> set[str]:
        if word == "everyone":
            if len(side) > 1:
                raise BadFault("everyone stands alone: it includes all others")
            return {"127.0.0.0/8"}
        if word == "others":
            if len(side) > 1 or any(one in ("others", "everyone") for one in opposite):
                raise BadFault("others stands alone, opposite to pods or nodes that are named")
            return {f"127.{self._block}.0.0/16"}
        if word.startswith("node:"):
            name = word.removeprefix("node:")
            if name not in self._nodes:
                raise BadFault(f"there is no node {name}")
            return self._of_node(name)
        return {ip for pod in self._pods(word) if (ip := (pod.get("status") or {}).get("podIP"))}

    def _of_node(self, name: str) -> set[str]:
        """The node's range, or where pods have addresses of another node's range, the node's and its pods' own."""
        prefix = self._nodes[name].removesuffix("0/24")
        pods = [
            (pod["spec"].get("nodeName"), address)
            for pod in self._registry.list("pods")
            if (address := (pod.get("status") or {}).get("podIP"))
        ]
        if all((node == name) == address.startswith(prefix) for node, address in pods):
            return {self._nodes[name]}
        return {f"{prefix}1", *(address for node, address in pods if node == name)}

    def _pods(self, word: str) -> list[Obj]:
        namespace, rest = _split(word)
        if rest == "*":
            return self._registry.list("pods", namespace)
        if "=" in rest:
            try:
                return self._registry.list("pods", namespace, labels=rest)
            except ApiError as error:
                raise BadFault(error.message) from error
        key = pod_key(word)
        # A pod that is away for a moment, as when its StatefulSet makes it anew, is cut off when it comes back.
        found = self._registry.find("pods", *key)
        return [found] if found is not None else []
