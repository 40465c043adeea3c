/** The course of an export: what worker/export/export-user.ts gives, as files that a person can read. */
import { createWriteStream, existsSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

import { isObject, type JsonObject, own } from '../../worker/protocol/json/json.ts'
import type { Progress } from '../backup/progress.ts'
import type { ServerApi } from '../backup/server-api.ts'
import { textIn } from '../deploy/account.ts'

export interface Exported {
  readonly rooms: number
  readonly events: number
  readonly files: number
  readonly bytes: number
}

/** `path`: below which the server answers, by the credentials of `api`. */
export async function exportUser(
  api: ServerApi,
  path: string,
  user: string,
  folder: string,
  progress: Progress,
): Promise<Exported> {
  const at = `${path}/${encodeURIComponent(user)}`
  const account = await api.json(`${at}/account`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { account_data: accountData, rooms: memberships, ...facts } = account
  const rooms = objectsIn(memberships)
  let events = 0
  const list: JsonObject[] = []
  for (const [index, membership] of rooms.entries()) {
    const roomId = textIn(membership, 'room_id')
    const named = await api.json(`${at}/room`, { room_id: roomId })
    const label = labelOf(roomId, textIn(named, 'name') || textIn(named, 'canonical_alias'))
    const count = await exportRoom(api, at, roomId, join(folder, 'rooms', label))
    events += count
    list.push({
      ...membership,
      ...named,
      ...(count > 0 ? { folder: `rooms/${label}`, events: count } : {}),
    })
    progress.at('rooms', index + 1, rooms.length)
  }
  writeJson(join(folder, 'rooms.json'), list)
  writeJson(join(folder, 'account-data.json'), accountData)
  const { files, bytes } = await exportFiles(api, at, folder, progress)
  progress.done()
  // Last of all: it says that the rest is there.
  writeJson(join(folder, 'account.json'), facts)
  return { rooms: rooms.length, events, files, bytes }
}

/** `messages.txt` to read, `events.jsonl` with everything. */
async function exportRoom(api: ServerApi, at: string, roomId: string, folder: string): Promise<number> {
  let count = 0
  const all: string[] = []
  const said: string[] = []
  for (let after = '0'; ;) {
    const page = await api.json(`${at}/events`, { room_id: roomId, after })
    for (const event of objectsIn(own(page, 'events'))) {
      count += 1
      all.push(`${JSON.stringify(event)}\n`)
      said.push(`${lineOf(event)}\n`)
    }
    const next = own(page, 'next')
    if (typeof next !== 'number') break
    after = String(next)
  }
  if (count === 0) return 0
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'events.jsonl'), all.join(''))
  writeFileSync(join(folder, 'messages.txt'), said.join(''))
  return count
}

function lineOf(event: JsonObject): string {
  const time = new Date(Number(own(event, 'origin_server_ts'))).toISOString()
  const [type, content] = [textIn(event, 'type'), own(event, 'content')]
  const body = textIn(content, 'body').replaceAll('\n', '\n    ')
  if (type === 'm.room.message' && body !== '') {
    const kind = textIn(content, 'msgtype')
    const uri = textIn(content, 'url')
    return `${time}  ${kind === 'm.text' ? '' : `[${kind}] `}${body}${uri && ` (${uri})`}`
  }
  if (type === 'm.room.encrypted') return `${time}  [encrypted]`
  return `${time}  [${type}]${isObject(content) && Object.keys(content).length === 0 ? '' : ` ${JSON.stringify(content)}`}`
}

async function exportFiles(
  api: ServerApi,
  at: string,
  folder: string,
  progress: Progress,
): Promise<{ files: number; bytes: number }> {
  const list: JsonObject[] = []
  let bytes = 0
  for (let from: string | undefined = '0'; from !== undefined;) {
    const page = await api.json(`${at}/media`, { from })
    for (const file of objectsIn(own(page, 'files'))) {
      const id = textIn(file, 'media_id')
      const name = `${id}${extensionOf(textIn(file, 'name'), textIn(file, 'content_type'))}`
      const path = join(folder, 'media', name)
      mkdirSync(join(folder, 'media'), { recursive: true })
      if (!(existsSync(path) && statSync(path).size === Number(own(file, 'size')))) {
        const answer = await api.get(`${at}/file`, { media_id: id })
        await pipeline(answer.body ?? [], createWriteStream(`${path}.part`))
        renameSync(`${path}.part`, path)
      }
      bytes += Number(own(file, 'size'))
      list.push({ ...file, file: `media/${name}` })
      progress.at('files', list.length)
    }
    const next = own(page, 'next')
    from = typeof next === 'number' ? String(next) : undefined
  }
  writeJson(join(folder, 'media.json'), list)
  return { files: list.length, bytes }
}

/** Folders are named by what people call the room, and by its ID, since names are no keys. */
function labelOf(roomId: string, name: string): string {
  const readable = name
    .replaceAll(/[^\p{L}\p{N}.-]+/gu, '_')
    .replaceAll(/^[_.]+|_+$/g, '')
    .slice(0, 40)
  const id = roomId
    .replace(/^!/, '')
    .replaceAll(/[^\w-]+/g, '_')
    .slice(0, 60)
  return readable === '' ? id : `${readable}-${id}`
}

/** Of the name that was given to the file, else by its type; nothing that could lead elsewhere. */
function extensionOf(name: string, type: string): string {
  const given = /\.[A-Za-z0-9]{1,8}$/.exec(name)?.[0]
  if (given !== undefined) return given
  const [, sub = ''] = /^\w+\/([a-z0-9]{1,8})$/.exec(type) ?? []
  return sub === '' || type === 'application/octet-stream' ? '' : `.${sub}`
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600 })
}

function objectsIn(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter((entry): entry is JsonObject => isObject(entry)) : []
}
