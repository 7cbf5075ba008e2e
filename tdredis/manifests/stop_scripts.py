"""Decides how long a primary that is to go stays, and who takes over: a shell script, run before it is told to end."""

from __future__ import annotations

from typing import Final

from tdredis.manifests.cli_script import CLI
from tdredis.redis.ports import SENTINEL_PORT

# Of the grace that a pod is given (GRACE_S) this much; what is left is for the engine's own end.
STOP_WAITS_S: Final = 40
STOP_SILENT_LOOKS: Final = 12  # of two seconds each: what Kubernetes gives a process that is told to end, unless asked

_STOP: Final = (
    """\
#!/bin/sh
# Runs before Redis is told to end: a primary stays until another has its data and has taken over, or its grace is used
# up. The operator hands over as soon as it sees that the pod is to go; if it does not, this does.
set -eu

"""
    + CLI
    + """\
here() {
  timeout 2 "$cli" -h "$POD_IP" "$@" 2>&1 || true
}
say() {
  echo "stop.sh: $*" >/proc/1/fd/1 2>/dev/null || true
}
field() {
  printf '%s\\n' "$info" | sed -n "s/^$1://p"
}
end_engine() {
  for each in /proc/[0-9]*/comm; do
    if read -r name <"$each"; then
      case $name in
        redis-server | valkey-server)
          pid=${each#/proc/}
          kill -KILL "${pid%/comm}" || true
          ;;
      esac
    fi 2>/dev/null
  done
}
# "offset state host port" of everybody who follows: "slave0:ip=10.0.0.1,port=6379,state=online,offset=14,lag=0".
followers() {
  printf '%s\\n' "$info" |
    sed -n 's/^slave[0-9]*:ip=\\([^,]*\\),port=\\([0-9]*\\),state=\\([a-z_]*\\),offset=\\([0-9]*\\).*/\\4 \\3 \\1 \\2/p'
}
HAND_OVER
if [ "$(cat /etc/tdredis/replicas 2>/dev/null || echo 1)" = 0 ]; then
  exit 0
fi
began=$(date +%s) asked=-8 unheard=0
while :; do
  passed=$(($(date +%s) - began))
  if [ "$passed" -ge """
    + str(STOP_WAITS_S)
    + """ ]; then
    say "nobody took over: this primary goes with its data"
    exit 0
  fi
  info=$(here INFO replication | tr -d '\\r')
  case $info in
    *role:slave*)
      undo 0
      exit 0
      ;;
    *role:master*) unheard=0 ;;
    *'Could not connect'*) exit 0 ;;
    *BUSY*)
      # A slow script: it is a primary all the same, and says nothing of its replicas meanwhile.
      unheard=0
      sleep 0.2
      continue
      ;;
    '')
      # It is frozen, or hangs: it is not given all of a grace that is meant for handing over. Where it is process 1 of
      # its container, the kernel drops our signal (pid_namespaces(7)): then Kubernetes ends it when the grace is over.
      unheard=$((unheard + 1))
      if [ "$unheard" = """
    + str(STOP_SILENT_LOOKS)
    + """ ]; then
        say "it does not answer, and is not waited for"
        end_engine
        exit 0
      fi
      ;;
    *)
      unheard=$((unheard + 1))
      if [ "$unheard" = 5 ]; then
        exit 0
      fi
      ;;
  esac
  heir=$(followers | grep ' online ' | sort -rn | head -n 1)
  if [ -z "$heir" ] && [ "$unheard" = 0 ] && everybody_goes; then
    exit 0
  fi
  # The first seconds are the operator's.
  if [ "$heir" ] && [ "$passed" -ge 4 ] && [ $((passed - asked)) -ge 8 ]; then
    asked=$passed
    hand_over
  fi
  sleep 0.2
done
"""
)

# Of a cluster that is deleted every replica goes at once; a drained node has only some of them.
STOP_CLUSTER: Final = _STOP.replace(
    "HAND_OVER",
    """\
undo() {
  here CLIENT UNPAUSE >/dev/null
}
everybody_goes() {
  nodes=$(here CLUSTER NODES)
  case $nodes in
    *myself*) ! printf '%s\\n' "$nodes" | grep ' slave ' | grep -q ' connected$' ;;
    *) return 1 ;; # no answer says nothing of anybody
  esac
}
hand_over() {
  say "handing over without the operator"
  rest=${heir#* online }
  timeout 2 "$cli" -h "${rest% *}" -p "${rest#* }" CLUSTER FAILOVER >/dev/null 2>&1 || true
}""",
    1,
)

