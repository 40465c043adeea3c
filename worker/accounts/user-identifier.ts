/** Who a login means. Spec: client-server-api/#identifier-types, and the deprecated keys of POST /login beside it. */
import { createHash } from 'node:crypto'

import { parseEmailAddress } from '#protocol/identifiers/email-address.ts'
import { makeUserId, parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'
import { ownerOfAddress } from './threepids.ts'

/**
 * The user ID that `identifier`, or the older `user`, names: undefined for one that cannot be of this server. Refuses where
 * nobody is named.
 */
export async function userIdOfLogin(env: Env, body: JsonObject, serverName: ServerName): Promise<UserId | undefined> {
  const identifier = own(body, 'identifier')
  if (identifier === undefined) return fromOldKeys(env, body, serverName)
  if (!isObject(identifier)) return refuse('bad_json', 'identifier: Expected an object')
  const type = own(identifier, 'type')
  switch (type) {
    case 'm.id.user':
      return fromUser(own(identifier, 'user'), serverName)
    case 'm.id.thirdparty':
      return fromAddress(env, identifier, serverName)
    case 'm.id.phone':
      return undefined
    case undefined:
      // The specification's example of a login by e-mail has no type.
      return own(identifier, 'address') === undefined
        ? refuse('missing_param', 'identifier.type is missing')
        : fromAddress(env, identifier, serverName)
    default:
      return refuse('unknown_type', 'Unknown type of identifier')
  }
}

async function fromOldKeys(env: Env, body: JsonObject, serverName: ServerName): Promise<UserId | undefined> {
  const isByAddress = own(body, 'user') === undefined && own(body, 'address') !== undefined
  return isByAddress ? fromAddress(env, body, serverName) : fromUser(own(body, 'user'), serverName)
}

/**
 * The owner of an address. Where there is none, a name that nobody can have: it is checked like any other, and takes as
 * long, so that nobody learns which addresses are known.
 */
async function fromAddress(env: Env, named: JsonObject, serverName: ServerName): Promise<UserId | undefined> {
  const [medium, text] = [own(named, 'medium'), own(named, 'address')]
  if (typeof medium !== 'string' || typeof text !== 'string') {
    return refuse('missing_param', 'identifier.medium or identifier.address is missing')
  }
  const address = medium === 'email' ? parseEmailAddress(text) : undefined
  const owner = address && (await ownerOfAddress(env, address))
  if (owner) return owner
  const hash = createHash('sha256').update(`${medium} ${text}`).digest('hex')
  // Chosen names cannot begin with _.
  return makeUserId(`_${hash}`, serverName)
}

/** A whole user ID or a localpart. People capitalise their names; accounts are never capitalised. */
function fromUser(user: unknown, serverName: ServerName): UserId | undefined {
  if (user === undefined) return refuse('missing_param', 'identifier.user is missing')
  if (typeof user !== 'string') return refuse('bad_json', 'identifier.user: Expected a string')
  if (!user.startsWith('@')) return makeUserId(uncapitalised(user), serverName)
  const colon = user.indexOf(':')
  return parseUserId(colon < 0 ? user : uncapitalised(user.slice(0, colon)) + user.slice(colon))
}

/** A–Z to a–z and nothing else: `toLowerCase` would also make the Kelvin sign a k, and two names one. */
export function uncapitalised(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
