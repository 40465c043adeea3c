/**
 * Where media lives: `mxc://<server name>/<media ID>`.
 *
 * Spec: client-server-api/#matrix-content-mxc-uris. A media ID outside `[A-Za-z0-9_-]` is refused: it ends up in paths
 * and storage keys.
 */
import { parseServerName } from './server-name.ts'
import type { ServerName } from './server-name.ts'

declare const brand: unique symbol
/** The opaque part of an MXC URI: 1 to 255 characters of `[A-Za-z0-9_-]`. */
export type MediaId = string & { readonly [brand]: 'MediaId' }

export interface MxcUri {
  readonly serverName: ServerName
  readonly mediaId: MediaId
}

const scheme = 'mxc://'
const mediaIdGrammar = /^[0-9A-Za-z_-]{1,255}$/

/** Server and media ID of an `mxc://` URI, or undefined. */
export function parseMxcUri(value: unknown): MxcUri | undefined {
  if (typeof value !== 'string' || !value.startsWith(scheme)) return undefined
  const slash = value.indexOf('/', scheme.length)
  if (slash === -1) return undefined
  const serverName = parseServerName(value.slice(scheme.length, slash))
  const mediaId = parseMediaId(value.slice(slash + 1))
  return serverName === undefined || mediaId === undefined ? undefined : { serverName, mediaId }
}

export function parseMediaId(value: unknown): MediaId | undefined {
  return isMediaId(value) ? value : undefined
}

function isMediaId(value: unknown): value is MediaId {
  return typeof value === 'string' && mediaIdGrammar.test(value)
}

/** The URI as clients write it. */
export function printMxcUri({ serverName, mediaId }: MxcUri): string {
  return `${scheme}${serverName}/${mediaId}`
}
