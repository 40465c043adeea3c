/**
 * Passwords of accounts: which are accepted, and whether one is right.
 *
 * The hashing is done by a PasswordDO. A wrong name and a wrong password take the same time and give the same
 * answer.
 */
import { createHash } from 'node:crypto'

import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'

import type { Env } from '../env.ts'
import { refuse, refuseForNow } from '../refusal.ts'
import { remote } from '../remote.ts'
import { settingsOf } from '../settings.ts'
import { findUser, setPasswordHash, type User } from './users.ts'

const shortest = 6
const longest = 512

/** Refuses with M_WEAK_PASSWORD a password that is too short, and one of a length that no person types. */
export function checkNewPassword(password: string): void {
  if (password.length < shortest) refuse('weak_password', `A password has ${shortest} characters or more`)
  if (password.length > longest) refuse('invalid_param', `A password has ${longest} characters or less`)
}

/** The hash to store of a new password. */
export async function hashNewPassword(env: Env, userId: UserId, password: string): Promise<string> {
  checkNewPassword(password)
  return passwordObject(env, userId).hash(password)
}

/** The account with this name and password, or undefined. Refuses with M_LIMIT_EXCEEDED after too many wrong ones. */
export async function checkPassword(env: Env, userId: UserId, password: string): Promise<User | undefined> {
  const isLocal = serverNameOf(userId) === settingsOf(env).serverName
  const user = isLocal ? await findUser(env, userId) : undefined
  const hash = user && user.deactivatedAt === null ? user.passwordHash : null
  // What is longer cannot be right, and need not be hashed.
  const check = await passwordObject(env, userId).check({ userId, password: password.slice(0, longest + 1), hash })
  if (!check.ok) return refuseForNow(check.wait)
  if (!user || !check.matches) return undefined
  if (check.newHash !== undefined) await setPasswordHash(env, user.userId, check.newHash, hash)
  return user
}

/** A name leads to one of a few objects, always the same: made-up names must not make objects. */
function passwordObject({ PASSWORD }: Env, userId: UserId) {
  const [byte = 0] = createHash('sha256').update(userId).digest()
  return remote(PASSWORD, `passwords ${byte % 64}`)
}
