/** Three servers of ours, each behind a gate, that can be killed and started again on what they had stored. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { fieldOf } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'
import { type Asked, asPerson, register } from './http.ts'
import { makeCertificates } from '../scripts/certificates.ts'
import { type Gate, openGate, type Way } from './gate.ts'

export interface Person {
  readonly userId: string
  readonly site: Site
  /** Asks their server. Never throws: whoever gets no answer is told status 0. */
  ask(method: string, path: string, body?: object): Promise<Asked>
}

export interface Site {
  /** Its name in Matrix: where its gate listens. */
  readonly name: string
  readonly label: string
  readonly gate: Gate
  readonly people: Person[]
  /** The databases of its rooms. */
  roomFiles(): string[]
  isUp(): boolean
  kill(): Promise<void>
  start(): Promise<void>
  output(): string
}

export interface Sites {
  readonly all: readonly Site[]
  /** Sets the way from one to another; both ways unless told. */
  set(from: Site, to: Site, way: Way, oneWay?: boolean): void
  heal(): void
  /** Ends them. What they stored stays where it was asked to be kept. */
  end(keep: boolean): Promise<string>
}

export async function startSites(labels: readonly string[], peopleEach: number): Promise<Sites> {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-partition-'))
  const { authority, server } = makeCertificates()
  const ca = join(folder, 'ca.pem')
  writeFileSync(ca, authority.cert)
  const all = await Promise.all(labels.map((label) => startSite(join(folder, label), label, ca, server, peopleEach)))
  const set = (from: Site, to: Site, way: Way, oneWay = false) => {
    to.gate.set(from.name, way)
    if (!oneWay) from.gate.set(to.name, way)
  }
  return {
    all,
    set,
    heal() {
      for (const from of all) for (const to of all) if (from !== to) set(from, to, 'open')
    },
    async end(keep) {
      for (const site of all) {
        if (site.isUp()) await site.kill()
        site.gate.close()
        if (keep) writeFileSync(join(folder, `${site.label}.log`), site.output())
      }
      if (!keep) rmSync(folder, { recursive: true, force: true })
      return folder
    },
  }
}

async function startSite(
  folder: string,
  label: string,
  ca: string,
  certificate: { readonly cert: string; readonly key: string },
  people: number,
): Promise<Site> {
  mkdirSync(folder)
  const [port, named] = [await freePort(), await freePort()]
  const name = `127.0.0.1:${named}`
  const options = [
    `--server-name=${name}`,
    `--port=${port}`,
    `--ca=${ca}`,
    `--data=${join(folder, 'data')}`,
    '--rate-limits=off',
    '--allow-private-addresses=on',
    '--log-level=warn',
  ]
  const gate = await openGate(named, port, certificate)
  let printed = ''
  let running: BackgroundServer | undefined
  const base = `http://127.0.0.1:${port}`
  const site: Site = {
    name,
    label,
    gate,
    people: [],
    roomFiles: () => databasesBelow(join(folder, 'data'), 'RoomDO'),
    isUp: () => running !== undefined,
    async kill() {
      const ending = running
      running = undefined
      await ending?.end('SIGKILL')
      printed += ending?.output() ?? ''
    },
    async start() {
      running = await startInBackground('scripts/serve.ts', options)
    },
    output: () => printed + (running?.output() ?? ''),
  }
  await site.start()
  for (let number = 0; number < people; number++) {
    const { userId, token } = await register(base, `${label}${number}`)
    site.people.push({ userId, site, ask: asPerson(base, token) })
  }
  return site
}

/** Somebody of the server who is in the room. */
export async function somebodyIn({ people }: Site, roomId: string): Promise<Person | undefined> {
  for (const person of people) {
    const { body } = await person.ask('GET', '/joined_rooms')
    const joined = fieldOf(body, 'joined_rooms')
    if (Array.isArray(joined) && joined.includes(roomId)) return person
  }
  return undefined
}

/** SQLite files of the objects of one class. */
function databasesBelow(folder: string, className: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.includes(className) && path.endsWith('.sqlite') && !path.endsWith('metadata.sqlite'))
    .map((path) => join(folder, path))
}
