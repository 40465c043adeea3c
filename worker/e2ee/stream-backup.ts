/** Writes out the keys of a backup page by page: a backup of years does not fit into one call or into memory. */
import type { SessionToBackUp } from '#protocol/device-keys/key-backup.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { BackupScope } from '../../durable-objects/user-sync/key-backup.ts'
import type { Env } from '../env.ts'
import { unwrap } from '../refusal.ts'
import { userSyncOf } from '../sync/user-sync.ts'

const perPage = 500

/** `{"rooms": …}` for a whole backup, `{"sessions": …}` for a room. Refuses with M_NOT_FOUND for an unknown version. */
export async function streamBackup(
  env: Env,
  userId: UserId,
  scope: BackupScope,
  waitUntil: (work: Promise<unknown>) => void,
): Promise<Response> {
  const object = userSyncOf(env, userId)
  const first = unwrap(await object.backupKeys({ ...scope, limit: perPage })).sessions
  const { readable, writable } = new IdentityTransformStream()
  const writer = writable.getWriter()
  const write = (text: string) => writer.write(new TextEncoder().encode(text))
  const run = async () => {
    const whole = scope.roomId === undefined
    let before: SessionToBackUp | undefined
    await write(whole ? '{"rooms":{' : '{"sessions":{')
    for (let page = first; page.length > 0;) {
      let text = ''
      for (const session of page) {
        text +=
          separator(before, session, whole) + JSON.stringify(session.sessionId) + ':' + JSON.stringify(session.key)
        before = session
      }
      await write(text)
      if (page.length < perPage || !before) break
      const after = { roomId: before.roomId, sessionId: before.sessionId }
      page = unwrap(await object.backupKeys({ ...scope, after, limit: perPage })).sessions
    }
    await write(whole && before ? '}}}}' : '}}')
    await writer.close()
  }
  const done = run().catch(async (error: unknown) => {
    console.error('a backup broke off', error)
    await writer.abort(error).catch(() => undefined)
  })
  waitUntil(done)
  return new Response(readable, { headers: { 'Content-Type': 'application/json' } })
}

/** What stands between two sessions: a comma, or the end of one room and the beginning of the next. */
function separator(before: SessionToBackUp | undefined, { roomId }: SessionToBackUp, whole: boolean): string {
  if (before && (!whole || before.roomId === roomId)) return ','
  if (!whole) return ''
  return `${before ? '}},' : ''}${JSON.stringify(roomId)}:{"sessions":{`
}
