#!/usr/bin/env bash
# What `make bench` runs after building: interleaved pairs on this machine, medians at the end, the targets
# met or not. load/README.md says what is compared with what. Numbers of one machine compare with
# numbers of the same machine, and with no others.
source "$(dirname "$0")/stages.sh"

load="$target/release/kontor-load"
kontor="$target/release/kontor"
stage "product reads against a bare HTTP server" "$load" compare reads --kontor "$kontor"
stage "start on a million products, after a stop and after a kill" "$load" start --kontor "$kontor"
stage "import, lists and searches in 10,000 and 1,000,000 products" "$load" catalog --kontor "$kontor"
stage "rows of a read with 1, 3 and 10 sites, and of a checkout after few and many orders" \
    cargo test --locked --quiet --package kontor-core --test touch -- --nocapture
stage "two regions: propagation, borrowing, catching up" "$load" sites --kontor "$kontor"
stage "carts, checkouts and payments, and what they cost after others" "$load" checkouts --kontor "$kontor"
if [ -x /usr/lib/postgresql/15/bin/postgres ] || [ "$(id -u)" = 0 ]; then
    stage "durable issues against a service on PostgreSQL" "$load" compare writes --kontor "$kontor"
else
    leave_out "durable issues against a service on PostgreSQL" "PostgreSQL 15 is not installed (Debian: postgresql-15)"
fi
summary
