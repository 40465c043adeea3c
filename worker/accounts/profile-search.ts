/** Finding local users by what is in their profile. Who may be shown to whom is the caller's business. */
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Env } from '../env.ts'
import type { MemberProfile } from './profiles.ts'

/** Users found at most. */
const most = 500

const query =
  "SELECT user_id AS userId, json_extract(fields, '$.displayname') AS name, json_extract(fields, '$.avatar_url') AS avatar " +
  "FROM profiles WHERE instr(lower(user_id), ?1) > 0 OR instr(lower(json_extract(fields, '$.displayname')), ?1) > 0 " +
  `LIMIT ${most}`

/** By user ID and display name. `term` is in small letters; of the names only ASCII letters are made small. */
export async function searchProfiles({ DB }: Env, term: string): Promise<Map<UserId, MemberProfile>> {
  const { results } = await DB.prepare(query).bind(term).all<{ userId: UserId; name: unknown; avatar: unknown }>()
  return new Map(
    results.map(({ userId, name, avatar }) => [
      userId,
      {
        ...(typeof name === 'string' ? { displayname: name } : {}),
        ...(typeof avatar === 'string' ? { avatar_url: avatar } : {}),
      },
    ]),
  )
}
