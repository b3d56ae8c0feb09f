#!/bin/sh
# Creates the database cluster on the first start, then becomes the server.
set -eu

[ "$1" = postgres ] || exec "$@"
shift
: "${POSTGRES_USER:=shop}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
: "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD must be set}"

make_cluster() {
  new="$PGDATA/.new"
  rm -rf "$new"
  initdb --pgdata="$new" --auth=scram-sha-256 --auth-local=trust \
    --pwfile=/dev/stdin --encoding=UTF8 --locale=C.UTF-8 >/dev/null <<EOF
$POSTGRES_PASSWORD
EOF
  echo "host all all all scram-sha-256" >>"$new/pg_hba.conf"
  postgres --single -D "$new" postgres >/dev/null <<EOF
CREATE ROLE "$POSTGRES_USER" LOGIN PASSWORD '$POSTGRES_PASSWORD'
CREATE DATABASE "$POSTGRES_DB" OWNER "$POSTGRES_USER"
EOF
  # PG_VERSION moves last: it marks a finished cluster, so an interrupted start begins again.
  find "$new" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
  mv "$new/PG_VERSION" "$PGDATA/"
  rmdir "$new"
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  find "$PGDATA" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  make_cluster
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp -c jit=off "$@"
