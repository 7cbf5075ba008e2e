"""Decides how a container of ours comes up: POSIX shell, given by ConfigMap, so that stock images serve.

What only the pod knows (its address) is decided here; everything else stands in configuration files.
"""

from __future__ import annotations

from typing import Final

from tdredis.manifests.cli_script import CLI
from tdredis.manifests.data_scripts import BLANK, GUARD, LOST_DATA, LOST_NODES, REFUSED
from tdredis.manifests.redis_config import NOBODY_HOST, NOBODY_PORT
from tdredis.manifests.settings_file import AT_START
from tdredis.redis.ports import REDIS_PORT, RESP3_PORT

# A pod's address in 127.0.0.0/8 means that pods share one loopback: then a pod listens on its own address only.
_LISTEN: Final = """\
case $POD_IP in
  127.*) listen=$POD_IP ;;
  *:*) listen=$ALL6 ;;
  *) listen=0.0.0.0 ;;
esac
"""

# Pods that share one loopback: 127.0.0.1 would be everybody's.
_LOCAL_TOO: Final = """\
case $POD_IP in
  127.*) local_too= ;;
  *:*) local_too=::1 ;;
  *) local_too=127.0.0.1 ;;
esac
"""

# "Redis server v=7.0.15 sha=..." or "Valkey server v=8.0.1 ...": what stands behind v=, and its first number.
_MAJOR: Final = """\
version=$("$server" --version)
version=${version#*v=}
version=${version%% *}
major=${version%%.*}
"""

_REDIS: Final = (
    """\
#!/bin/sh
# Starts Redis: what only the pod knows is added to /etc/tdredis/redis.conf. The password comes by a file it includes.
set -eu
# The first process of a container is told to end in vain unless it says what then: a pod deleted while it starts would
# run for all of its grace.
trap 'exit 143' TERM

server=redis-server
command -v "$server" >/dev/null 2>&1 || server=valkey-server
"""
    + _MAJOR
    + CLI
    + _LOCAL_TOO
    + """\
settings=/data/tdredis.settings
# What spec.config says: a file has what is live, the pod what needs a start. The engine is the judge, a line at a time:
# what it does not take is passed over, and told. The port at the end is no number, so that no engine begins anything.
takes() {
  heard=$({ printf '%s\\n' "$1" && echo 'port none'; } | timeout 5 "$server" - 2>&1) || true
  case $heard in
    *"'port none'"*) ;;
    *) return 1 ;;
  esac
}
refused=
passes_over() {
  say "$server $version refuses: $1"
  refused="$refused
"""
    + REFUSED
    + """ ${1%% *}: $2"
}
say() {
  echo "start.sh: $*"
}
rm -f "$settings"
given=$(cat /etc/tdredis/settings.conf 2>/dev/null || true)
given="$given
${"""
    + AT_START
    + """:-}"
if [ -n "$(printf '%s' "$given" | tr -d '\\n')" ]; then
  if takes "$given"; then
    printf '%s\\n' "$given" >"$settings" || true
  else
    while IFS= read -r line; do
      if [ -z "$line" ]; then
        continue
      elif takes "$line"; then
        printf '%s\\n' "$line" >>"$settings" || true
      else
        passes_over "$line" "$(printf '%s' "$heard" | tail -n 1)"
      fi
    done <<END
$given
END
  fi
fi
# A user may have switched the append-only file off: then what is left of it is old.
logs=yes
if grep -q '^appendonly "no"' "$settings" 2>/dev/null; then
  logs=no
fi
set -- /etc/tdredis/redis.conf
if [ -s "$settings" ]; then
  set -- "$@" --include "$settings"
fi
set -- "$@" --bind "$POD_IP" ${local_too:+"$local_too"}
# Peers learn a node's address from where its connections come. And a replica whose disk is full goes on in memory; it
# would end at the next write, over and over. Redis 6 knows neither directive, and goes on by itself.
if [ "$major" -ge 7 ]; then
  set -- "$@" --bind-source-addr "$POD_IP" --replica-ignore-disk-write-errors yes
fi
# As whom it follows others, and whom it lets follow: nobody of another instance, whatever address that has by now.
login=/etc/tdredis-auth/peers.conf
if [ "$major" -lt 7 ]; then
  login=/etc/tdredis-auth/peers-6.conf
fi
if [ ! -e "$login" ]; then
  login=
fi

"""
    + GUARD
)

