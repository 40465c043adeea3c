/**
 * The course of a restore over HTTP, into a server without accounts: D1, the objects, the files; then the server takes itself
 * for the restored one. Any run may be cut off: the next one begins anew, but for the files that are there.
 */
import { isObject, type JsonObject, own } from '../../worker/protocol/json/json.ts'
import type { DumpLine } from '../../worker/backup/dump-line.ts'
import { textIn } from '../deploy/account.ts'
import { endFile, headFile, inParallel } from './back-up-server.ts'
import { dumpLines } from './dump-reader.ts'
import { BackupError } from './failure.ts'
import type { Progress } from './progress.ts'
import type { ServerApi } from './server-api.ts'
import { readJson, type Store } from './store.ts'

/** What is in a backup, and that it is whole. */
export interface Backup {
  readonly serverName: string
  readonly beganAt: string
  readonly parts: string
  readonly signingKey: string | undefined
  readonly objects: readonly JsonObject[]
}

/** Characters of lines that are sent at once, about. */
const portionSize = 1_500_000

/** Undefined where no backup of this kind lies there. `known`: names of this version's migrations. */
export async function openBackup(store: Store, known: readonly string[]): Promise<Backup | undefined> {
  const head = await readJson(store, headFile)
  if (!isObject(head)) return undefined
  const end = await readJson(store, endFile)
  if (!isObject(end)) {
    throw new BackupError(`the backup in ${store.where} is not whole`, 'npm run backup with the same --out finishes it')
  }
  if (own(head, 'format') !== 1) throw new BackupError(`${store.where} has a form that this version does not know`)
  const migrations = own(head, 'migrations')
  const unknown = (Array.isArray(migrations) ? migrations : []).find(
    (name) => typeof name === 'string' && !known.includes(name),
  )
  if (unknown !== undefined) {
    throw new BackupError(
      `the backup is of a newer version than this one (${String(unknown)})`,
      'git pull, npm install',
    )
  }
  const [objects, key] = [own(end, 'objects'), own(head, 'signing_key')]
  return {
    serverName: textIn(head, 'server_name'),
    beganAt: textIn(head, 'began_at'),
    parts: textIn(end, 'parts'),
    signingKey: typeof key === 'string' ? key : undefined,
    objects: Array.isArray(objects) ? objects.filter((object): object is JsonObject => isObject(object)) : [],
  }
}

export interface Restored {
  readonly objects: number
  readonly files: number
  /** Rows whose others were deleted while the backup was made. */
  readonly lost: number
}

export async function restoreServer(
  api: ServerApi,
  store: Store,
  backup: Backup,
  progress: Progress,
): Promise<Restored> {
  // One name for the restores of one backup into one server: it is written down there as done.
  const restore = `${backup.parts} ${backup.serverName}`
  const begin = { restore, server_name: backup.serverName }
  await api.send('POST', 'restore/begin', {}, JSON.stringify(begin))
  const { rows, lost } = await restoreDatabase(api, store, backup)
  let done = 0
  await inParallel(backup.objects, async (object) => {
    const [kind, name, part] = ['kind', 'name', 'part'].map((field) => textIn(object, field))
    await restoreObject(api, store, { kind: kind ?? '', name: name ?? '' }, `${backup.parts}/${part}`)
    progress.at('objects', ++done, backup.objects.length)
  })
  const files = await restoreFiles(api, store, backup, progress)
  const key = backup.signingKey === undefined ? {} : { signing_key: backup.signingKey }
  await api.send('POST', 'restore/finish', {}, JSON.stringify({ restore, rows: rows - lost, ...key }))
  progress.done()
  return { objects: backup.objects.length, files, lost }
}

