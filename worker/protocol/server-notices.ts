/** Who speaks for the server. Spec: client-server-api/#server-notices. Nobody can register a name that begins with `_`. */
import type { ServerName } from './identifiers/server-name.ts'
import { makeUserId, type UserId } from './identifiers/user-id.ts'

/** The server's own user. */
export function noticesUser(serverName: ServerName): UserId {
  const user = makeUserId('_server', serverName)
  if (!user) throw new TypeError(`no user ID fits ${serverName}`)
  return user
}