CLUSTER_NODE: Final = (
    _REDIS
    + f"""
# What the node was stands in nodes.conf: its id, its slots, its peers. It begins anew, as a node that nobody knows,
# where that cannot be read, and where it was a primary whose data set is gone: it would come back as an empty primary,
# and its replicas would empty themselves after it. The operator joins it again, as a replica of who has the data.
readable() {{
  grep -q '^vars currentEpoch ' "$nodes" && [ "$(grep -c 'myself' "$nodes")" = 1 ]
}}
was_primary() {{
  grep -a 'myself' "$nodes" | grep -q 'master.* connected [0-9\\[]'
}}
has_replicas() {{
  grep -aq "slave[a-z,?]* $(grep -a 'myself' "$nodes" | cut -d ' ' -f 1) " "$nodes"
}}
# It owns slots, or follows somebody.
has_place() {{
  grep -a 'myself' "$nodes" 2>/dev/null | grep -q 'myself,slave\\| connected [0-9\\[]'
}}
# Whoever meets another node at the address of one never finds that one failed, and nobody votes for its replica
# (cluster.c, clusterCron passes over NOADDR). So the address stays closed until another has the slots, fifteen seconds
# at the most.
peers() {{
  grep -av 'myself' "$nodes" | sed -n 's/^[0-9a-f]\\{{40\\}} \\([^ @]*\\)@.* connected.*/\\1/p' | head -n 5
}}
until_taken_over() {{
  has_replicas || return 0 # nobody could
  id=$(grep -a 'myself' "$nodes" | cut -d ' ' -f 1)
  looks=0 ends=$(($(date +%s) + 15))
  while [ "$looks" -lt 30 ] && [ "$(date +%s)" -lt "$ends" ]; do
    for peer in $(peers); do
      [ "$(date +%s)" -lt "$ends" ] || return 0
      seen=$(timeout 1 "$cli" -h "${{peer%:*}}" -p "${{peer##*:}}" CLUSTER NODES 2>/dev/null) || continue
      case $seen in
        *myself*) ;;
        *) continue ;;
      esac
      if ! printf '%s\\n' "$seen" | grep "^$id " | grep -q ' connected [0-9\\[]\\| disconnected [0-9\\[]'; then
        return 0
      fi
      break
    done
    looks=$((looks + 1)) # no clock that is set back makes it longer
    sleep 0.5
  done
}}
prepare() {{
  if [ -s "$nodes" ]; then
    if ! readable; then
      set_aside {LOST_NODES} "nodes.conf cannot be read: starting as a new node" "$nodes"
    elif was_primary && ! has_data && {{ [ "$logs" = yes ] || [ ! -s "$data/dump.rdb" ] || has_replicas; }}; then
      # Who keeps no log of writes has old ones at best: where there are replicas they have newer.
      until_taken_over
      set_aside {LOST_DATA} "nodes.conf is a primary's without its data: starting as a new node" "$nodes"
    fi
  fi
  # Its replicas may still follow its address, and their copies be whole. As long as it has no place it knows no user as
  # whom they log in: so none empties itself after it. The operator tells it when nobody would.
  if grep -q '^{LOST_DATA}' "$lost" 2>/dev/null && ! has_place; then
    extra=
  fi
  # A node that has met nobody yet: a primary without slots takes no write for a node timeout after it got its first, so
  # this one begins with a short one. The operator raises it when the cluster works.
  if [ ! -s "$nodes" ]; then
    extra="$extra --cluster-node-timeout 1000"
  fi
}}
start "$@" --cluster-announce-ip "$POD_IP"
"""
)

STANDBY_NODE: Final = (
    _REDIS
    + f"""
# Always a replica of nobody: who is the primary is for the Sentinels or the operator to say, and one that came back as
# an empty primary would have its replicas empty themselves after it.
# And Sentinels do not choose it (priority 0) before the operator has seen that it is in sync.
prepare() {{
  :
}}
start "$@" --replicaof {NOBODY_HOST} {NOBODY_PORT} --replica-priority 0 --replica-announce-ip "$POD_IP"
"""
)

# It has nobody beside it: with its data it is the primary at once, whether an operator is there or not. Without it it
# waits, as a replica of nobody that answers no client, until the operator has seen that nothing was there before. So it
# does while it has another pod beside it, which has a copy for as long as it is recreated: that one may be the primary.
_IS_TO_WAIT: Final = f"""\
is_to_wait() {{
  if [ "$(cat /etc/tdredis/replicas 2>/dev/null || echo 0)" != 0 ]; then
    return 0
  fi
  [ -s "$lost" ] && ! grep -q '^{LOST_NODES}' "$lost"
}}
"""
_WAITS: Final = f"""\
  if is_to_wait; then
    extra="$extra --replicaof {NOBODY_HOST} {NOBODY_PORT} --replica-serve-stale-data no"
  fi
"""