async function restoreDatabase(api: ServerApi, store: Store, backup: Backup): Promise<{ rows: number; lost: number }> {
  let [rows, lost] = [0, 0]
  const held: DumpLine[] = []
  const send = async (lines: readonly DumpLine[]) => {
    const answer = await api.send('POST', 'restore/database', {}, textOf(lines))
    lost += Number(own(answer, 'lost'))
  }
  for await (const portion of portionsOf(await partOf(store, `${backup.parts}/database.gz`), 'the database')) {
    for (const line of portion.lines) if ('rows' in line) rows += line.values.length
    // Rows were read children first; they go in the other way round, parents first.
    held.push(...portion.lines.filter((line) => 'rows' in line))
    const others = portion.lines.filter((line) => !('rows' in line) && !('end' in line))
    await send(others.filter((line) => 'table' in line))
    if (portion.last) {
      await sendBackwards(held, send)
      await send(others.filter((line) => !('table' in line)))
    }
  }
  return { rows, lost }
}

async function sendBackwards(rows: readonly DumpLine[], send: (lines: readonly DumpLine[]) => Promise<void>) {
  for (let end = rows.length; end > 0;) {
    let start = end
    for (let size = 0; start > 0 && size < portionSize; start--) size += JSON.stringify(rows[start - 1]).length
    await send(rows.slice(start, end).toReversed())
    end = start
  }
}

async function restoreObject(api: ServerApi, store: Store, object: { kind: string; name: string }, part: string) {
  for await (const { lines, first, last } of portionsOf(await partOf(store, part), object.name)) {
    const query = { ...object, ...(first ? { first: '' } : {}), ...(last ? { last: '' } : {}) }
    await api.send('POST', 'restore/object', query, textOf(lines))
  }
}

async function restoreFiles(api: ServerApi, store: Store, backup: Backup, progress: Progress): Promise<number> {
  const list = await readJson(store, `${backup.parts}/media.json`)
  const files = Array.isArray(list) ? list.filter((file): file is JsonObject => isObject(file)) : []
  const there = await filesAt(api)
  let done = 0
  await inParallel(files, async (file) => {
    const [key, size, type] = [textIn(file, 'key'), Number(own(file, 'size')), own(file, 'content_type')]
    if (there.get(key) !== size) {
      const chunks: Buffer[] = []
      for await (const chunk of await partOf(store, `media/${key}`)) chunks.push(Buffer.from(chunk))
      const bytes = Buffer.concat(chunks)
      if (bytes.length !== size) throw new BackupError(`the file ${key} in ${store.where} is damaged`)
      await api.send(
        'PUT',
        'restore/media',
        { key, ...(typeof type === 'string' ? { content_type: type } : {}) },
        bytes,
      )
    }
    progress.at('files', ++done, files.length)
  })
  return files.length
}

/** Sizes of what an earlier run has brought. */
async function filesAt(api: ServerApi): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  for (let cursor: string | undefined; ;) {
    const page = await api.json('restore/media-list', cursor === undefined ? {} : { cursor })
    const some = own(page, 'media')
    for (const file of Array.isArray(some) ? some : [])
      found.set(textIn(file, 'key'), Number(own(Object(file), 'size')))
    const next = own(page, 'cursor')
    if (typeof next !== 'string') return found
    cursor = next
  }
}

interface Lines {
  readonly lines: readonly DumpLine[]
  readonly first: boolean
  readonly last: boolean
}

async function* portionsOf(compressed: Parameters<typeof dumpLines>[0], what: string): AsyncGenerator<Lines, void> {
  let lines: DumpLine[] = []
  let [size, first] = [0, true]
  for await (const line of dumpLines(compressed, what)) {
    if (size > portionSize) {
      yield { lines, first, last: false }
      lines = []
      size = 0
      first = false
    }
    lines.push(line)
    size += JSON.stringify(line).length
  }
  yield { lines, first, last: true }
}

async function partOf(store: Store, name: string) {
  const stream = await store.read(name)
  if (stream) return stream
  throw new BackupError(`${name} is missing in ${store.where}`)
}

const textOf = (lines: readonly DumpLine[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join('')
