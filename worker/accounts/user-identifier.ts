/** Who a login means. Spec: client-server-api/#identifier-types, and the deprecated keys of POST /login beside it. */
import { makeUserId, parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import { refuse } from '../refusal.ts'

/**
 * The user ID that `identifier`, or the older `user`, names: undefined for one that cannot be of this server, and for
 * third-party identifiers, of which this server knows none. Refuses where nobody is named.
 */
export function userIdOfLogin(body: JsonObject, serverName: ServerName): UserId | undefined {
  const identifier = own(body, 'identifier')
  if (identifier === undefined) return fromOldKeys(body, serverName)
  if (!isObject(identifier)) return refuse('bad_json', 'identifier: Expected an object')
  const type = own(identifier, 'type')
  switch (type) {
    case 'm.id.user':
      return fromUser(own(identifier, 'user'), serverName)
    case 'm.id.thirdparty':
    case 'm.id.phone':
      return undefined
    case undefined:
      // The specification's example of a login by e-mail has no type.
      return own(identifier, 'address') === undefined
        ? refuse('missing_param', 'identifier.type is missing')
        : undefined
    default:
      return refuse('unknown_type', 'Unknown type of identifier')
  }
}

function fromOldKeys(body: JsonObject, serverName: ServerName): UserId | undefined {
  if (own(body, 'user') === undefined && own(body, 'address') !== undefined) return undefined
  return fromUser(own(body, 'user'), serverName)
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
