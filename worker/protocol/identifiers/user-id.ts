/**
 * User IDs: `@localpart:server`.
 *
 * Spec: appendices/#user-identifiers and #historical-user-ids. `parseUserId` admits the historical character set, since
 * rooms are full of it; new accounts are made by `makeUserId`, which does not.
 */
import { fitsIdentifier } from './characters.ts'
import { parseServerName, splitIdentifier } from './server-name.ts'
import type { ServerName } from './server-name.ts'

declare const brand: unique symbol
export type UserId = string & { readonly [brand]: 'UserId' }

const localpartOfToday = /^[a-z0-9._=/+-]+$/
const compliantLocalpart = /^[\u0021-\u007e]+$/

/** The user ID in `value`, historical ones and the empty localpart included, or undefined. */
export function parseUserId(value: unknown): UserId | undefined {
  return isUserId(value) ? value : undefined
}

function isUserId(value: unknown): value is UserId {
  return typeof value === 'string' && fitsIdentifier(value) && splitIdentifier(value, '@') !== undefined
}

/** The ID of a new user: undefined unless the localpart keeps to today's character set. */
export function makeUserId(localpart: string, serverName: ServerName): UserId | undefined {
  return localpartOfToday.test(localpart) ? parseUserId(`@${localpart}:${serverName}`) : undefined
}

export function localpartOf(userId: UserId): string {
  return userId.slice(1, userId.indexOf(':'))
}

/** The server a user belongs to. */
export function serverNameOf(userId: UserId): ServerName {
  const serverName = parseServerName(userId.slice(userId.indexOf(':') + 1))
  if (serverName === undefined) throw new TypeError('not a user ID')
  return serverName
}

/** True for localparts outside `[a-z0-9._=/+-]`: to be accepted, never to be given out. */
export function isHistoricalUserId(userId: UserId): boolean {
  return !localpartOfToday.test(localpartOf(userId))
}

/** True for IDs which should reach clients only inside events: an empty localpart, or characters outside U+0021–U+007E. */
export function isNonCompliantUserId(userId: UserId): boolean {
  return !compliantLocalpart.test(localpartOf(userId))
}
