/** Finding local users by what is in their profile. Who may be shown to whom is the caller's business. */
import { localpartOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { hasNameWords } from '#protocol/search/name-words.ts'

import type { Env } from '../env.ts'
import type { MemberProfile } from './profiles.ts'

/** Users looked at at most. */
const most = 500

/** `?2`: behind every word that begins with `?1`. */
const query =
  "SELECT user_id AS userId, json_extract(fields, '$.displayname') AS name, json_extract(fields, '$.avatar_url') AS avatar " +
  'FROM profiles WHERE user_id IN (SELECT user_id FROM profile_words WHERE word >= ?1 AND word < ?2 LIMIT ?3)'

/** Those of whose user name and display name words begin with each of these. */
export async function searchProfiles({ DB }: Env, words: readonly string[]): Promise<Map<UserId, MemberProfile>> {
  // The longest word has the fewest users.
  const [longest] = words.toSorted((a, b) => b.length - a.length)
  if (longest === undefined) return new Map()
  const { results } = await DB.prepare(query)
    .bind(longest, `${longest}\u{10ffff}`, most)
    .all<{ userId: UserId; name: unknown; avatar: unknown }>()
  return new Map(
    results
      .filter(({ userId, name }) =>
        hasNameWords(`${localpartOf(userId)} ${typeof name === 'string' ? name : ''}`, words),
      )
      .map(({ userId, name, avatar }) => [
        userId,
        {
          ...(typeof name === 'string' ? { displayname: name } : {}),
          ...(typeof avatar === 'string' ? { avatar_url: avatar } : {}),
        },
      ]),
  )
}
