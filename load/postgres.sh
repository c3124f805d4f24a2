#!/usr/bin/env bash
# A throw-away PostgreSQL 15 with its durability on, for as long as standard input stays open:
# it prints one line "database URL pid PID" when ready, and is stopped and deleted at the end of
# input, on a signal, or when whoever started it goes away.
#
#   load/postgres.sh [FOLDER]     FOLDER (default /var/tmp) must be on a disk, not in memory
set -euo pipefail

parent=${1:-/var/tmp}
version=15

say() { echo "postgres.sh: $*" >&2; }

if [ "$(stat -f -c %T "$parent")" = tmpfs ]; then
    say "$parent is in memory, where an fsync costs nothing; name a folder on a disk"
    exit 2
fi

bin=/usr/lib/postgresql/$version/bin
if [ ! -x "$bin/postgres" ]; then
    if [ "$(id -u)" != 0 ]; then
        say "PostgreSQL $version is not at $bin; install Debian's postgresql-$version"
        exit 2
    fi
    say "installing postgresql-$version"
    {
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
            "postgresql-$version"
    } >&2
fi

# PostgreSQL refuses to run as root.
if [ "$(id -u)" = 0 ]; then as_owner=(runuser -u postgres --); else as_owner=(); fi

home=$(mktemp -d "$parent/kontor-postgres.XXXXXX")
trap 'exit 130' INT TERM HUP
# shellcheck disable=SC2317
finish() {
    trap '' INT TERM HUP
    if [ -f "$home/data/postmaster.pid" ]; then
        "${as_owner[@]}" "$bin/pg_ctl" -D "$home/data" -m immediate -w stop >/dev/null 2>&1 || true
    fi
    rm -rf "$home"
}
trap finish EXIT
if [ "$(id -u)" = 0 ]; then chown postgres "$home"; fi
cd "$home"

"${as_owner[@]}" "$bin/initdb" -D "$home/data" -U postgres -A trust -E UTF8 --locale=C >/dev/null

free_port() {
    local port
    for _ in $(seq 50); do
        port=$((20000 + RANDOM % 12000))
        if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    say "no free port found"
    return 1
}
port=$(free_port)

# A quarter of the memory, as its manual advises, but no more than the tables can use.
memory_mb=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
buffers_mb=$((memory_mb / 4 < 1024 ? memory_mb / 4 : 1024))

"${as_owner[@]}" tee -a "$home/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$home'
max_connections = 100
shared_buffers = ${buffers_mb}MB
fsync = on
synchronous_commit = on
full_page_writes = on
max_wal_size = 4GB
checkpoint_timeout = 15min
CONF

if ! "${as_owner[@]}" "$bin/pg_ctl" -D "$home/data" -l "$home/log" -w -t 60 start >/dev/null; then
    cat "$home/log" >&2
    exit 1
fi
echo "database postgres://postgres@127.0.0.1:$port/postgres pid $(head -n 1 "$home/data/postmaster.pid")"

# In the background, because a shell attends to signals only between commands and in `wait`.
cat <&0 >/dev/null &
wait $! || true