# The Sentinels choose the heir: so writes stop first, until every replica has them all. Nobody else may be there to
# demote who handed over before the pause is over: so it refuses writes from when one of its replicas is promoted. Where
# nobody is promoted they all stay, and it goes on.
STOP_STANDBY: Final = _STOP.replace(
    "HAND_OVER",
    """\
before=0 fence=0 handed=''
undo() {
  if [ "$fence" != 0 ]; then
    here CONFIG SET min-replicas-to-write "$1" >/dev/null
    fence=0
  fi
  here CLIENT UNPAUSE >/dev/null
}
sentinels() {
  printf '%s\\n' "$clients" | sed -n 's/.* addr=\\([^ ]*\\):[0-9]* .* name=sentinel-.*/\\1/p' | tr -d '[]' | sort -u
}
everybody_goes() {
  clients=$(here CLIENT LIST)
  case $clients in
    *addr=*) [ -z "$(sentinels)" ] ;;
    *) return 1 ;; # no answer says nothing of anybody
  esac
}
all_have_all() {
  looks=0
  while [ "$looks" -lt 25 ]; do
    info=$(here INFO replication | tr -d '\\r')
    end=$(field master_repl_offset)
    if [ "$end" ] && ! followers | grep ' online ' | grep -vq "^$end "; then
      return 0
    fi
    looks=$((looks + 1))
    sleep 0.1
  done
  return 1
}
tell() {
  sentinel=$1
  shift
  timeout 2 "$cli" -h "$sentinel" -p SENTINEL_PORT "$@" 2>&1
}
# "run ID" of whom that Sentinel takes for the primary; "run " of whom it has just chosen, and nothing if it is silent.
watched() {
  tell "$1" SENTINEL MASTER "$name" | tr -d '\\r' | sed -n '/^runid$/{n;s/^/run /p;}'
}
# The engine counts on no others.
online() {
  followers | grep -c ' online ' || true
}
# A fence that is there may hold already: it is never lowered.
put_up_fence() {
  if [ "$fence" = 0 ]; then
    before=$(here CONFIG GET min-replicas-to-write | tail -n 1)
    case $before in
      '' | *[!0-9]*) before=0 ;;
    esac
  fi
  for each in "$before" "$(online)"; do
    if [ "$each" -gt "$fence" ]; then
      fence=$each
    fi
  done
  here CONFIG SET min-replicas-to-write "$fence" >/dev/null
}
# Sentinels' words to it wait for the end of the pause, as writes do, and the one that demotes it is among them.
until_replaced() {
  looks=0
  while [ "$looks" -lt 25 ]; do
    info=$(here INFO replication | tr -d '\\r')
    case $info in
      *role:slave*) return 0 ;;
    esac
    if [ "$(watched "$1")" != "$me" ] && [ "$(online)" -lt "$fence" ]; then
      # Whoever has lowered the fence meanwhile did not know of it: without it, it would take writes that are lost.
      printf 'CONFIG SET min-replicas-to-write %s\\nCLIENT UNPAUSE\\n' "$fence" | here >/dev/null
      return 0
    fi
    looks=$((looks + 1))
    sleep 0.1
  done
}
hand_over() {
  name=$(cat /etc/tdredis/master-name) clients=$(here CLIENT LIST)
  me=$(here INFO server | tr -d '\\r' | sed -n 's/^run_id:/run /p')
  [ "$me" ] || return 0
  asking='' another=''
  for each in $(sentinels); do
    case $(watched "$each") in
      "$me") asking="$asking $each" ;;
      'run '*) another=yes ;;
    esac
  done
  # Asked again they would fail over once more, maybe back to this one, which has not all that its successor has by now.
  if [ -z "$asking" ] || [ "$handed$another" = yesyes ]; then
    return 0
  fi
  # Whoever was asked before, maybe without an answer, has promoted nobody: all who answer watch this one, and all that
  # it counted follow it. So it goes on where nobody is promoted now either.
  info=$(here INFO replication | tr -d '\\r')
  if [ "$(online)" -ge "$fence" ]; then
    handed=''
  fi
  say "handing over without the operator"
  put_up_fence
  # Before 6.2 reads wait too, and this script's own among them.
  case $(here CLIENT PAUSE 10000 WRITE) in
    OK) ;;
    *) here CLIENT PAUSE 1500 >/dev/null ;;
  esac
  if all_have_all; then
    for each in $asking; do
      # Who does not answer may be failing over.
      answer=$(tell "$each" SENTINEL FAILOVER "$name") || [ $? -lt 124 ] || handed=yes
      case $answer in
        *OK* | *INPROG*)
          handed=yes
          until_replaced "$each"
          return 0
          ;;
      esac
    done
  fi
  [ "$handed" ] || undo "$before"
}""",
    1,
).replace("SENTINEL_PORT", str(SENTINEL_PORT))
