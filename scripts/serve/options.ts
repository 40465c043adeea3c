/**
 * What `npm start` takes: options on the command line, else environment variables, else defaults. Pure.
 *
 * The environment names are those of the conformance launcher (test/conformance/README.md).
 * Longer than other files, since it is one table.
 */
import { resolve } from 'node:path'

import { parseServerName } from '../../worker/protocol/identifiers/server-name.ts'
import { rulesOf } from '../../worker/protocol/room-versions/rules.ts'
import { lengthOf, whatTimesAre } from '../../worker/settings/retention.ts'
import { describeOptions, isBaseUrl, isPort, oneOf, type OptionSpec, parseCommandLine } from '../command-line.ts'

const isTime = (value: string) => (lengthOf(value) === undefined ? whatTimesAre : undefined)

const table = {
  'server-name': {
    env: 'SERVER_NAME',
    value: 'NAME',
    help: 'the name behind the colon in @you:NAME; signed into every event, so it can never change',
    fallback: 'localhost',
    check: (value) => (parseServerName(value) ? undefined : 'is not a Matrix server name, such as example.org'),
  },
  bind: {
    env: 'BIND_ADDR',
    value: 'ADDRESS',
    help: 'address to listen on',
    fallback: '127.0.0.1',
    check: (value) => (/^[\w.:-]+$/.test(value) ? undefined : 'is not an address, such as 127.0.0.1'),
  },
  port: { env: 'CS_PORT', value: 'PORT', help: 'plain HTTP, the whole API', fallback: '8008', check: isPort },
  'federation-port': {
    env: 'FED_PORT',
    value: 'PORT',
    help: 'the same over HTTPS, for other servers; with --tls-cert and --tls-key',
    check: isPort,
  },
  'tls-cert': { env: 'TLS_CERT', value: 'FILE', help: 'certificate chain for the federation port, PEM' },
  'tls-key': { env: 'TLS_KEY', value: 'FILE', help: 'its private key, PEM' },
  ca: {
    env: 'CA_CERT',
    value: 'FILE',
    help: 'certificate authorities to trust on top of the usual ones when calling other servers, PEM',
  },
  data: { env: 'DATA_DIR', value: 'FOLDER', help: 'where everything is kept', fallback: 'data' },
  'public-url': {
    env: 'PUBLIC_URL',
    value: 'URL',
    help: 'where clients reach this server; unless given, http://ADDRESS:PORT',
    check: isBaseUrl,
  },
  registration: {
    env: 'REGISTRATION',
    value: 'MODE',
    help: 'open: anyone may make an account; token: with a registration token; closed: only npm run register',
    fallback: 'open',
    check: oneOf('open', 'token', 'closed'),
  },
  'registration-shared-secret': {
    env: 'REGISTRATION_SHARED_SECRET',
    value: 'SECRET',
    help: 'lets tools that know it register accounts; unless given, one is made and kept in the data folder',
  },
  'backup-secret': {
    env: 'BACKUP_SECRET',
    value: 'SECRET',
    help: 'lets npm run backup -- --url copy this server while it runs: docs/backup.md',
  },
  'rate-limits': {
    env: 'RATE_LIMITS',
    value: 'on|off',
    help: 'limits per user and address',
    fallback: 'on',
    check: oneOf('on', 'off'),
  },
  'max-upload-mb': {
    env: 'MAX_UPLOAD_MB',
    value: 'MEGABYTES',
    help: 'largest file that people may upload',
    fallback: '50',
    check: (value) => (/^\d+$/.test(value) && +value >= 1 && +value <= 500 ? undefined : 'must be from 1 to 500'),
  },
  'user-media-quota-mb': {
    env: 'USER_MEDIA_QUOTA_MB',
    value: 'MEGABYTES',
    help: 'what one person may have uploaded in all; unless given, any amount',
  },
  'remote-media-days': {
    env: 'REMOTE_MEDIA_DAYS',
    value: 'DAYS',
    help: 'how long files of other servers are kept after the last look, 0 for ever; unless given, 90',
  },
  'freeze-unauthenticated-media': {
    env: 'FREEZE_UNAUTHENTICATED_MEDIA',
    value: 'on|off',
    help: 'files that are uploaded from now on are for people who are signed in alone; unless given, on',
    check: oneOf('on', 'off'),
  },
  'url-previews': {
    env: 'URL_PREVIEWS',
    value: 'on|off',
    help: 'this server looks up what is behind links in messages, for a preview; unless given, off',
    check: oneOf('on', 'off'),
  },
  'default-room-version': {
    env: 'DEFAULT_ROOM_VERSION',
    value: 'VERSION',
    help: 'version of new rooms that ask for none',
    fallback: '12',
    check: (value) => (rulesOf(value) ? undefined : 'must be a room version from 1 to 12'),
  },
  'public-rooms-over-federation': {
    env: 'PUBLIC_ROOMS_OVER_FEDERATION',
    value: 'on|off',
    help: 'other servers may read the directory of published rooms',
    fallback: 'off',
    check: oneOf('on', 'off'),
  },
  'device-names-over-federation': {
    env: 'DEVICE_NAMES_OVER_FEDERATION',
    value: 'on|off',
    help: 'other servers are told what people call their devices; unless given, on',
    check: oneOf('on', 'off'),
  },
  presence: {
    env: 'PRESENCE',
    value: 'on|off',
    help: 'people see who is online, which costs calls to all their rooms; unless given, off',
    check: oneOf('on', 'off'),
  },
  retention: {
    env: 'RETENTION',
    value: 'on|off',
    help: 'messages are taken away after the time that rooms (m.room.retention) or the next option say; unless given, off',
    check: oneOf('on', 'off'),
  },
  'retention-max-lifetime': {
    env: 'RETENTION_MAX_LIFETIME',
    value: 'TIME',
    help: 'rooms that say nothing keep messages for this time, such as 1y, 30d or 12h; unless given, for ever',
    check: isTime,
  },
  'retention-min-lifetime': {
    env: 'RETENTION_MIN_LIFETIME',
    value: 'TIME',
    help: 'what clients are told beside it: messages are kept for this time at least',
    check: isTime,
  },
  'retention-allowed-min': {
    env: 'RETENTION_ALLOWED_MIN',
    value: 'TIME',
    help: 'whatever rooms say, messages are kept for this time',
    check: isTime,
  },
  'retention-allowed-max': {
    env: 'RETENTION_ALLOWED_MAX',
    value: 'TIME',
    help: 'no room that has messages taken away keeps them longer than this',
    check: isTime,
  },
  'push-encrypted-events': {
    env: 'PUSH_ENCRYPTED_EVENTS',
    value: 'on|off',
    help: 'devices are told of all encrypted messages, so that they find mentions; unless given, off',
    check: oneOf('on', 'off'),
  },
  'allow-private-addresses': {
    env: 'ALLOW_PRIVATE_ADDRESSES',
    value: 'on|off',
    help: 'for development: requests to other servers may go to loopback and private addresses',
    fallback: 'off',
    check: oneOf('on', 'off'),
  },
  'client-address-header': {
    env: 'CLIENT_ADDRESS_HEADER',
    value: 'NAME',
    help: 'header by which a proxy in front tells the client address, such as X-Real-IP; none: there is no proxy',
    fallback: 'none',
    check: (value) => (/^[\w-]+$/.test(value) ? undefined : 'is not the name of a header'),
  },
  'dns-over-https': {
    env: 'DNS_OVER_HTTPS',
    value: 'URL|off',
    help: 'JSON API that finds SRV records, such as https://cloudflare-dns.com/dns-query',
    fallback: 'off',
    check: (value) => (value === 'off' ? undefined : isBaseUrl(value)),
  },
  'mail-from': {
    env: 'MAIL_FROM',
    value: 'ADDRESS',
    help: "sender of the server's mail; unless given, hearth at the name of the server",
  },
  'mail-url': {
    env: 'MAIL_URL',
    value: 'URL',
    help: 'HTTP API that sends mail; unless given, mail goes to the folder mailbox in the data folder',
    check: isBaseUrl,
  },
  'mail-token': { env: 'MAIL_TOKEN', value: 'TOKEN', help: 'its token' },
  'mail-token-header': { env: 'MAIL_TOKEN_HEADER', value: 'NAME', help: 'header of the token, unless Authorization' },
  'mail-body': {
    env: 'MAIL_BODY',
    value: 'JSON',
    help: 'its body, with {{from}} {{to}} {{subject}} {{text}} {{html}} {{unsubscribe}}',
  },
  'registration-email': {
    env: 'REGISTRATION_EMAIL',
    value: 'off|required',
    help: 'whether a new account needs an e-mail address',
    check: oneOf('off', 'required'),
  },
  'registration-terms': { env: 'REGISTRATION_TERMS', value: 'JSON', help: 'policies that new users accept' },
  'hide-known-addresses': {
    env: 'HIDE_KNOWN_ADDRESSES',
    value: 'on|off',
    help: 'keep secret which e-mail addresses have accounts; unless given, on',
    check: oneOf('on', 'off'),
  },
  'query-access-tokens': {
    env: 'QUERY_ACCESS_TOKENS',
    value: 'on|off',
    help: 'whether access tokens may stand in addresses, as old clients send them; unless given, on',
    check: oneOf('on', 'off'),
  },
  'support-contacts': {
    env: 'SUPPORT_CONTACTS',
    value: 'LIST',
    help: 'whom to ask about this server: user IDs and mail addresses',
  },
  'support-page': { env: 'SUPPORT_PAGE', value: 'URL', help: 'a page that helps its users', check: isBaseUrl },
  'turn-uris': { env: 'TURN_URIS', value: 'LIST', help: "TURN servers of one's own, for calls" },
  'turn-shared-secret': { env: 'TURN_SHARED_SECRET', value: 'SECRET', help: 'their static-auth-secret' },
  'turn-key-id': {
    env: 'TURN_KEY_ID',
    value: 'ID',
    help: "a TURN key of Cloudflare, in place of servers of one's own",
  },
  'turn-key-api-token': { env: 'TURN_KEY_API_TOKEN', value: 'TOKEN', help: 'its API token' },
  'turn-service-url': {
    env: 'TURN_SERVICE_URL',
    value: 'URL',
    help: "for development, with --allow-private-addresses: what stands in for Cloudflare's service",
    check: isBaseUrl,
  },
  'livekit-service-url': {
    env: 'LIVEKIT_SERVICE_URL',
    value: 'URL',
    help: 'the service that lets people into calls of many, for Element Call',
    check: isBaseUrl,
  },
  'livekit-url': {
    env: 'LIVEKIT_URL',
    value: 'URL',
    help: 'a LiveKit server (wss://…) for which this server lets people in by itself, with the next two',
  },
  'livekit-api-key': { env: 'LIVEKIT_API_KEY', value: 'KEY', help: 'its API key' },
  'livekit-api-secret': { env: 'LIVEKIT_API_SECRET', value: 'SECRET', help: 'its API secret' },
  'metrics-port': {
    env: 'METRICS_PORT',
    value: 'PORT',
    help: 'counters for Prometheus at /metrics on this port of 127.0.0.1; unless given, nothing is counted',
    check: isPort,
  },
  'log-level': {
    env: 'LOG_LEVEL',
    value: 'LEVEL',
    help: 'debug, info, warn or error',
    fallback: 'info',
    check: oneOf('debug', 'info', 'warn', 'error'),
  },
  prebuilt: { help: 'run dist/worker.js as it is, whatever the sources say' },
} satisfies Record<string, OptionSpec>

