#!/bin/sh
# One homeserver in the foreground, for a conformance suite: names, ports, certificates and data folder come from the
# environment (see README.md beside this file). Build the bundle once beforehand: npm run build.
set -eu
cd "$(dirname "$0")/../.."
export REGISTRATION=open RATE_LIMITS=off ALLOW_PRIVATE_ADDRESSES=on PRESENCE=on PUBLIC_ROOMS_OVER_FEDERATION=on
# The suite also asks by the paths without a token, which are frozen unless told.
export URL_PREVIEWS=on FREEZE_UNAUTHENTICATED_MEDIA=off
export LOG_LEVEL="${LOG_LEVEL:-warn}"
# Where TLS stands in front already, the federation port is not ours to open.
if [ "${SHIM_TLS_TERMINATE:-}" = 1 ]; then unset FED_PORT TLS_CERT TLS_KEY; fi
exec node_modules/.bin/node scripts/serve.ts --prebuilt
