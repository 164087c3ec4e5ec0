#!/bin/bash
# Starts PostgreSQL, as the user postgres, and makes the database before if there is none. Understands the settings that
# compose files for the upstream image use: POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB and POSTGRES_INITDB_ARGS (each also
# as the name of a file, with _FILE), POSTGRES_INITDB_WALDIR, POSTGRES_HOST_AUTH_METHOD, and /docker-entrypoint-initdb.d.
set -euo pipefail

sockets=/var/run/postgresql

say() { printf 'docker-entrypoint: %s\n' "$*" >&2; }
refuse() { say "$@"; exit 1; }

# setting NAME DEFAULT: from the variable, or from the file that NAME_FILE names.
setting() {
  local name=$1 from=$1_FILE
  if [ -n "${!from:-}" ]; then
    [ -z "${!name:-}" ] || refuse "$name and $from are both set; take one of them away"
    [ -r "${!from}" ] || refuse "cannot read ${!from} (named by $from) as $(id -un)"
    printf -v "$name" %s "$(<"${!from}")"
  fi
  printf -v "$name" %s "${!name:-$2}"
  export "${name?}"
}

# Whether a command line of the server only asks it something.
only_asks() {
  local word
  for word; do
    case $word in '-?' | --help | --describe-config | -V | --version) return 0 ;; esac
  done
  return 1
}

own() {
  mkdir -p "$1"
  find "$1" ! -user postgres -exec chown postgres:postgres {} +
}

sql() {
  psql --no-psqlrc --no-password --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"
}

run_script() {
  case $1 in
    *.sh | *.sql | *.sql.gz | *.sql.xz | *.sql.zst) say "running $1" ;;
    *) say "leaving out $1: neither a shell script nor SQL" ;;
  esac
  case $1 in
    *.sh)
      # shellcheck disable=SC1090
      if [ -x "$1" ]; then "$1"; else . "$1"; fi ;;
    *.sql) sql --dbname "$POSTGRES_DB" --file "$1" ;;
    *.sql.gz) gunzip --stdout "$1" | sql --dbname "$POSTGRES_DB" ;;
    *.sql.xz) xzcat "$1" | sql --dbname "$POSTGRES_DB" ;;
    *.sql.zst) zstd --decompress --stdout "$1" | sql --dbname "$POSTGRES_DB" ;;
  esac
}

# Makes the database; the arguments are the server's command line.
initialise() {
  local extra script method=${POSTGRES_HOST_AUTH_METHOD:-}
  setting POSTGRES_PASSWORD ''
  setting POSTGRES_USER postgres
  setting POSTGRES_DB "$POSTGRES_USER"
  setting POSTGRES_INITDB_ARGS ''
  [ -n "$POSTGRES_PASSWORD" ] || [ "$method" = trust ] ||
    refuse 'no password for the superuser: set POSTGRES_PASSWORD_FILE, or POSTGRES_HOST_AUTH_METHOD=trust to let everybody in'
  [ "$method" != trust ] || say 'POSTGRES_HOST_AUTH_METHOD=trust: whoever reaches this server is its superuser'

  # The arguments are words as a shell reads them, quotes included.
  eval "extra=($POSTGRES_INITDB_ARGS)"
  [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || extra+=("--waldir=$POSTGRES_INITDB_WALDIR")
  if [ -n "$POSTGRES_PASSWORD" ]; then
    initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") "${extra[@]}"
  else
    initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" "${extra[@]}"
  fi
  printf '\nhost all all all %s\n' "${method:-$(postgres -C password_encryption)}" >>"$PGDATA/pg_hba.conf"

  # Until all scripts have run, nobody reaches it from outside.
  export PGHOST=$sockets PGPASSWORD=$POSTGRES_PASSWORD
  unset PGHOSTADDR
  pg_ctl --pgdata "$PGDATA" --wait --options "$(printf '%q ' "${@:2}" -c listen_addresses= -p "${PGPORT:-5432}")" start
  if [ -z "$(sql --dbname postgres --tuples-only --set name="$POSTGRES_DB" <<<"SELECT 1 FROM pg_database WHERE datname = :'name'")" ]; then
    sql --dbname postgres --set name="$POSTGRES_DB" <<<'CREATE DATABASE :"name"'
  fi
  for script in /docker-entrypoint-initdb.d/*; do
    [ ! -e "$script" ] || run_script "$script"
  done
  pg_ctl --pgdata "$PGDATA" --wait --mode fast stop
}

case ${1:-} in -*) set -- postgres "$@" ;; esac

if [ "${1:-}" = postgres ] && ! only_asks "$@"; then
  if [ "$(id -u)" = 0 ]; then
    own "$PGDATA"
    own "$sockets"
    [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || own "$POSTGRES_INITDB_WALDIR"
    exec gosu postgres "$0" "$@"
  fi
  mkdir -p "$PGDATA"
  # Somebody else's folder, when the container runs as a user of its own choice: PostgreSQL judges it.
  chmod 0700 "$PGDATA" 2>/dev/null || true
  # Apart, so that the server does not inherit the password.
  [ -s "$PGDATA/PG_VERSION" ] || (initialise "$@")
fi

exec "$@"