export interface FederationPort {
  readonly port: number
  readonly cert: string
  readonly key: string
}

/** Paths are absolute. */
export interface ServeOptions {
  readonly serverName: string
  readonly bind: string
  readonly port: number
  readonly federation: FederationPort | undefined
  readonly ca: string | undefined
  readonly data: string
  readonly publicUrl: string
  readonly registration: string
  readonly registrationSharedSecret: string | undefined
  readonly rateLimits: string
  readonly maxUploadMb: string
  readonly defaultRoomVersion: string
  readonly publicRoomsOverFederation: string
  readonly allowPrivateAddresses: string
  readonly clientAddressHeader: string
  readonly dnsOverHttps: string
  readonly logLevel: string
  /** Where Prometheus asks; undefined: nothing is counted. */
  readonly metricsPort: number | undefined
  /** Variables that reach the Worker as they were given. */
  readonly variables: Readonly<Record<string, string>>
  readonly prebuilt: boolean
}

export type ParsedOptions =
  | { readonly ok: true; readonly options: ServeOptions }
  | { readonly ok: true; readonly help: string }
  | { readonly ok: false; readonly message: string }

/** Reads options; `folder` is what relative paths start from. A wrong option gives one line that says which and why. */
export function parseOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
): ParsedOptions {
  const line = parseCommandLine(table, args, { env })
  if (!line.ok) return line
  if (line.help) return { ok: true, help: helpText() }
  const given = line.options
  const pathOf = (path: string | undefined) => (path === undefined ? undefined : resolve(folder, path))

  const [federationPort, cert, key] = [given['federation-port'], pathOf(given['tls-cert']), pathOf(given['tls-key'])]
  const parts = [federationPort, cert, key].filter((part) => part !== undefined)
  if (parts.length !== 0 && parts.length !== 3) {
    return { ok: false, message: '--federation-port, --tls-cert and --tls-key go together' }
  }
  if (federationPort === given.port) {
    return { ok: false, message: `--port and --federation-port are both ${given.port}` }
  }
  const host = given.bind.includes(':') ? `[${given.bind}]` : given.bind
  return {
    ok: true,
    options: {
      serverName: given['server-name'],
      bind: given.bind,
      port: Number(given.port),
      federation: federationPort && cert && key ? { port: Number(federationPort), cert, key } : undefined,
      ca: pathOf(given.ca),
      data: resolve(folder, given.data),
      publicUrl: given['public-url'] ?? `http://${host}:${given.port}`,
      registration: given.registration,
      registrationSharedSecret: given['registration-shared-secret'],
      rateLimits: given['rate-limits'],
      maxUploadMb: given['max-upload-mb'],
      defaultRoomVersion: given['default-room-version'],
      publicRoomsOverFederation: given['public-rooms-over-federation'],
      allowPrivateAddresses: given['allow-private-addresses'],
      clientAddressHeader: given['client-address-header'],
      dnsOverHttps: given['dns-over-https'],
      logLevel: given['log-level'],
      metricsPort: given['metrics-port'] === undefined ? undefined : Number(given['metrics-port']),
      variables: variablesOf(given),
      prebuilt: given.prebuilt === 'on',
    },
  }
}

