"""Decides what a start script does about data that is lost or that the engine cannot load: shell functions.

The engine itself is the judge: what it refuses twice, though it runs well on an empty folder beside it, is unusable. It
is moved aside and never deleted, and the instance is told (`tdredis.lost`, and `syslog-ident`, which the operator
reads).
What the engine would take for a new beginning without a word (7.0 and newer: a folder of append-only files without its
manifest; before: that folder at all) is looked for before it starts.
"""

from __future__ import annotations

from typing import Final

from tdredis.manifests.redis_config import NOBODY_HOST, NOBODY_PORT
from tdredis.redis.ports import SCRATCH_PORT

LOST_DATA: Final = "lost-data"
LOST_NODES: Final = "lost-nodes"
BLANK: Final = "blank"  # a volume on which nothing was, which may be as it should
REFUSED: Final = "refused-setting"  # a line for each parameter: its name, or * of all, and the engine's words
# A string that every engine keeps and shows by CONFIG GET, and that means nothing while syslog-enabled is no.
TOLD_BY: Final = "syslog-ident"

# Expects: server, version, major, POD_IP, logs, settings, refused, login (a file, or nothing), say, and a function
# prepare that looks at files before each try.
GUARD: Final = (
    """\
data=/data
nodes=$data/nodes.conf
folder=$data/appendonlydir
manifest=$folder/appendonly.aof.manifest
lost=$data/tdredis.lost # what became of the data; until there is a whole copy again
starting=$data/tdredis.starting # the engine that was started; ready.sh renames it when the data is loaded ...
engine=$data/tdredis.engine # ... to this: the last one that could load what is here
scratch=$data/tdredis.scratch
unlogged=$data/tdredis.unlogged # while there is no append-only file: by ready.sh

# The first process of a container hears no signal that it does not listen for.
trap 'exit 143' TERM INT

# The reason is where `kubectl describe pod` and the operator see it.
refuse() {
  say "$*"
  printf '%s' "$*" >/dev/termination-log 2>/dev/null || true
  exit 1
}

tell() {
  if [ ! -s "$lost" ] || { [ "$1" = """
    + LOST_DATA
    + """ ] && ! grep -q '^"""
    + LOST_DATA
    + """' "$lost"; }; then
    printf '%s' "$1: $2" >"$lost" || say "cannot write $lost"
  fi
  say "$2"
}

# set_aside KIND WHY FILE...: moved, never deleted.
set_aside() {
  kind=$1 why=$2
  shift 2
  place=$data/unusable-$(date -u +%Y%m%dT%H%M%SZ)
  while [ -e "$place" ]; do
    place=$place.1
  done
  mkdir "$place"
  for file in "$@"; do
    if [ -e "$file" ]; then
      mv "$file" "$place/"
    fi
  done
  tell "$kind" "$why; it is kept in $place"
}

# What the engine would load of what was written, whole or not.
has_data() {
  [ "$logs" = yes ] || return 1
  [ -s "$data/appendonly.aof" ] || { [ "$major" -ge 7 ] && [ -s "$manifest" ]; }
}

count() {
  number=0 found=
  for file in "$@"; do
    if [ -e "$file" ]; then
      number=$((number + 1))
      found=$file
    fi
  done
}

# An engine before 7.0 does not know the folder: it would begin with nothing beside it.
know_the_format() {
  if [ "$major" -ge 7 ] || [ ! -d "$folder" ]; then
    return 0
  fi
  count "$folder"/*
  if [ "$number" != 0 ]; then
    refuse "$folder was written by version 7.0 or newer, and $version does not read it: write the previous image again"
  fi
}

# Without its manifest the engine would take the files beside it for nothing, and write over them. One base and one
# increment are in order by themselves; of more nobody can say which of them count.
mend_manifest() {
  if [ "$major" -lt 7 ] || [ ! -d "$folder" ]; then
    return 0
  fi
  # A snapshot is never empty; the engine would pass over one that is.
  for file in "$folder"/*.base.rdb; do
    if [ -e "$file" ] && [ ! -s "$file" ]; then
      set_aside """
    + LOST_DATA
    + """ "$file is empty" "$folder"
      return 0
    fi
  done
  count "$folder"/appendonly.aof "$folder"/*.base.rdb "$folder"/*.base.aof
  bases=$number base=$found
  count "$folder"/*.incr.aof
  increments=$number increment=$found
  if [ "$bases$increments" = 00 ]; then
    if [ -e "$manifest" ] && [ ! -s "$manifest" ]; then
      set_aside """
    + LOST_DATA
    + """ "the list of append-only files is empty" "$manifest"
    fi
    return 0
  fi
  if [ -s "$manifest" ] && { [ "$bases" = 0 ] || grep -q ' type b' "$manifest"; } &&
    { [ "$increments" = 0 ] || grep -q ' type i' "$manifest"; }; then
    return 0
  fi
  if [ "$bases$increments" != 11 ]; then
    set_aside """
    + LOST_DATA
    + """ "the list of append-only files is lost: $manifest" "$folder"
    return 0
  fi
  if [ -s "$manifest" ]; then
    set_aside """
    + LOST_NODES
    + """ "$manifest does not name all files" "$manifest"
  fi
  for file in "$base" "$increment"; do
    kind=b
    if [ "$file" = "$increment" ]; then
      kind=i
    fi
    name=${file##*/}
    number=${name#appendonly.aof}
    number=${number#.}
    number=${number%%.*}
    echo "file $name seq ${number:-1} type $kind"
  done >"$manifest.new"
  mv "$manifest.new" "$manifest"
  tell """
    + LOST_NODES
    + """ "$manifest was lost; it is written again from the only two files there are"
}

# "7.0.15" as a number that can be compared: major and minor.
order() {
  rest=${1#*.}
  echo $((${1%%.*} * 1000 + ${rest%%.*}))
}

# The data is another engine's or a newer one's: nothing is wrong with it, only this image cannot read it.
is_foreign() {
  if [ -s "$engine" ]; then
    read -r name number <"$engine" || true
    if [ "$name" != "$server" ] || [ "$(order "$number")" -gt "$(order "$version")" ]; then
      writer="$name $number"
      return 0
    fi
  fi
  # The first nine bytes of a snapshot: "REDIS0011", "VALKEY080".
  ours=$(head -c 9 "$scratch/dump.rdb" 2>/dev/null | tr -cd 'A-Z0-9')
  for file in "$folder"/*.base.rdb "$data/appendonly.aof"; do
    theirs=$(head -c 9 "$file" 2>/dev/null | tr -cd 'A-Z0-9') || continue
    case $theirs in
      REDIS[0-9]* | VALKEY[0-9]*) ;;
      *) continue ;;
    esac
    if [ "$(printf '%s' "$theirs" | tr -d 0-9)" != "$(printf '%s' "$ours" | tr -d 0-9)" ] ||
      [ "$(printf '%s' "$theirs" | tr -cd 0-9)" -gt "$(printf '%s' "$ours" | tr -cd 0-9)" ]; then
      writer="an engine that writes $theirs"
      return 0
    fi
  done
  return 1
}

# comes_up ARGUMENTS: the engine, in the scratch folder, where nobody finds it. It is given twenty seconds.
comes_up() {
  case $POD_IP in
    127.*) alone=$POD_IP ;;
    *:*) alone=::1 ;;
    *) alone=127.0.0.1 ;;
  esac
  "$server" "$@" --dir "$scratch" --bind "$alone" --port """
    + str(SCRATCH_PORT)
    + """ >"$scratch/log" 2>&1 &
  other=$! up=1 looks=0
  while [ "$looks" -lt 400 ] && kill -0 "$other" 2>/dev/null; do
    case $("$cli" -h "$alone" -p """
    + str(SCRATCH_PORT)
    + """ PING 2>/dev/null || true) in
      PONG | NOAUTH*)
        up=0
        "$cli" -h "$alone" -p """
    + str(SCRATCH_PORT)
    + """ SAVE >/dev/null 2>&1 || true
        break
        ;;
    esac
    looks=$((looks + 1))
    sleep 0.05
  done
  kill -9 "$other" 2>/dev/null || true
  wait "$other" 2>/dev/null || true
  return "$up"
}

# The same engine and configuration, but no data: by an address that nobody knows, and as nobody's primary.
runs_without_data() {
  comes_up "$@" --cluster-enabled no --replicaof """
    + f"{NOBODY_HOST} {NOBODY_PORT}"
    + """ --replica-serve-stale-data yes
}

clean() {
  rm -rf "$scratch"
  mkdir "$scratch"
}

# The engine refuses nodes.conf. It is given a copy in which every address leads nowhere: it must not speak to anybody.
nodes_are_refused() {
  if [ ! -s "$nodes" ]; then
    return 1
  fi
  if [ "$(tr -d '\\000' <"$nodes" | wc -c)" != "$(wc -c <"$nodes")" ]; then
    return 0
  fi
  clean
  sed 's/^\\([0-9a-f]\\{40\\}\\) [^ ,]*/\\1 127.0.0.1:1@2/' "$nodes" >"$scratch/nodes.conf"
  ! comes_up "$@"
}

can_be_read() {
  for file in "$folder"/* "$data/appendonly.aof"; do
    if [ -e "$file" ] && ! { [ -w "$file" ] && cat "$file" >/dev/null; }; then
      return 1
    fi
  done
}

# The engine ended, and not because it was told to, before its data was loaded: it is tried once more, and then whatever
# it does not take is set aside. Returns 1 where the data is not what ails it.
put_right() {
  case $("$cli" -h "$POD_IP" PING 2>&1) in
    *'Could not connect'*) ;;
    *)
      say "another process has its port"
      return 1
      ;;
  esac
  if nodes_are_locked; then
    say "another process still has nodes.conf open"
    return 1
  fi
  if ! clean || ! runs_without_data "$@"; then
    say "it does not run without data either"
    return 1
  fi
  if is_foreign; then
    refuse "the data in $data was written by $writer; $server $version cannot load it: write the previous image again"
  fi
  if nodes_are_refused "$@"; then
    set_aside """
    + LOST_NODES
    + """ "the engine refuses nodes.conf" "$nodes"
    return 0
  fi
  if ! has_data || ! can_be_read; then
    say "its data is not what it ends of"
    return 1
  fi
  set_aside """
    + LOST_DATA
    + """ "the engine cannot load the data" "$folder" "$data/appendonly.aof"
}

# The data is one process's. A pod that was deleted by force may live on for a while where its successor starts: what it
# still writes looks broken to whoever reads it then. The engine inherits the lock, and has it as long as it lives.
have_data_alone() {
  if ! command -v flock >/dev/null 2>&1 || ! true 2>/dev/null >>"$data/tdredis.lock"; then
    return 0 # no such program, or a disk that takes nothing
  fi
  exec 9>>"$data/tdredis.lock"
  looks=0
  until flock -n 9; do
    looks=$((looks + 1))
    if [ "$looks" = 100 ]; then
      refuse "another process still has the data in $data open: a previous pod that has not ended yet"
    fi
    sleep 0.2
  done
}

# One that an older start script began has no such lock; a cluster's engine has one of its own on nodes.conf.
nodes_are_locked() {
  command -v flock >/dev/null 2>&1 && [ -e "$nodes" ] && ! flock -n "$nodes" true
}

# Runs the engine until it ends. This shell stays, as the first process, to see how: the engine is told what it is told.
attend() {
  "$server" "$@" &
  child=$!
  # Told until it ends: what comes before the engine has begun to listen is lost, and it would run for all of its grace.
  trap '(while kill -TERM "$child" 2>/dev/null; do sleep 1; done) &' TERM INT
  code=0
  wait "$child" || code=$?
  while kill -0 "$child" 2>/dev/null; do # a signal ended the wait, not the engine
    code=0
    wait "$child" || code=$?
  done
  trap 'exit 143' TERM INT
}

# The append-only files are of before they were switched off. The engine would take them for all that there was.
set_old_files_aside() {
  if [ "$logs" = yes ] && [ -e "$unlogged" ] && has_data; then
    set_aside """
    + LOST_DATA
    + """ "the append-only files are old: the last engine here kept none" "$folder" "$data/appendonly.aof"
  fi
  rm -f "$unlogged"
}

start() {
  have_data_alone
  set_old_files_aside
  failed=0
  while :; do
    know_the_format
    mend_manifest
    rm -f "$data/tdredis.ready"
    printf '%s %s\\n' "$server" "$version" >"$starting" || say "cannot write $starting"
    if [ "$logs" = yes ] && [ -s "$engine" ] && [ ! -s "$lost" ] && ! has_data; then
      tell """
    + LOST_DATA
    + """ "the append-only files in $data are gone"
    fi
    extra=${login:+--include $login}
    prepare
    told=$(cat "$lost" 2>/dev/null || true)$refused
    if [ -n "$told" ]; then
      # shellcheck disable=SC2086 # it is words, or nothing
      attend "$@" $extra --"""
    + TOLD_BY
    + """ "$told"
    else
      # shellcheck disable=SC2086
      attend "$@" $extra
    fi
    case $code in
      0 | 130 | 137 | 143) exit "$code" ;;
    esac
    if [ ! -e "$starting" ]; then
      exit "$code"
    fi
    # What is no fault of a line may be one of its meaning here: spec.config is left out first.
    if [ -s "$settings" ]; then
      say "it ended; trying without spec.config"
      if clean && ! runs_without_data "$@"; then
        refused="$refused
"""
    + REFUSED
    + """ *: $(tail -n 1 "$scratch/log" | sed 's/^[^#*]*[#*] //')"
      fi
      : >"$settings"
      continue
    fi
    failed=$((failed + 1))
    if [ "$failed" = 2 ]; then
      put_right "$@" || exit "$code"
      failed=0
    fi
  done
}
"""
)
