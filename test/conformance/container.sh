#!/bin/sh
# What Complement's image starts: a certificate for SERVER_NAME, signed by the authority that Complement mounts, and then
# the server. Every start may be the first, and none may be: the data folder decides.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
authority=${COMPLEMENT_CA:-/complement/ca}
tls=$(mktemp -d)
openssl req -newkey rsa:2048 -nodes -keyout "$tls/key.pem" -out "$tls/request.pem" -subj "/CN=$SERVER_NAME" 2>/dev/null
printf 'subjectAltName=DNS:%s' "$SERVER_NAME" >"$tls/names"
openssl x509 -req -in "$tls/request.pem" -CA "$authority/ca.crt" -CAkey "$authority/ca.key" -set_serial "$(date +%s)" \
  -days 2 -extfile "$tls/names" -out "$tls/cert.pem" 2>/dev/null
export TLS_CERT="$tls/cert.pem" TLS_KEY="$tls/key.pem" CA_CERT="$authority/ca.crt"
export BIND_ADDR="${BIND_ADDR:-0.0.0.0}" CS_PORT=8008 FED_PORT=8448 DATA_DIR="${DATA_DIR:-/data}"
export PUBLIC_URL="${PUBLIC_URL:-http://$SERVER_NAME:8008}" REGISTRATION_SHARED_SECRET=complement
exec "$here/launch.sh"
