/** Serves the floor at 127.0.0.1: `node scripts/bench/floor/serve.ts PORT FOLDER`. */
import { join } from 'node:path'

import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'

import { guardAgainstOrphans, runMark } from '../../serve/orphan-guard.ts'

const [port = '', folder = ''] = process.argv.slice(2)
const run = `floor-${process.pid}`
guardAgainstOrphans(run)
const runtime = new Miniflare(
  convertV4MiniflareOptions({
    name: 'floor',
    modules: [{ type: 'ESModule', path: join(import.meta.dirname, 'worker.js') }],
    compatibilityDate: '2026-10-20',
    durableObjects: { FLOOR: { className: 'FloorDO', useSQLite: true } },
    resourcePersistencePath: folder,
    unsafeDirectSockets: [{ host: '127.0.0.1', port: Number(port) }],
    unsafeRuntimeEnv: { [runMark]: run },
    host: '127.0.0.1',
    port: 0,
    cf: false,
    log: new Log(LogLevel.ERROR),
  }),
)
await runtime.ready
console.log('The floor is ready')
