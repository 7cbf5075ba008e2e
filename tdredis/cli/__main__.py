"""Decides that `python -m tdredis.cli` is `tdredis`."""

import sys

from tdredis.cli.entry import main

sys.exit(main())
