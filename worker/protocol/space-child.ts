/** What an `m.space.child` says of how its room is reached. Spec: client-server-api/#mspacechild. */
import { parseServerName, type ServerName } from './identifiers/server-name.ts'
import { type JsonObject, own } from './json/json.ts'

/** "When not present or invalid, the child room is not considered to be part of the space." */
export function hasVia(content: JsonObject): boolean {
  const via = own(content, 'via')
  return Array.isArray(via) && via.length > 0 && via.every((server) => typeof server === 'string')
}

/** Names of servers that are kept. */
const maxVia = 10

/** The servers through which the room may be reached. */
export function viaOf(content: JsonObject): ServerName[] {
  const via = own(content, 'via')
  const names = (Array.isArray(via) ? via : []).slice(0, maxVia).map(parseServerName)
  return [...new Set(names.filter((name) => name !== undefined))]
}
