/**
 * Room aliases: `#localpart:server`.
 *
 * Spec: appendices/#room-aliases. The localpart is any Unicode but `:` and NUL.
 */
import { fitsIdentifier } from './characters.ts'
import { parseServerName, splitIdentifier } from './server-name.ts'
import type { ServerName } from './server-name.ts'

declare const brand: unique symbol
export type RoomAlias = string & { readonly [brand]: 'RoomAlias' }

/** The room alias in `value`, or undefined. An empty localpart is none. */
export function parseRoomAlias(value: unknown): RoomAlias | undefined {
  return isRoomAlias(value) ? value : undefined
}

function isRoomAlias(value: unknown): value is RoomAlias {
  if (typeof value !== 'string' || !fitsIdentifier(value)) return false
  const parts = splitIdentifier(value, '#')
  return parts !== undefined && parts[0] !== ''
}

export function localpartOfAlias(alias: RoomAlias): string {
  return alias.slice(1, alias.indexOf(':'))
}

/** The server that answers for an alias. */
export function serverNameOfAlias(alias: RoomAlias): ServerName {
  const serverName = parseServerName(alias.slice(alias.indexOf(':') + 1))
  if (serverName === undefined) throw new TypeError('not a room alias')
  return serverName
}
