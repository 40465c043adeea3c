/** Where a benchmark takes place: a homeserver and the floor, both on this machine, and how much is done. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { bundleWorker } from '../build/bundle.ts'
import { foreignAuthority } from './foreign/foreign-server.ts'
import { type BackgroundServer, freePort, startInBackground } from '../serve/start-in-background.ts'

/** The server that is measured. */
export const serverName = 'bench.local'

export interface Target {
  readonly url: string
  readonly pid: number
  /** Where it tells what it has used; the floor tells nothing. */
  readonly metrics?: string
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
  /** Messages in all rooms together that are searched; a tenth and the whole, as with those below. */
  readonly searched: readonly number[]
  /** Events of a room that is paged through. */
  readonly history: readonly number[]
  /** Members of a room whose members are listed. */
  readonly members: readonly number[]
  /** Rooms of a space. */
  readonly space: readonly number[]
  /** People whom the user directory knows. */
  readonly people: readonly number[]
  /** Devices in a room whose keys are asked for. */
  readonly devices: number
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
    searched: [100, 1000],
    history: [200, 2000],
    members: [50, 500],
    space: [6, 60],
    people: [50, 500],
    devices: 30,
    conflict: 1000,
    resolutions: 3,
    transactions: 10,
    joins: [200],
    destinations: 8,
    outbound: 400,
  },
  medium: {
    senders: 16,
    messages: 500,
    deliveries: 50,
    waiting: [1, 50],
    rooms: 50,
    syncs: 10,
    accounts: [40, 400],
    batches: 100,
    searched: [1_000, 10_000],
    history: [1_000, 10_000],
    members: [100, 1_000],
    space: [10, 100],
    people: [100, 1_000],
    devices: 100,
    conflict: 5_000,
    resolutions: 3,
    transactions: 50,
    joins: [1_000],
    destinations: 40,
    outbound: 2_000,
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
    searched: [10_000, 100_000],
    history: [10_000, 100_000],
    members: [1_000, 10_000],
    space: [50, 500],
    people: [1_000, 10_000],
    devices: 1_000,
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
    const metricsPort = await freePort()
    const options =
      '--prebuilt --registration open --rate-limits off --log-level warn --allow-private-addresses on --max-upload-mb 120'
    const server = await start('scripts/serve.ts', (port) => [
      ...options.split(' '),
      `--server-name=${serverName}`,
      `--ca=${foreignAuthority}`,
      `--port=${port}`,
      `--metrics-port=${metricsPort}`,
      `--data=${join(folder, 'server')}`,
    ])
    const floor = await start('scripts/bench/floor/serve.ts', (port) => [String(port), join(folder, 'floor')])
    return await work({
      server: { ...server, metrics: `http://127.0.0.1:${metricsPort}/metrics` },
      floor,
      sizes: chosen,
    })
  } finally {
    for (const each of running) await each.end('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
}
