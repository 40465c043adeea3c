/**
 * The local runtime: the Worker's bundle on workerd, by Miniflare's API, with its state on disk.
 *
 * Requests go straight to the Worker's own socket: Miniflare's entry Worker in front would cost more than the smallest
 * request does. Import this file only after NODE_EXTRA_CA_CERTS has its value: Miniflare reads it when it is loaded.
 */
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'

import type { WorkerModule } from '../build/bundle.ts'
import { printLog } from './log.ts'
import { mailbox } from './mailbox.ts'
import type { ServeOptions } from './options.ts'
import { runMark } from './orphan-guard.ts'

/** As in wrangler.toml; test/scripts/options.test.ts compares. */
export const compatibility = { date: '2026-10-20', flags: ['nodejs_compat'] }
export const objects = {
  ROOM: 'RoomDO',
  USER_SYNC: 'UserSyncDO',
  FEDERATION_SENDER: 'FederationSenderDO',
  PASSWORD: 'PasswordDO',
}

/** What stops a server in the foreground. */
export const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export interface RuntimeOptions extends ServeOptions {
  readonly registrationSharedSecret: string
  /** Marks the runtime's process; see orphan-guard.ts. */
  readonly run: string
  /** Names the restore that the data came out of. */
  readonly restored: string | undefined
  /** Lets this process read the counters; undefined: nothing is counted. */
  readonly meterToken: string | undefined
  /** Whether requests are logged: those by which this program itself starts the server are nobody's. */
  readonly logsRequests?: () => boolean
  /** Reaches nobody: for work on the data alone. */
  readonly isOffline?: true
}

/** Starts the Worker and resolves when its socket listens. Dispose of the answer to stop workerd. */
export async function startRuntime(options: RuntimeOptions, modules: readonly WorkerModule[]): Promise<Miniflare> {
  const ours = new Map(stopSignals.map((signal) => [signal, process.listeners(signal)]))
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      name: 'hearth',
      modules: [...modules],
      compatibilityDate: compatibility.date,
      compatibilityFlags: compatibility.flags,
      bindings: bindingsOf(options),
      d1Databases: { DB: 'hearth' },
      r2Buckets: { MEDIA: 'hearth-media' },
      durableObjects: Object.fromEntries(
        Object.entries(objects).map(([binding, className]) => [binding, { className, useSQLite: true }]),
      ),
      serviceBindings: { MAILBOX: mailbox(options.data), ...publicWeb(options) },
      resourcePersistencePath: options.data,
      ...(options.isOffline ? { outboundService: () => new Response('offline', { status: 502 }) } : {}),
      unsafeDirectSockets: [{ host: options.bind, port: options.port }],
      unsafeRuntimeEnv: { [runMark]: options.run },
      handleStructuredLogs(entry) {
        if (isRequest(entry.message) && options.logsRequests?.() === false) return
        printLog(entry, options.logLevel)
      },
      // The entry socket that Miniflare insists on; nothing is told of it.
      host: '127.0.0.1',
      port: 0,
      cf: false,
      log: new Log(options.logLevel === 'debug' ? LogLevel.DEBUG : LogLevel.ERROR),
      telemetry: { enabled: false },
    }),
  )
  // Miniflare exits on signals by itself, with another exit code and without waiting; ending is the caller's affair.
  for (const signal of stopSignals) {
    for (const listener of process.listeners(signal)) {
      if (!ours.get(signal)?.includes(listener)) process.removeListener(signal, listener)
    }
  }
  await runtime.ready
  return runtime
}

const isRequest = (message: string) => message.startsWith('{"level":"info","event":"request"')

/** Names can lead anywhere: only the runtime sees which address it connects to. */
function publicWeb({ allowPrivateAddresses }: RuntimeOptions) {
  if (allowPrivateAddresses === 'on') return {}
  return { WEB: { network: { allow: ['public'], tlsOptions: { trustBrowserCas: true } } } }
}

function bindingsOf(options: RuntimeOptions): Record<string, string> {
  return {
    MAIL_FROM: `hearth@${options.serverName}`,
    ...options.variables,
    SERVER_NAME: options.serverName,
    PUBLIC_URL: options.publicUrl,
    REGISTRATION: options.registration,
    REGISTRATION_SHARED_SECRET: options.registrationSharedSecret,
    RATE_LIMITS: options.rateLimits,
    LOG_LEVEL: options.logLevel,
    ...(options.restored === undefined ? {} : { RESTORED: options.restored }),
    ...(options.meterToken === undefined ? {} : { METER: 'on', METER_TOKEN: options.meterToken }),
    MAX_UPLOAD_MB: options.maxUploadMb,
    DEFAULT_ROOM_VERSION: options.defaultRoomVersion,
    PUBLIC_ROOMS_OVER_FEDERATION: options.publicRoomsOverFederation,
    ALLOW_PRIVATE_ADDRESSES: options.allowPrivateAddresses,
    // Without a proxy in front, whatever header names an address was written by the client.
    CLIENT_ADDRESS_HEADER: options.clientAddressHeader,
    DNS_OVER_HTTPS: options.dnsOverHttps,
  }
}
