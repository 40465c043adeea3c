/** Where a benchmark takes place: a homeserver and the floor, both on this machine, and how much is done. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { bundleWorker } from '../build/bundle.ts'
import { foreignAuthority } from './foreign/foreign-server.ts'
import { type BackgroundServer, freePort, startInBackground } from '../serve/start-in-background.ts'

export interface Target {
  readonly url: string
  readonly pid: number
}

export interface Sizes {
  readonly senders: number
  readonly messages: number
  readonly deliveries: number
  /** Users who wait for one message. */
  readonly waiting: readonly number[]
  readonly rooms: number
  readonly syncs: number
  /** Rooms of the accounts whose first screens are timed. */
  readonly accounts: readonly number[]
  readonly batches: number
  /** Messages that are searched. */
  readonly searched: number
  /** State events on the two sides of a conflict. */
  readonly conflict: number
  readonly resolutions: number
  /** Transactions of 50 events from another server. */
  readonly transactions: number
  /** State events of the rooms joined over another server. */
  readonly joins: readonly number[]
  /** Other servers in a room, of which a quarter is dead, and about how many events they are told altogether. */
  readonly destinations: number
  readonly outbound: number
}

export const sizes = {
  small: {
    senders: 4,
    messages: 100,
    deliveries: 20,
    waiting: [1, 10],
    rooms: 20,
    syncs: 5,
    accounts: [40],
    batches: 20,
    searched: 1000,
    conflict: 1000,
    resolutions: 3,
    transactions: 10,
    joins: [200],
    destinations: 8,
    outbound: 400,
  },
  default: {
    senders: 32,
    messages: 2000,
    deliveries: 200,
    waiting: [1, 50, 500],
    rooms: 200,
    syncs: 20,
    accounts: [200, 4000],
    batches: 200,
    searched: 100_000,
    conflict: 10_000,
    resolutions: 5,
    transactions: 200,
    joins: [1_000, 10_000, 80_000],
    destinations: 200,
    outbound: 10_000,
  },
} satisfies Record<string, Sizes>

export interface Bench {
  readonly server: Target
  readonly floor: Target
  readonly sizes: Sizes
}

/** Starts both, does the work, stops both and leaves nothing behind. */
export async function withBench<T>(chosen: Sizes, work: (bench: Bench) => Promise<T>): Promise<T> {
  process.chdir(join(import.meta.dirname, '../..'))
  await bundleWorker()
  const folder = mkdtempSync(join(tmpdir(), 'hearth-bench-'))
  const running: BackgroundServer[] = []
  const start = async (script: string, args: (port: number) => string[]): Promise<Target> => {
    const port = await freePort()
    const server = await startInBackground(script, args(port))
    running.push(server)
    return { url: `http://127.0.0.1:${port}`, pid: server.pid }
  }
  try {
    const options =
      '--prebuilt --server-name bench.local --registration open --rate-limits off --log-level warn --allow-private-addresses on --max-upload-mb 120'
    const server = await start('scripts/serve.ts', (port) => [
      ...options.split(' '),
      `--ca=${foreignAuthority}`,
      `--port=${port}`,
      `--data=${join(folder, 'server')}`,
    ])
    const floor = await start('scripts/bench/floor/serve.ts', (port) => [String(port), join(folder, 'floor')])
    return await work({ server, floor, sizes: chosen })
  } finally {
    for (const each of running) await each.end('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
}
