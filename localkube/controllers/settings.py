"""What the controllers must be told about the cluster they serve: its address block and where volumes live."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Who changed a field, as managedFields tell it: the name a real cluster has for its controllers.
MANAGER = "kube-controller-manager"
# Service addresses begin this much above the pods': pods at 127.B.n.k, services at 127.(B+64).x.y.
SERVICE_BLOCK_OFFSET = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """*block*: second byte of the pods' addresses, 64..127. *state_dir*: volumes go to its `volumes` directory."""

    block: int
    state_dir: Path

    @property
    def service_block(self) -> int:
        return self.block + SERVICE_BLOCK_OFFSET
