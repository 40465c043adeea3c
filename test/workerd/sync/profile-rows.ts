/** What a user's object keeps of profiles. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'

export function countOf(userId: string, table: 'profile_changes' | 'profile_interest'): Promise<number> {
  return runInDurableObject(env.USER_SYNC.get(env.USER_SYNC.idFromName(userId)), (_, { storage }) =>
    Number(storage.sql.exec(`SELECT count(*) AS count FROM ${table}`).one()['count']),
  )
}
