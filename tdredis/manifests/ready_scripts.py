"""Decides when a Redis pod is ready: a shell script, run by its readiness probe."""

from __future__ import annotations

from typing import Final

from tdredis.manifests.cli_script import CLI

# INFO replication and persistence in one connection. Slower than that is no answer.
_ASK: Final = """\
ask() {
  printf 'INFO replication\\nINFO persistence\\n' | timeout 2 "$cli" -h "$POD_IP" 2>&1 || true
}
"""

_READY: Final = (
    """\
#!/bin/sh
# Says whether the pod is ready: its data is loaded, and it is a primary or a replica that is in sync. A disruption
# budget counts with this: while a replica copies, its primary may not be evicted. One that is only slow is what it was.
set -eu

data=/data
"""
    + CLI
    + _ASK
    + """\
not_ready() {
  rm -f "$data/tdredis.ready"
  echo "$1"
  exit 1
}
said=$(ask | tr -d '\\r')
case $said in
  *loading:1*) not_ready "it loads its data" ;;
  *role:*loading:0*) ;;
  *'Could not connect'*) not_ready "$said" ;;
  *)
    [ -e "$data/tdredis.ready" ] || not_ready "no answer"
    exit 0
    ;;
esac
# The engine that was started could load what is here: start.sh does not look for faults in it.
if [ -e "$data/tdredis.starting" ]; then
  mv "$data/tdredis.starting" "$data/tdredis.engine"
fi
# What is in the append-only files is old while none are written, until the first ones are whole again.
case $said in
  *aof_rewrite_in_progress:1*) ;;
  *aof_enabled:0*)
    if [ ! -e "$data/tdredis.unlogged" ]; then
      : >"$data/tdredis.unlogged" || true
    fi
    ;;
  *aof_rewrite_scheduled:0*) rm -f "$data/tdredis.unlogged" ;;
esac
case $said in
  *role:slave*master_link_status:up*) ;;
  *role:slave*) not_ready "its copy is not in sync" ;;
  *) serves || not_ready "it has no slots, and nothing to copy yet" ;;
esac
rm -f "$data/tdredis.lost"
if [ ! -e "$data/tdredis.ready" ]; then
  : >"$data/tdredis.ready" || true
fi
"""
)

# A node that has met nobody is a primary too, an empty one.
READY_CLUSTER: Final = _READY.replace(
    "not_ready() {",
    """serves() {
  grep -a 'myself' "$data/nodes.conf" | grep -q ' connected [0-9\\[]'
}
not_ready() {""",
    1,
)
READY: Final = _READY.replace(
    "not_ready() {",
    """serves() {
  :
}
not_ready() {""",
    1,
)
