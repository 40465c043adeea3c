/** The server name and media ID of a path. Spec: client-server-api/#content-repo-security-considerations. */
import { type MxcUri, parseMediaId } from '#protocol/identifiers/mxc-uri.ts'
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'

import { refuse } from '../refusal.ts'

/** "allowing only alphanumeric, `_` and `-` characters": anything else does not exist, here or elsewhere. */
export function mxcUriOf(path: { readonly serverName: string; readonly mediaId: string }): MxcUri {
  const serverName = parseServerName(path.serverName)
  const mediaId = parseMediaId(path.mediaId)
  return serverName && mediaId ? { serverName, mediaId } : refuse('not_found', 'That is not the name of any media')
}

/** As `mxcUriOf`, for media of this server, of which other servers name only the ID. */
export function localUriOf(serverName: ServerName, mediaId: string): MxcUri {
  return mxcUriOf({ serverName, mediaId })
}
