"""Decides how our scripts ask the Redis beside them: which program, and with which password."""

from __future__ import annotations

from typing import Final

# The password goes by the environment: a command line is everybody's to read.
CLI: Final = """\
cli=redis-cli
command -v "$cli" >/dev/null 2>&1 || cli=valkey-cli
REDISCLI_AUTH=$(cat /etc/tdredis-auth/password 2>/dev/null) || true
if [ "$REDISCLI_AUTH" ]; then
  export REDISCLI_AUTH
else
  unset REDISCLI_AUTH
fi
"""
