"""Decides what is known of engines' parameters: which there are, which are live, what they are by default.

Written by `python -m tests.engines.record`, of what the engines themselves answered; do not edit. The running engine's
own answer wins.
"""
# ruff: noqa: E501

from __future__ import annotations

from typing import Final

# In the order of the letters.
ENGINES: Final = (
    "redis 6.2.14",
    "redis 7.0.15",
    "redis 7.2.4",
    "redis 8.0.2",
    "redis 8.6.3",
    "valkey 8.0.1",
    "valkey 8.1.1",
    "valkey 9.1.2",
)
# Name, a letter for each engine (L live, R restart, . not known or another default), default.
TABLE: Final = """\
acl-pubsub-default                           L....... allchannels
acl-pubsub-default                           .LLLLLLL resetchannels
aclfile                                      RRRRRRRR
acllog-max-len                               LLLLLLLL 128
active-defrag-cycle-max                      LLLLLLLL 25
active-defrag-cycle-min                      LLLLLLLL 1
active-defrag-cycle-us                       ......LL 500
active-defrag-ignore-bytes                   LLLLLLLL 104857600
active-defrag-max-scan-fields                LLLLLLLL 1000
active-defrag-threshold-lower                LLLLLLLL 10
active-defrag-threshold-upper                LLLLLLLL 100
active-expire-effort                         LLLLLLLL 1
activedefrag                                 LLLLLLLL no
activerehashing                              LLLLLLLL yes
always-show-logo                             RRRRRRRR no
aof-disable-auto-gc                          .L...... no
aof-load-corrupt-tail-max-size               ....L... 0
aof-load-truncated                           LLLLLLLL yes
aof-rewrite-cpulist                          ...RRRRR
aof-rewrite-incremental-fsync                LLLLLLLL yes
aof-timestamp-enabled                        .LLLLLLL no
aof-use-rdb-preamble                         LLLLLLLL yes
aof_rewrite_cpulist                          RRRRRRRR
appenddirname                                .RRRRRRR appendonlydir
appendfilename                               RRRRRRRR appendonly.aof
appendfsync                                  LLLLLLLL everysec
appendonly                                   LLLLLLLL no
auto-aof-rewrite-min-size                    LLLLLLLL 67108864
auto-aof-rewrite-percentage                  LLLLLLLL 100
availability-zone                            .....LLL
bgsave-cpulist                               ...RRRRR
bgsave_cpulist                               RRRRRRRR
bind                                         LLLLLLLL
bind-source-addr                             .LLLLLLL
bio-cpulist                                  ...RRRRR
bio_cpulist                                  RRRRRRRR
busy-reply-threshold                         .LLLLLLL 5000
client-output-buffer-limit                   LLLLLLLL normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60
client-query-buffer-limit                    LLLLLLLL 1073741824
cluster-allow-pubsubshard-when-down          .LLLLLLL yes
cluster-allow-reads-when-down                LLLLLLLL no
cluster-allow-replica-migration              LLLLLLLL yes
cluster-announce-bus-port                    LLLLLLLL 0
cluster-announce-client-ipv4                 .....LLL
cluster-announce-client-ipv6                 .....LLL
cluster-announce-client-port                 .......L 0
cluster-announce-client-tls-port             .......L 0
cluster-announce-hostname                    .LLLLLLL
cluster-announce-human-nodename              ..LLLLLL
cluster-announce-ip                          LLLLLLLL
cluster-announce-port                        LLLLLLLL 0
cluster-announce-tls-port                    LLLLLLLL 0
cluster-blacklist-ttl                        .....LLL 60
cluster-compatibility-sample-ratio           ...LL... 0
cluster-config-file                          .RRRRRRR nodes.conf
cluster-config-save-behavior                 .......L sync
cluster-databases                            .......R 1
cluster-enabled                              RRRRRRRR no
cluster-link-sendbuf-limit                   .LLLLLLL 0
cluster-manual-failover-timeout              ......LL 5000
cluster-migration-barrier                    LLLLLLLL 1
cluster-node-timeout                         LLLLLLLL 15000
cluster-port                                 .RRRRRRR 0
cluster-preferred-endpoint-type              .LLLLLLL ip
cluster-replica-no-failover                  LLLLLLLL no
cluster-replica-validity-factor              LLLLLLLL 10
cluster-require-full-coverage                LLLLLLLL yes
cluster-slave-no-failover                    LLLLLLLL no
cluster-slave-validity-factor                LLLLLLLL 10
cluster-slot-migration-handoff-max-lag-bytes ....L... 1048576
cluster-slot-migration-log-max-len           .......L 1000
cluster-slot-migration-write-pause-timeout   ....L... 10000
cluster-slot-stats-enabled                   ....LLLL no
commandlog-execution-slower-than             ......LL 10000
commandlog-large-reply-max-len               ......LL 128
commandlog-large-request-max-len             ......LL 128
commandlog-reply-larger-than                 ......LL 1048576
commandlog-request-larger-than               ......LL 1048576
commandlog-slow-execution-max-len            ......LL 128
crash-log-enabled                            LLLLLLLL yes
crash-memcheck-enabled                       LLLLLLLL yes
daemonize                                    RRRRRRRR no
databases                                    RRRRRRRR 16
dbfilename                                   LRRRRRRR dump.rdb
dir                                          LRRRRRRR
disable-thp                                  LRRRRRRR yes
dual-channel-replication-enabled             .....LLL no
dynamic-hz                                   LLLLLL.. yes
enable-debug-command                         .RRRRRRR no
enable-module-command                        .RRRRRRR no
enable-protected-configs                     .RRRRRRR no
events-per-io-thread                         .....L.. 2
extended-redis-compatibility                 .....LLL no
gopher-enabled                               L....... no
hash-max-listpack-entries                    .LLLLLLL 512
hash-max-listpack-value                      .LLLLLLL 64
hash-max-ziplist-entries                     LLLLLLLL 512
hash-max-ziplist-value                       LLLLLLLL 64
hash-seed                                    .......R
hide-user-data-from-log                      ...LL... no
hide-user-data-from-log                      .....LLL yes
hll-sparse-max-bytes                         LLLLLLLL 3000
hz                                           LLLLLLLL 10
ignore-warnings                              LLLLLLLL
import-mode                                  ......LL no
io-threads                                   RRRRRRRL 1
io-threads-do-reads                          RRR..... no
io-threads-do-reads                          .....R.. yes
jemalloc-bg-thread                           LLLLLLLL yes
key-load-delay                               L....... 0
key-memory-histograms                        ....L... no
latency-monitor-threshold                    LLLLLLLL 0
latency-tracking                             .LLLLLLL yes
latency-tracking-info-percentiles            .LLLLLLL 50 99 99.9
lazyfree-lazy-eviction                       LLLLL... no
lazyfree-lazy-eviction                       .....LLL yes
lazyfree-lazy-expire                         LLLLL... no
lazyfree-lazy-expire                         .....LLL yes
lazyfree-lazy-server-del                     LLLLL... no
lazyfree-lazy-server-del                     .....LLL yes
lazyfree-lazy-user-del                       LLLLL... no
lazyfree-lazy-user-del                       .....LLL yes
lazyfree-lazy-user-flush                     LLLLL... no
lazyfree-lazy-user-flush                     .....LLL yes
lfu-decay-time                               LLLLLLLL 1
lfu-log-factor                               LLLLLLLL 10
list-compress-depth                          LLLLLLLL 0
list-max-listpack-size                       .LLLLLLL -2
list-max-ziplist-size                        LLLLLLLL -2
locale-collate                               ..LLLLLL
log-format                                   ......LL legacy
log-timestamp-format                         ......LL legacy
logfile                                      RRRRRRRR
loglevel                                     LLLLLLLL notice
lookahead                                    ....L... 16
lua-replicate-commands                       L....... yes
lua-time-limit                               LLLLLLLL 5000
masterauth                                   LLLLLLLL
masteruser                                   LLLLLLLL
max-new-connections-per-cycle                ...LLLLL 10
max-new-tls-connections-per-cycle            ...LLLLL 1
maxclients                                   LLLLLLLL 10000
maxmemory                                    LLLLLLLL 0
maxmemory-clients                            .LLLLLLL 0
maxmemory-eviction-tenacity                  LLLLLLLL 10
maxmemory-policy                             LLLLLLLL noeviction
maxmemory-samples                            LLLLLLLL 5
min-replicas-max-lag                         LLLLLLLL 10
min-replicas-to-write                        LLLLLLLL 0
min-slaves-max-lag                           LLLLLLLL 10
min-slaves-to-write                          LLLLLLLL 0
mptcp                                        .......R no
no-appendfsync-on-rewrite                    LLLLLLLL no
notify-keyspace-events                       LLLLLLLL
oom-score-adj                                LLLLLLLL no
oom-score-adj-values                         LLLLLLLL 0 200 800
pidfile                                      RRRRRRRR
port                                         LLLLLLLL
prefetch-batch-max-size                      .....LLL 16
primaryauth                                  .....LLL
primaryuser                                  .....LLL
proc-title-template                          LLLLLLLL {title} {listen-addr} {server-mode}
propagation-error-behavior                   .LLLLLLL ignore
protected-mode                               LLLLLLLL yes
proto-max-bulk-len                           LLLLLLLL 536870912
rdb-del-sync-files                           LLLLLLLL no
rdb-key-save-delay                           L....... 0
rdb-save-incremental-fsync                   LLLLLLLL yes
rdb-version-check                            ......LL strict
rdbchecksum                                  RRRRRRRR yes
rdbcompression                               LLLLLLLL yes
rdma-bind                                    ......LL
rdma-completion-vector                       ......RR -1
rdma-port                                    ......LL 0
rdma-rx-size                                 ......RR 1048576
repl-backlog-size                            LLLLL... 1048576
repl-backlog-size                            .....LLL 10485760
repl-backlog-ttl                             LLLLLLLL 3600
repl-disable-tcp-nodelay                     LLLLLLLL no
repl-diskless-load                           LLLLLLLL disabled
repl-diskless-sync                           L....... no
repl-diskless-sync                           .LLLLLLL yes
repl-diskless-sync-delay                     LLLLLLLL 5
repl-diskless-sync-max-replicas              .LLLLLLL 0
repl-mptcp                                   .......R no
repl-ping-replica-period                     LLLLLLLL 10
repl-ping-slave-period                       LLLLLLLL 10
repl-timeout                                 LLLLLLLL 60
replica-announce-ip                          LLLLLLLL
replica-announce-port                        LLLLLLLL 0
replica-announced                            LLLLLLLL yes
replica-full-sync-buffer-limit               ...LL... 0
replica-ignore-disk-write-errors             .LLLLLLL no
replica-ignore-maxmemory                     LLLLLLLL yes
replica-lazy-flush                           LLLLL... no
replica-lazy-flush                           .....LLL yes
replica-priority                             LLLLLLLL 100
replica-read-only                            LLLLLLLL yes
replica-serve-stale-data                     LLLLLLLL yes
replicaof                                    .RRRRRRR
requirepass                                  LLLLLLLL
sanitize-dump-payload                        LLLLLLL. no
save                                         LLLLLLLL 3600 1 300 100 60 10000
server-cpulist                               ...RRRRR
server_cpulist                               RRRRRRRR
set-max-intset-entries                       LLLLLLLL 512
set-max-listpack-entries                     ..LLLLLL 128
set-max-listpack-value                       ..LLLLLL 64
set-proc-title                               RRRRRRRR yes
shutdown-on-sigint                           .LLLLLLL default
shutdown-on-sigterm                          .LLLLLLL default
shutdown-timeout                             .LLLLLLL 10
slave-announce-ip                            LLLLLLLL
slave-announce-port                          LLLLLLLL 0
slave-ignore-maxmemory                       LLLLLLLL yes
slave-lazy-flush                             LLLLL... no
slave-lazy-flush                             .....LLL yes
slave-priority                               LLLLLLLL 100
slave-read-only                              LLLLLLLL yes
slave-serve-stale-data                       LLLLLLLL yes
slaveof                                      RRRRRRRR
slot-migration-max-failover-repl-bytes       .......L 0
slowlog-log-slower-than                      LLLLLLLL 10000
slowlog-max-len                              LLLLLLLL 128
socket-mark-id                               .RRRRRRR 0
stop-writes-on-bgsave-error                  LLLLLLLL yes
stream-idmp-duration                         ....L... 100
stream-idmp-maxsize                          ....L... 100
stream-node-max-bytes                        LLLLLLLL 4096
stream-node-max-entries                      LLLLLLLL 100
supervised                                   RRRRRRRR no
syslog-enabled                               RRRRRRRR no
syslog-facility                              RRRRRRRR local0
syslog-ident                                 RRRRR... redis
syslog-ident                                 .....RRR valkey
tcp-backlog                                  RRRRRRRR 511
tcp-keepalive                                LLLLLLLL 300
timeout                                      LLLLLLLL 0
tls-auth-clients                             .LLLLLLL yes
tls-auth-clients-user                        ....L..L off
tls-auto-reload-interval                     .......L 0
tls-ca-cert-dir                              .LLLLLLL
tls-ca-cert-file                             .LLLLLLL
tls-cert-file                                .LLLLLLL
tls-ciphers                                  .LLLLLLL
tls-ciphersuites                             .LLLLLLL
tls-client-cert-file                         .LLLLLLL
tls-client-key-file                          .LLLLLLL
tls-client-key-file-pass                     .LLLLLLL
tls-cluster                                  .LLLLLLL no
tls-dh-params-file                           .LLLLLLL
tls-key-file                                 .LLLLLLL
tls-key-file-pass                            .LLLLLLL
tls-port                                     .LLLLLLL 0
tls-prefer-server-ciphers                    .LLLLLLL no
tls-protocols                                .LLLLLLL
tls-replication                              .LLLLLLL no
tls-session-cache-size                       .LLLLLLL 20480
tls-session-cache-timeout                    .LLLLLLL 300
tls-session-caching                          .LLLLLLL yes
tracking-table-max-keys                      LLLLLLLL 1000000
unixsocket                                   RRRRRRRR
unixsocketgroup                              .....RRR
unixsocketperm                               RRRRRRRR 0
use-exit-on-panic                            L....... no
vset-force-single-threaded-execution         ....L... no
watchdog-period                              L....... 0
zset-max-listpack-entries                    .LLLLLLL 128
zset-max-listpack-value                      .LLLLLLL 64
zset-max-ziplist-entries                     LLLLLLLL 128
zset-max-ziplist-value                       LLLLLLLL 64
"""
# Of what is read only at a start: name, x for each engine that says so, how it refuses what is no value.
VALUES: Final = """\
always-show-logo         xxxxxxxx argument must be 'yes' or 'no'
databases                xxxxxxxx argument must be between 1 and 2147483647 inclusive
disable-thp              .xxxxxxx argument must be 'yes' or 'no'
enable-debug-command     .xxxxxxx argument(s) must be one of the following: no, yes, local
enable-module-command    .xxxxxxx argument(s) must be one of the following: no, yes, local
enable-protected-configs .xxxxxxx argument(s) must be one of the following: no, yes, local
io-threads               xxxxxx.. argument must be between 1 and 128 inclusive
io-threads               ......x. argument must be between 1 and 256 inclusive
io-threads-do-reads      xxx..x.. argument must be 'yes' or 'no'
mptcp                    .......x argument must be 'yes' or 'no'
rdbchecksum              xxxxxxxx argument must be 'yes' or 'no'
rdma-completion-vector   ......xx argument must be between -1 and 1024 inclusive
rdma-rx-size             ......xx argument must be between 65536 and 16777216 inclusive
repl-mptcp               .......x argument must be 'yes' or 'no'
set-proc-title           xxxxxxxx argument must be 'yes' or 'no'
socket-mark-id           .xxxxxxx argument must be between 0 and 4294967295 inclusive
tcp-backlog              xxxxxxxx argument must be between 0 and 2147483647 inclusive
"""
# Bytes of an empty database, in the order of the letters.
DATABASE_BYTES: Final = (648, 459, 475, 3776, 5992, 720, 632, 8)
# Previous names, with the present ones.
ALIASES: Final = {
    "cluster-slave-no-failover": "cluster-replica-no-failover",
    "cluster-slave-validity-factor": "cluster-replica-validity-factor",
    "hash-max-ziplist-entries": "hash-max-listpack-entries",
    "hash-max-ziplist-value": "hash-max-listpack-value",
    "list-max-ziplist-size": "list-max-listpack-size",
    "lua-time-limit": "busy-reply-threshold",
    "min-slaves-max-lag": "min-replicas-max-lag",
    "min-slaves-to-write": "min-replicas-to-write",
    "repl-ping-slave-period": "repl-ping-replica-period",
    "slave-announce-ip": "replica-announce-ip",
    "slave-announce-port": "replica-announce-port",
    "slave-ignore-maxmemory": "replica-ignore-maxmemory",
    "slave-lazy-flush": "replica-lazy-flush",
    "slave-priority": "replica-priority",
    "slave-read-only": "replica-read-only",
    "slave-serve-stale-data": "replica-serve-stale-data",
    "slaveof": "replicaof",
    "slowlog-log-slower-than": "commandlog-execution-slower-than",
    "slowlog-max-len": "commandlog-slow-execution-max-len",
    "zset-max-ziplist-entries": "zset-max-listpack-entries",
    "zset-max-ziplist-value": "zset-max-listpack-value",
}
