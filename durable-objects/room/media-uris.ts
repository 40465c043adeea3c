/** The media that a room's events name: for admins, who may have to forbid or delete all of it. */
import { type MxcUri, parseMxcUri, printMxcUri } from '#protocol/identifiers/mxc-uri.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import type { Room } from './room.ts'

export interface MediaPage {
  /** `mxc://` URIs, each once. */
  readonly uris: readonly string[]
  /** Where the next page begins; undefined: that is all. */
  readonly next?: number
}

/** Events of one page that name media. */
const pageSize = 500

/**
 * A page of it, oldest first. Events of every outcome count: a copy was made of what a rejected event names as well.
 * Encrypted events hide theirs. Avatars are not the room's.
 */
export function mediaUris({ reader: { sql } }: Room, after: number): MediaPage {
  const rows = sql
    .exec<{ nid: number; json: string }>(
      `SELECT nid, json FROM events WHERE nid > ? AND type <> 'm.room.member' AND json LIKE '%mxc://%' ORDER BY nid LIMIT ?`,
      after,
      pageSize,
    )
    .toArray()
  const uris = new Set(rows.flatMap(({ json }) => urisIn(JSON.parse(json)).map(printMxcUri)))
  const last = rows.at(-1)
  return { uris: [...uris], ...(rows.length === pageSize && last && { next: last.nid }) }
}

function urisIn(event: unknown): MxcUri[] {
  const content = field(event, 'content')
  const info = field(content, 'info')
  const named = [
    field(content, 'url'),
    field(field(content, 'file'), 'url'),
    field(info, 'thumbnail_url'),
    field(field(info, 'thumbnail_file'), 'url'),
  ]
  return named.map(parseMxcUri).filter((uri) => uri !== undefined)
}

function field(value: unknown, name: string): JsonObject[string] | undefined {
  return isObject(value) ? own(value, name) : undefined
}