STANDALONE: Final = (
    _REDIS
    + f"""
{_IS_TO_WAIT}prepare() {{
{_WAITS}}}
start "$@"
"""
)

STANDALONE_ON_VOLUME: Final = (
    _REDIS
    + f"""
{_IS_TO_WAIT}prepare() {{
  if [ "$logs" = yes ] && [ ! -s "$lost" ] && ! has_data; then
    tell {BLANK} "nothing was on the volume"
  fi
{_WAITS}}}
start "$@"
"""
)

SENTINEL: Final = (
    """\
#!/bin/sh
# Starts a Sentinel: what it learned earlier stands in /data/sentinel.conf, what only the pod knows is laid over it. The
# passwords in it come from files and stay in files.
set -eu

config=/data/sentinel.conf
password=/etc/tdredis-auth/sentinel-auth-pass.conf
server=redis-sentinel
command -v "$server" >/dev/null 2>&1 || server=valkey-sentinel
command -v "$server" >/dev/null 2>&1 || server=redis-server
set -- "$config"
if [ "$server" = redis-server ]; then
  set -- "$@" --sentinel
fi
"""
    + _MAJOR
    + _LOCAL_TOO
    + """\
id=$(cat "/etc/tdredis/sentinel-id.$POD_NAME")

# "sentinel auth-pass <name of the primary> <password>", or nothing where Redis has no password.
primary=
IFS=' ' read -r _ _ primary _ <"$password" || true

# Of what the Sentinel wrote itself: whom it watches, and what it knows of them. The rest is said anew, passwords among
# it: it writes them without quotes, and would not understand one with a blank in it any more.
watches=
learned() {
  while IFS= read -r line; do
    case $line in
      'sentinel myid '* | 'sentinel announce-'* | 'sentinel sentinel-'* | 'sentinel auth-'*) ;;
      'sentinel '*) printf '%s\\n' "$line" ;;
    esac
    case $line in
      "sentinel monitor $primary "*) watches=yes ;;
    esac
  done
}

umask 077
{
  printf 'include /etc/tdredis/sentinel.conf\\n'
  printf 'bind %s %s\\n' "$POD_IP" "$local_too"
  # Others learn its address from where its connections come; Redis 6 does not know the directive.
  if [ "$major" -ge 7 ]; then
    printf 'bind-source-addr %s\\n' "$POD_IP"
  fi
  printf 'sentinel myid %s\\nsentinel announce-ip %s\\n' "$id" "$POD_IP"
  if [ -f "$config" ]; then
    learned <"$config"
  fi
  # A password of a primary that it does not watch would be an error.
  if [ "$watches" ]; then
    printf 'include %s\\n' "$password"
  fi
} >"$config.new"
mv "$config.new" "$config"
exec "$server" "$@"
"""
)

ENVOY: Final = (
    """\
#!/bin/sh
# Starts Envoy: the listener is laid over envoy.json, because only the pod knows its address.
set -eu

ALL6=::
"""
    + _LISTEN
    + """\
# "envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL". RESP3 came with 1.40: one before it would refuse the whole
# configuration because of a word that it does not know, and one of which nothing is known is taken for such.
version=$(envoy --version 2>/dev/null) || version=
version=${version#*version: }
version=${version#*/}
minor=${version#*.}
minor=${minor%%.*}
case ${version%%.*}.$minor in
  *[!0-9.]* | .* | *.) listener=listener ;;
  0.* | 1.[0-9] | 1.[0-3][0-9]) listener=listener ;;
  *) listener="listener-resp3" ;;
esac
if [ "$listener" = listener ]; then
  echo "start.sh: this Envoy is older than 1.40, so there is no RESP3 listener on port """
    + str(RESP3_PORT)
    + """" >&2
fi
overlay=$(sed "s/LISTEN_ADDRESS/$listen/g" "/etc/proxy/$listener.json")
exec envoy -c /etc/proxy/envoy.json --config-yaml "$overlay" --disable-hot-restart --concurrency 2 --log-level warn
"""
)

PREDIXY: Final = (
    """\
#!/bin/sh
# Starts predixy: the address is written before the rest, because only the pod knows it.
set -eu

ALL6='[::]'
"""
    + _LISTEN
    + """\
printf 'Bind %s:"""
    + str(REDIS_PORT)
    + """\\nInclude /etc/proxy/predixy.conf\\n' "$listen" >/tmp/predixy.conf
exec predixy /tmp/predixy.conf
"""
)
