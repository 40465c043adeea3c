#!/bin/sh
# One homeserver in the foreground, for a conformance suite: names, ports, certificates and data folder come from the
# environment (see README.md beside this file). Build the bundle once beforehand: npm run build.
set -eu
cd "$(dirname "$0")/../.."
REGISTRATION=open
RATE_LIMITS=off
ALLOW_PRIVATE_ADDRESSES=on
LOG_LEVEL=${LOG_LEVEL:-warn}
DEFAULT_ROOM_VERSION=${HEARTH_DEFAULT_ROOM_VERSION:-12}
# Where TLS stands in front already, the federation port is not ours to open.
if [ "${SHIM_TLS_TERMINATE:-}" = 1 ]; then unset FED_PORT; fi
export REGISTRATION RATE_LIMITS ALLOW_PRIVATE_ADDRESSES LOG_LEVEL DEFAULT_ROOM_VERSION
if [ -n "${CA_CERT:-}" ]; then export NODE_EXTRA_CA_CERTS="$CA_CERT"; fi
exec node_modules/.bin/node scripts/serve.ts --prebuilt
