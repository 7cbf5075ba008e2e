"""Decides how a container of ours comes up: POSIX shell, given by ConfigMap, so that stock images serve.

What only the pod knows (its address) is decided here; everything else stands in configuration files.
"""

from __future__ import annotations

from typing import Final

# A pod's address in 127.0.0.0/8 means that pods share one loopback: then a pod listens on its own address only.
_LISTEN: Final = """\
case $POD_IP in
  127.*) listen=$POD_IP ;;
  *:*) listen=$ALL6 ;;
  *) listen=0.0.0.0 ;;
esac
"""

REDIS: Final = """\
#!/bin/sh
# Starts Redis: what only the pod knows is added to /etc/tdredis/redis.conf. The password comes by a file it includes.
set -eu

server=redis-server
command -v "$server" >/dev/null 2>&1 || server=valkey-server

# "Redis server v=7.0.15 sha=..." or "Valkey server v=8.0.1 ...": the first number behind v=.
version=$("$server" --version)
version=${version#*v=}
major=${version%%.*}

set -- /etc/tdredis/redis.conf
case $POD_IP in
  # Pods that share one loopback: 127.0.0.1 would be everybody's.
  127.*) set -- "$@" --bind "$POD_IP" ;;
  *:*) set -- "$@" --bind "$POD_IP" ::1 ;;
  *) set -- "$@" --bind "$POD_IP" 127.0.0.1 ;;
esac
# Peers learn a node's address from where its connections come; Redis 6 does not know the directive.
if [ "$major" -ge 7 ]; then
  set -- "$@" --bind-source-addr "$POD_IP"
fi
# A node that has met nobody yet: a primary without slots takes no write for a node timeout after it got its first, so
# this one begins with a short one. The operator raises it when the cluster works.
if [ ! -s /data/nodes.conf ]; then
  set -- "$@" --cluster-node-timeout 1000
fi
exec "$server" "$@" --cluster-announce-ip "$POD_IP"
"""

ENVOY: Final = (
    """\
#!/bin/sh
# Starts Envoy: the listener is laid over envoy.json, because only the pod knows its address.
set -eu

ALL6=::
"""
    + _LISTEN
    + """\
overlay=$(sed "s/LISTEN_ADDRESS/$listen/" /etc/proxy/listener.json)
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
printf 'Bind %s:6379\\nInclude /etc/proxy/predixy.conf\\n' "$listen" >/tmp/predixy.conf
exec predixy /tmp/predixy.conf
"""
)
