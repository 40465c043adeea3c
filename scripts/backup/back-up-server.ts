/**
 * The course of a backup over HTTP: everybody's streams, the rooms, the sender, D1, then the files.
 *
 * In this order, so that whatever a row speaks of is in the backup too; what came into being meanwhile is fetched after D1.
 * Each part is a file of its own in the store and appears only when it is whole and proven, so a run that was cut off goes on.
 */
import { createHash } from 'node:crypto'
import { PassThrough, Readable } from 'node:stream'

import { isObject, type JsonObject, own } from '../../worker/protocol/json/json.ts'
import { textIn } from '../deploy/account.ts'
import { ChangedMeanwhile, dumpLines } from './dump-reader.ts'
import { BackupError } from './failure.ts'
import type { Progress } from './progress.ts'
import type { ServerApi } from './server-api.ts'
import { putJson, readJson, type Store } from './store.ts'

export type Kind = 'ROOM' | 'USER_SYNC' | 'FEDERATION_SENDER'

export const headFile = 'backup.json'
export const endFile = 'finished.json'

export interface Summary {
  readonly users: number
  readonly rooms: number
  readonly rows: number
  readonly files: number
  readonly bytes: number
  /** Parts that an earlier run had brought already. */
  readonly kept: number
}

/** Milliseconds after which parts of an earlier run are too old to go with new ones. */
const stale = 24 * 60 * 60 * 1000
/** Objects and files that are fetched at a time. */
const atOnce = 4
/** How often something is read again, and after how long (ms). */
const usualPatience = { tries: 5, wait: 2000 }

export async function backUpServer(
  api: ServerApi,
  store: Store,
  progress: Progress,
  patience = usualPatience,
): Promise<Summary> {
  const facts = await api.json('backup')
  const parts = await begin(facts, store)
  const run = new Run(api, store, progress, { parts, there: await store.list(parts), patience })
  const users = await run.names('USER_SYNC')
  await run.objects('USER_SYNC', users)
  await run.objects('ROOM', await run.names('ROOM'))
  await run.objects('ROOM', run.mentioned())
  await run.objects('FEDERATION_SENDER', ['0'])
  const rows = await run.part('database.gz', 'the database', 'backup/database', {})
  // Who came meanwhile is in the database now.
  await run.objects('USER_SYNC', await run.names('USER_SYNC'))
  await run.objects('ROOM', await run.names('ROOM'))
  await run.objects('ROOM', run.mentioned())
  const { files, bytes } = await run.media()
  progress.done()
  const objects = [...run.stored.values()]
  await putJson(store, endFile, { finished_at: new Date().toISOString(), parts, rows, objects, files, bytes })
  const count = (kind: Kind) => objects.filter((object) => object.kind === kind).length
  return { users: count('USER_SYNC'), rooms: count('ROOM'), rows, files, bytes, kept: run.kept }
}

/** Where the parts of this run lie: those of an earlier one that was cut off, or a new place. */
async function begin(facts: JsonObject, store: Store): Promise<string> {
  const serverName = own(facts, 'server_name')
  const head = await readJson(store, headFile)
  if (isObject(head)) {
    if (own(head, 'server_name') !== serverName) {
      throw new BackupError(`${store.where} holds a backup of ${textIn(head, 'server_name')}`, 'give another --out')
    }
    if ((await readJson(store, endFile)) !== undefined) {
      throw new BackupError(`${store.where} holds a whole backup already`, 'give another --out')
    }
    const begun = Date.parse(textIn(head, 'began_at'))
    const parts = own(head, 'parts')
    // Files never change, so they stay good; what was said meanwhile would not fit to old parts.
    if (Date.now() - begun < stale && typeof parts === 'string') return parts
  }
  const began = new Date()
  const parts = `parts-${began
    .toISOString()
    .replaceAll(/[^\dT]/g, '')
    .slice(0, 15)}`
  await putJson(store, headFile, { format: 1, ...facts, began_at: began.toISOString(), parts })
  return parts
}

interface Stored {
  readonly kind: Kind
  readonly name: string
  readonly part: string
}

interface Begun {
  /** Where this run puts its parts. */
  readonly parts: string
  /** Sizes of those that an earlier run has brought. */
  readonly there: ReadonlyMap<string, number>
  readonly patience: typeof usualPatience
}

class Run {
  readonly stored = new Map<string, Stored>()
  kept = 0
  readonly #rooms = new Set<string>()
  readonly #seen = new Set<string>()
  readonly #api: ServerApi
  readonly #store: Store
  readonly #progress: Progress
  readonly #parts: string
  readonly #there: ReadonlyMap<string, number>
  readonly #patience: typeof usualPatience

  constructor(api: ServerApi, store: Store, progress: Progress, { parts, there, patience }: Begun) {
    this.#api = api
    this.#store = store
    this.#progress = progress
    this.#parts = parts
    this.#there = there
    this.#patience = patience
  }

  async names(kind: Kind): Promise<string[]> {
    const names: string[] = []
    for (;;) {
      const page = await this.#api.json('backup/names', { kind, after: names.at(-1) ?? '' })
      const some = own(page, 'names')
      if (Array.isArray(some)) names.push(...some.filter((name) => typeof name === 'string'))
      if (own(page, 'more') !== true) return names
    }
  }

