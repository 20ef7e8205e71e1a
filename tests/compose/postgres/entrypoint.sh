#!/bin/sh
# Makes the database once, then becomes the server.
set -eu
as_postgres() { setpriv --reuid postgres --regid postgres --clear-groups -- "$@"; }
if [ ! -f "$PGDATA/PG_VERSION" ]; then
  chown postgres:postgres "$PGDATA"
  chmod 700 "$PGDATA"
  password="$(mktemp)"
  printf '%s' "$POSTGRES_PASSWORD" >"$password"
  chown postgres "$password"
  as_postgres initdb --no-sync --username "$POSTGRES_USER" --pwfile "$password" \
    --auth-host scram-sha-256 --auth-local trust
  rm "$password"
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  # On its unix socket only, as in the image that this stands in for.
  as_postgres pg_ctl --wait --options "-c listen_addresses=''" start
  as_postgres createdb --username "$POSTGRES_USER" "$POSTGRES_DB"
  as_postgres pg_ctl --wait --mode fast stop
fi
exec setpriv --reuid postgres --regid postgres --clear-groups -- \
  postgres -c listen_addresses='*'
