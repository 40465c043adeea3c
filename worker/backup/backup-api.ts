/**
 * The server's whole content over HTTP, piece by piece: `/_hearth/backup/…` gives it out, `/_hearth/restore/…` takes it into a
 * server without accounts. For `npm run backup` and `npm run restore`; docs/backup.md.
 *
 * Each piece can be asked for again, so that whoever was cut off goes on. secret.ts says who may.
 */
import * as v from 'valibot'

import { migrations } from '../../d1-migrations/index.ts'
import type { Env } from '../env.ts'
import { type Call, operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { remote } from '../remote.ts'
import { setUp } from '../set-up.ts'
import { softwareVersion } from '../software.ts'
import { beginRestore, countRows, finishRestore, restoreIn } from './load-database.ts'
import { objectOf } from './object-of.ts'
import { demandBackupSecret } from './secret.ts'

const auth = 'none'
/** Objects that are looked up at once. */
const namesPerPage = 1000
/** Bytes of lines in one request. */
const maxPortion = 16 * 1024 * 1024

export const backupFacts = operation(
  'GET /_hearth/backup',
  { id: 'backupFacts', auth },
  ({ env, settings, request }) => {
    demandBackupSecret(env, request, 'backup')
    return {
      server_name: settings.serverName,
      version: softwareVersion,
      migrations: migrations.map(({ name }) => name),
      // A key of the owner's own is in no table.
      ...(env.SIGNING_KEY ? { signing_key: env.SIGNING_KEY.trim() } : {}),
    }
  },
)

/** Names of objects: of users and rooms that D1 knows, in order. */
export const backupNames = operation(
  'GET /_hearth/backup/names',
  { id: 'backupNames', auth },
  async ({ env, request, query }) => {
    demandBackupSecret(env, request, 'backup')
    const isRoom = query.get('kind') === 'ROOM'
    const read = isRoom
      ? 'SELECT room_id AS name FROM known_rooms WHERE room_id > ? ORDER BY room_id LIMIT ?'
      : 'SELECT user_id AS name FROM users WHERE user_id > ? ORDER BY user_id LIMIT ?'
    const found = await env.DB.prepare(read)
      .bind(query.get('after') ?? '', namesPerPage)
      .all<{ name: string }>()
    return { names: found.results.map(({ name }) => name), more: found.results.length === namesPerPage }
  },
)

export const backupDatabase = operation(
  'GET /_hearth/backup/database',
  { id: 'backupDatabase', auth },
  async ({ env, request }) => {
    demandBackupSecret(env, request, 'backup')
    return databaseReader(env).dumpDatabase()
  },
)

/** 204 for an object that holds nothing. */
export const backupObject = operation(
  'GET /_hearth/backup/object',
  { id: 'backupObject', auth },
  async ({ env, request, query }) => {
    demandBackupSecret(env, request, 'backup')
    const { object, name } = objectOf(env, query)
    return object.dump(name)
  },
)

export const backupMediaList = operation(
  'GET /_hearth/backup/media-list',
  { id: 'backupMediaList', auth },
  async ({ env, request, query }) => {
    demandBackupSecret(env, request, 'backup')
    return mediaPage(env, query.get('cursor'))
  },
)

export const backupMedia = operation(
  'GET /_hearth/backup/media',
  { id: 'backupMedia', auth },
  async ({ env, request, query }) => {
    demandBackupSecret(env, request, 'backup')
    const found = await env.MEDIA.get(keyIn(query))
    if (!found) return refuse('not_found')
    return new Response(found.body, { headers: { 'Content-Length': String(found.size) } })
  },
)

/** Empties the database for the restore of this name, or goes on with it. Nothing is emptied that somebody has an account in. */
export const beginRestoring = operation(
  'POST /_hearth/restore/begin',
  { id: 'beginRestoring', auth },
  async ({ env, settings, request }) => {
    demandBackupSecret(env, request, 'restore')
    const body = await bodyOf(request, v.looseObject({ restore: v.string(), server_name: v.string() }))
    if (body.server_name !== settings.serverName) {
      refuse('forbidden', `This is the server ${settings.serverName}, the backup is of ${body.server_name}`)
    }
    const underWay = await restoreIn(env.DB)
    if (underWay === undefined) {
      await setUp(env)
      if ((await env.DB.prepare('SELECT 1 FROM users LIMIT 1').first()) !== null)
        refuse('forbidden', 'This server has accounts already: a backup goes into an empty one')
    }
    await beginRestore(env.DB, body.restore)
    return { resumed: underWay === body.restore }
  },
)

/** Lines of the database. */
export const restoreDatabase = operation(
  'POST /_hearth/restore/database',
  { id: 'restoreDatabase', auth },
  async (call) => {
    await demandRestore(call)
    const lost = await databaseReader(call.env).loadDatabase(await textOf(call.request))
    return lost === null ? refuseLines() : { lost }
  },
)

export const restoreObject = operation('POST /_hearth/restore/object', { id: 'restoreObject', auth }, async (call) => {
  await demandRestore(call)
  const { env, query, request } = call
  const { object } = objectOf(env, query)
  const last = query.has('last')
  const portion = { first: query.has('first'), last, text: await textOf(request) }
  if (!(await object.load(portion))) refuseLines()
  // Its answer is that it died.
  if (last) await object.end().catch(() => undefined)
  return {}
})

/** What is there already. */
export const restoredMediaList = operation(
  'GET /_hearth/restore/media-list',
  { id: 'restoredMediaList', auth },
  async (call) => {
    await demandRestore(call)
    return mediaPage(call.env, call.query.get('cursor'))
  },
)

export const restoreMedia = operation('PUT /_hearth/restore/media', { id: 'restoreMedia', auth }, async (call) => {
  await demandRestore(call)
  const { env, query, request } = call
  const contentType = query.get('content_type')
  await env.MEDIA.put(keyIn(query), request.body ?? '', contentType === null ? {} : { httpMetadata: { contentType } })
  return {}
})

const finish = v.looseObject({ restore: v.string(), rows: v.number(), signing_key: v.optional(v.string()) })

/** `rows`: how many the backup has, less those that were lost. */
export const finishRestoring = operation(
  'POST /_hearth/restore/finish',
  { id: 'finishRestoring', auth },
  async (call) => {
    await demandRestore(call)
    const { env, request } = call
    const body = await bodyOf(request, finish)
    const rows = await countRows(env.DB)
    if (rows !== body.rows) refuse('forbidden', `The database has ${rows} rows, the backup ${body.rows}`)
    await finishRestore(env.DB, body.restore, body.signing_key)
    return {}
  },
)

async function mediaPage({ MEDIA }: Env, cursor: string | null): Promise<object> {
  const page = await MEDIA.list({ include: ['httpMetadata'], ...(cursor === null ? {} : { cursor }) })
  return {
    media: page.objects.map(({ key, size, httpMetadata }) => ({
      key,
      size,
      ...(httpMetadata?.contentType === undefined ? {} : { content_type: httpMetadata.contentType }),
    })),
    ...(page.truncated ? { cursor: page.cursor } : {}),
  }
}

/** After the secret was seen: nobody else learns that there is such a path. */
async function bodyOf<Schema extends v.GenericSchema>(
  request: Request,
  schema: Schema,
): Promise<v.InferOutput<Schema>> {
  const parsed = v.safeParse(schema, await request.json().catch(() => refuse('not_json')))
  return parsed.success ? parsed.output : refuse('bad_json')
}

/** The secret, and that `begin` was called. */
async function demandRestore({ env, request }: Pick<Call<'/', 'none', unknown>, 'env' | 'request'>): Promise<void> {
  demandBackupSecret(env, request, 'restore')
  if ((await restoreIn(env.DB)) === undefined) refuse('forbidden', 'No restore is under way')
}

/** The object that has the CPU time to read and write so much. */
function databaseReader(env: Env) {
  return remote(env.PASSWORD, 'backup')
}

async function textOf(request: Request): Promise<string> {
  if (Number(request.headers.get('Content-Length')) > maxPortion) refuse('too_large')
  return request.text()
}

function refuseLines(): never {
  return refuse('bad_json', 'That is no line of a backup')
}

function keyIn(query: URLSearchParams): string {
  return query.get('key') || refuse('missing_param', 'key is missing')
}
