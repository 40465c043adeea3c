/**
 * What `npm run serve` takes: options on the command line, else environment variables, else defaults. Pure.
 *
 * The environment names are those of the conformance launcher (test/conformance/README.md).
 */
import { parseServerName } from '../../worker/protocol/identifiers/server-name.ts'
import { rulesOf } from '../../worker/protocol/room-versions/rules.ts'

interface OptionSpec {
  readonly env: string
  readonly value: string
  readonly help: string
  readonly fallback?: string
  readonly check?: (value: string) => string | undefined
}

const oneOf =
  (...choices: string[]) =>
  (value: string) =>
    choices.includes(value) ? undefined : `must be one of ${choices.join(', ')}`

const port = (value: string) =>
  /^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65535 ? undefined : 'must be a port from 1 to 65535'

const specs = {
  'server-name': {
    env: 'SERVER_NAME',
    value: 'NAME',
    help: 'the name behind the colon in @you:NAME; signed into every event, so it can never change',
    fallback: 'localhost',
    check: (value) => (parseServerName(value) ? undefined : 'is not a Matrix server name, such as example.org'),
  },
  bind: { env: 'BIND_ADDR', value: 'ADDRESS', help: 'address to listen on', fallback: '127.0.0.1' },
  port: { env: 'CS_PORT', value: 'PORT', help: 'plain HTTP, the whole API', fallback: '8008', check: port },
  'federation-port': {
    env: 'FED_PORT',
    value: 'PORT',
    help: 'HTTPS for other servers; needs --tls-cert and --tls-key',
    check: port,
  },
  'tls-cert': { env: 'TLS_CERT', value: 'FILE', help: 'certificate chain for the federation port, PEM' },
  'tls-key': { env: 'TLS_KEY', value: 'FILE', help: 'its private key, PEM' },
  ca: { env: 'CA_CERT', value: 'FILE', help: 'further certificate authority to trust when calling other servers, PEM' },
  data: { env: 'DATA_DIR', value: 'FOLDER', help: 'where everything is kept', fallback: 'data' },
  'public-url': {
    env: 'PUBLIC_URL',
    value: 'URL',
    help: 'where clients reach this server; http://ADDRESS:PORT unless set',
  },
  registration: {
    env: 'REGISTRATION',
    value: 'MODE',
    help: 'open: anyone may make an account; token: with a registration token; closed: nobody',
    fallback: 'open',
    check: oneOf('open', 'token', 'closed'),
  },
  'registration-shared-secret': {
    env: 'REGISTRATION_SHARED_SECRET',
    value: 'SECRET',
    help: 'lets tools that know it register accounts, as with Synapse',
  },
  'rate-limits': {
    env: 'RATE_LIMITS',
    value: 'on|off',
    help: 'limits per user and address',
    fallback: 'on',
    check: oneOf('on', 'off'),
  },
  'default-room-version': {
    env: 'DEFAULT_ROOM_VERSION',
    value: 'VERSION',
    help: 'version of new rooms that ask for none, 1 to 12',
    fallback: '12',
    check: (value) => (rulesOf(value) ? undefined : 'must be a room version from 1 to 12'),
  },
  'allow-private-addresses': {
    env: 'ALLOW_PRIVATE_ADDRESSES',
    value: 'on|off',
    help: 'development only: outgoing requests may reach loopback and private addresses',
    fallback: 'off',
    check: oneOf('on', 'off'),
  },
  'log-level': {
    env: 'LOG_LEVEL',
    value: 'LEVEL',
    help: 'debug, info, warn or error',
    fallback: 'info',
    check: oneOf('debug', 'info', 'warn', 'error'),
  },
} satisfies Record<string, OptionSpec>

type Name = keyof typeof specs

export interface ServeOptions {
  readonly serverName: string
  readonly bind: string
  readonly port: number
  readonly federation: { readonly port: number; readonly cert: string; readonly key: string } | undefined
  readonly ca: string | undefined
  readonly data: string
  readonly publicUrl: string
  readonly registration: string
  readonly registrationSharedSecret: string | undefined
  readonly rateLimits: string
  readonly defaultRoomVersion: string
  readonly allowPrivateAddresses: string
  readonly logLevel: string
}

export type ParsedOptions =
  | { readonly ok: true; readonly options: ServeOptions }
  | { readonly ok: true; readonly help: string }
  | { readonly ok: false; readonly message: string }

/** Reads options; a wrong one gives one line that says which and why. */
export function parseOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ParsedOptions {
  const given = new Map<string, string>()
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    if (arg === '--help' || arg === '-h') return { ok: true, help: helpText() }
    const match = /^--([a-z-]+)(?:=(.*))?$/s.exec(arg)
    const name = match?.[1]
    if (name === undefined || !Object.hasOwn(specs, name)) return no(`unknown option ${arg}; --help lists them`)
    const value = match?.[2] ?? args[++i]
    if (value === undefined || value === '') return no(`--${name} needs a value`)
    given.set(name, value)
  }
  const values = new Map<string, string>()
  for (const [name, spec] of Object.entries<OptionSpec>(specs)) {
    const fromEnv = env[spec.env]
    const value = given.get(name) ?? (fromEnv === '' ? undefined : fromEnv) ?? spec.fallback
    if (value === undefined) continue
    const wrong = spec.check?.(value)
    if (wrong) return no(`${given.has(name) ? `--${name}` : spec.env} ${wrong}: ${JSON.stringify(value)}`)
    values.set(name, value)
  }
  return assemble((name) => values.get(name))
}

function assemble(get: (name: Name) => string | undefined): ParsedOptions {
  const bind = get('bind') ?? '127.0.0.1'
  const clientPort = Number(get('port'))
  const fedPort = get('federation-port')
  const cert = get('tls-cert')
  const key = get('tls-key')
  if ((cert === undefined) !== (key === undefined)) return no('--tls-cert and --tls-key go together')
  // The conformance launcher names a federation port also where TLS is added in front; then there is nothing to open.
  const federation = fedPort && cert && key ? { port: Number(fedPort), cert, key } : undefined
  const host = bind.includes(':') ? `[${bind}]` : bind
  return {
    ok: true,
    options: {
      serverName: get('server-name') ?? 'localhost',
      bind,
      port: clientPort,
      federation,
      ca: get('ca'),
      data: get('data') ?? 'data',
      publicUrl: get('public-url') ?? `http://${host}:${clientPort}`,
      registration: get('registration') ?? 'open',
      registrationSharedSecret: get('registration-shared-secret'),
      rateLimits: get('rate-limits') ?? 'on',
      defaultRoomVersion: get('default-room-version') ?? '12',
      allowPrivateAddresses: get('allow-private-addresses') ?? 'off',
      logLevel: get('log-level') ?? 'info',
    },
  }
}

function no(message: string): ParsedOptions {
  return { ok: false, message }
}

function helpText(): string {
  const rows = Object.entries<OptionSpec>(specs).map(([name, spec]) => {
    const fallback = spec.fallback === undefined ? '' : ` [${spec.fallback}]`
    return `  ${`--${name} ${spec.value}`.padEnd(38)} ${spec.help}${fallback}\n${''.padEnd(41)}(or ${spec.env})`
  })
  return `Runs a Matrix homeserver on this machine.\n\n  npm start\n  npm run serve -- --server-name example.org --port 8008\n\n${rows.join('\n')}\n`
}
