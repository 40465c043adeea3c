/** The people of the stories, each on a server of their own, and how to make more. */
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

export function user(id: string): UserId {
  const userId = parseUserId(id)
  if (userId === undefined) throw new Error(`${id} is not a user ID`)
  return userId
}

export const alice = user('@alice:a.example')
export const bob = user('@bob:b.example')
export const carol = user('@carol:c.example')
export const dave = user('@dave:d.example')
export const eve = user('@eve:e.example')
/** On the server of Alice. */
export const anna = user('@anna:a.example')
