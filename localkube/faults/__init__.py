"""What a test or a demo can break in a running localkube; each fault is undone when its holder ends."""

from localkube.faults.admin import Admin
from localkube.faults.injector import Faults, Standing
from localkube.faults.menu import BadFault

__all__ = ["Admin", "BadFault", "Faults", "Standing"]
