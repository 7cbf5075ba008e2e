"""A Redis process's parameters, simulated: those of the table, with the forms and the refusals of a real engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tdredis.manifests.settings_file import settings_at_start
from tdredis.planning.snapshot import Key
from tdredis.planning.steps import SetParameter
from tdredis.redis.parameters import parameter_of
from tdredis.redislink.settings import SettingsMemory

ENGINE = "redis 7.0.15"
IMMUTABLE = "ERR CONFIG SET failed (possibly related to argument '{}') - can't set immutable config"
KEY = Key("Any", "one", "one")
# As a real one answers what it took.
FORMS = {"KEA": "AKE", "1gb": "1073741824", "YES": "yes", "900  1": "900 1", "odd text": "an odd text"}


class SimulatedSettings:
    """Of all processes of an instance, by their pods. *refuses*: values, by pod, that a process does not take."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.values: dict[str, dict[str, str]] = {}
        self.own: dict[str, str] = {}  # of redis.conf
        self.refuses: dict[str, set[str]] = {}
        self.refused_at_start: dict[str, dict[str, str]] = {}
        self.engines: dict[str, str] = {}  # of images, where it is another one
        self.images: dict[str, str] = {}  # by pod
        self.live: set[str] = set()  # parameters that this engine takes while it runs, whatever the table says
        self.immutable: set[str] = set()  # and those that it does not
        self.told: list[tuple[str, str, str]] = []
        self.memory: SettingsMemory[Key] = SettingsMemory(now)

    def of(self, pod: str) -> dict[str, str]:
        return self.values.setdefault(pod, {})

    def engine_of(self, pod: str) -> str:
        return self.engines.get(self.images.get(pod, ""), ENGINE)

    def get(self, pod: str, names: tuple[str, ...]) -> dict[str, str]:
        """What CONFIG GET answers."""
        found = {}
        for name in names:
            known = parameter_of(self.engine_of(pod), name)
            if known is not None or name in self.live:
                default = self.own.get(name, known.default if known else "0")
                found[name] = self.of(pod).get(name, default)
        return found

    def tell(self, step: SetParameter) -> None:
        """As the executor carries it out."""
        pod, known = step.process.pod, parameter_of(step.engine, step.name)
        self.told.append((pod, step.name, step.value))
        assert len(self.told) < 500, "told without an end"
        if step.value in self.refuses.get(pod, set()):
            self._refuse(step, f"ERR it cannot be {step.value}")
        elif step.name in self.immutable or (known is not None and not known.is_live and step.name not in self.live):
            self._refuse(step, IMMUTABLE.format(step.name))
        else:
            value = FORMS.get(step.value, step.value)
            self.of(pod)[step.name] = value
            self.memory.took(KEY, step.engine, step.process.id, step.name, wanted=step.value, value=value)

    def _refuse(self, step: SetParameter, words: str) -> None:
        self.memory.refused(KEY, step.process.id, step.name, step.value, words)

    def restart(self, pod: str, file: Mapping[str, str | None], made_of: Mapping[str, str]) -> None:
        """The process begins anew with what the file for starts says, and its pod, as far as it takes it."""
        self.images[pod] = made_of.get("image", "")
        said = {**file, **settings_at_start(made_of)}
        refused = self.refuses.get(pod, set())
        kept = {name: value for name, value in said.items() if value is not None}
        self.values[pod] = {name: FORMS.get(value, value) for name, value in kept.items() if value not in refused}
        self.refused_at_start[pod] = {name: f"it cannot be {value}" for name, value in kept.items() if value in refused}
        unknown = {name for name in kept if name not in self.live and parameter_of(self.engine_of(pod), name) is None}
        self.refused_at_start[pod] |= dict.fromkeys(unknown, "Bad directive or wrong number of arguments")