const passedOn = [
  'backup-secret',
  'user-media-quota-mb',
  'remote-media-days',
  'freeze-unauthenticated-media',
  'url-previews',
  'device-names-over-federation',
  'presence',
  'push-encrypted-events',
  'retention',
  'retention-max-lifetime',
  'retention-min-lifetime',
  'retention-allowed-min',
  'retention-allowed-max',
  'mail-from',
  'mail-url',
  'mail-token',
  'mail-token-header',
  'mail-body',
  'registration-email',
  'registration-terms',
  'hide-known-addresses',
  'query-access-tokens',
  'support-contacts',
  'support-page',
  'turn-uris',
  'turn-shared-secret',
  'turn-key-id',
  'turn-key-api-token',
  'turn-service-url',
  'livekit-service-url',
  'livekit-url',
  'livekit-api-key',
  'livekit-api-secret',
] as const

function variablesOf(given: Readonly<Partial<Record<string, string>>>): Record<string, string> {
  const pairs = passedOn.flatMap((name) => {
    const value = given[name]
    return value === undefined ? [] : [[table[name].env, value] as const]
  })
  return Object.fromEntries(pairs)
}

function helpText(): string {
  return `Runs a Matrix homeserver on this machine, in the foreground, until Ctrl-C.

  npm start
  npm start -- --server-name example.org --port 8008

${describeOptions(table)}

In brackets: what holds unless something is given, and the environment variable that does the same.
`
}
