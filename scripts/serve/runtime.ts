/**
 * The local runtime: the Worker's bundle on workerd, by Miniflare's API, with its state on disk.
 *
 * Requests go straight to the Worker's own socket: Miniflare's entry Worker in front would cost more than the smallest
 * request does.
 */
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'

import type { ServeOptions } from './options.ts'

/** Starts the Worker and resolves when it answers. Dispose of it to stop workerd. */
export async function startRuntime(options: ServeOptions, bundle: string): Promise<Miniflare> {
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      name: 'hearth',
      modules: [{ type: 'ESModule', path: bundle }],
      compatibilityDate: '2026-10-20',
      compatibilityFlags: ['nodejs_compat'],
      bindings: bindingsOf(options),
      d1Databases: { DB: 'hearth' },
      r2Buckets: { MEDIA: 'hearth-media' },
      durableObjects: {
        ROOM: { className: 'RoomDO', useSQLite: true },
        USER_SYNC: { className: 'UserSyncDO', useSQLite: true },
        FEDERATION_SENDER: { className: 'FederationSenderDO', useSQLite: true },
      },
      resourcePersistencePath: options.data,
      unsafeDirectSockets: [{ host: options.bind, port: options.port }],
      // The entry socket that Miniflare insists on; nothing is told of it.
      host: '127.0.0.1',
      port: 0,
      cf: false,
      log: new Log(options.logLevel === 'debug' ? LogLevel.DEBUG : LogLevel.ERROR),
      telemetry: { enabled: false },
    }),
  )
  await runtime.ready
  return runtime
}

function bindingsOf(options: ServeOptions): Record<string, string> {
  return {
    SERVER_NAME: options.serverName,
    PUBLIC_URL: options.publicUrl,
    REGISTRATION: options.registration,
    REGISTRATION_SHARED_SECRET: options.registrationSharedSecret ?? '',
    RATE_LIMITS: options.rateLimits,
    LOG_LEVEL: options.logLevel,
    DEFAULT_ROOM_VERSION: options.defaultRoomVersion,
    ALLOW_PRIVATE_ADDRESSES: options.allowPrivateAddresses,
    // A local server makes no call-outs of its own accord.
    DNS_OVER_HTTPS: 'off',
  }
}