  /** Rooms that users' streams speak of: invites, rooms that were left. */
  mentioned(): string[] {
    return [...this.#rooms].toSorted()
  }

  async objects(kind: Kind, names: readonly string[]): Promise<void> {
    const missing = names.filter((name) => !this.#seen.has(`${kind} ${name}`))
    let done = 0
    await inParallel(missing, async (name) => {
      this.#seen.add(`${kind} ${name}`)
      const part = `${kind.toLowerCase()}/${createHash('sha256').update(name).digest('hex').slice(0, 40)}.gz`
      const rows = await this.part(part, name, 'backup/object', { kind, name })
      if (rows > 0) this.stored.set(`${kind} ${name}`, { kind, name, part })
      this.#progress.at(
        { ROOM: 'rooms', USER_SYNC: 'users', FEDERATION_SENDER: 'sender' }[kind],
        ++done,
        missing.length,
      )
    })
  }

  /** Fetches a part unless it is there; its rows. 0: the server has nothing of that name. */
  async part(part: string, what: string, path: string, query: Readonly<Record<string, string>>): Promise<number> {
    const name = `${this.#parts}/${part}`
    if (this.#there.has(name)) {
      const stream = await this.#store.read(name)
      if (!stream) throw new BackupError(`${name} vanished from ${this.#store.where}`)
      this.kept += 1
      return this.#readThrough(stream, what)
    }
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#api.get(path, query)
      if (answer.status === 204 || !answer.body) return 0
      try {
        let rows = 0
        const check = new PassThrough()
        const checked = this.#readThrough(check, what).then((count) => (rows = count))
        // It is looked at where it is awaited.
        checked.catch(() => undefined)
        await this.#store.put(name, passedOn(Readable.from(answer.body), check, checked))
        return rows
      } catch (error) {
        const isBusy = error instanceof ChangedMeanwhile
        if (
          attempt === this.#patience.tries ||
          (!isBusy && error instanceof BackupError && !/not whole|damaged/.test(error.message))
        ) {
          throw isBusy
            ? new BackupError(
                `${what} is large, and something is written there all the time`,
                'the same command again, at a quieter time',
              )
            : error
        }
        await new Promise((resolve) => setTimeout(resolve, this.#patience.wait))
      }
    }
  }

  async #readThrough(stream: Readable, what: string): Promise<number> {
    let rows = 0
    for await (const line of dumpLines(stream, what)) {
      if (!('rows' in line)) continue
      rows += line.values.length
      const column = line.rows === 'rooms' ? line.columns.indexOf('room_id') : -1
      if (column === -1) continue
      for (const row of line.values) if (typeof row[column] === 'string') this.#rooms.add(row[column])
    }
    return rows
  }

  /** Bytes that were uploaded never change under their name: what an earlier run brought is good. */
  async media(): Promise<{ files: number; bytes: number }> {
    const there = await this.#store.list('media')
    const list: JsonObject[] = []
    for (let cursor: string | undefined; ;) {
      const page = await this.#api.json('backup/media-list', cursor === undefined ? {} : { cursor })
      const some = own(page, 'media')
      list.push(...(Array.isArray(some) ? some.filter((file): file is JsonObject => isObject(file)) : []))
      const next = own(page, 'cursor')
      if (typeof next !== 'string') break
      cursor = next
    }
    let [bytes, done] = [0, 0]
    const kept: JsonObject[] = []
    await inParallel(list, async (file) => {
      const [key, size] = [textIn(file, 'key'), Number(own(file, 'size'))]
      const name = `media/${key}`
      if (there.get(name) === size) this.kept += 1
      else if (!(await this.#fetchFile(name, key, size))) return
      kept.push(file)
      bytes += size
      this.#progress.at('files', ++done, list.length)
    })
    await this.#store.put(`${this.#parts}/media.json`, [Buffer.from(JSON.stringify(kept))])
    return { files: kept.length, bytes }
  }

  /** False for a file that was deleted meanwhile. */
  async #fetchFile(name: string, key: string, size: number): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await this.#api.find('backup/media', { key })
        if (!answer) return false
        await this.#store.put(name, exactly(answer.body ?? [], size, key))
        return true
      } catch (error) {
        if (attempt === this.#patience.tries) throw error
      }
    }
  }
}

/** The chunks, which `check` sees too; ends in its failure, so that what is not proven is not kept. */
async function* passedOn(
  chunks: Readable,
  check: PassThrough,
  checked: Promise<unknown>,
): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const chunk of chunks) {
      if (!check.destroyed && !check.write(chunk)) {
        await Promise.race([new Promise((resolve) => check.once('drain', resolve)), checked])
      }
      yield chunk
    }
    check.end()
    await checked
  } finally {
    check.destroy()
  }
}

async function* exactly(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, size: number, key: string) {
  let got = 0
  for await (const chunk of chunks) {
    got += chunk.byteLength
    yield chunk
  }
  if (got !== size) throw new BackupError(`the file ${key} came with ${got} bytes of ${size}`)
}

/** A few at a time. */
export async function inParallel<T>(list: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...list]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, list.length) }, worker))
}
