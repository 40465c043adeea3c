/**
 * `m.room.server_acl`: which servers may take part in a room.
 *
 * Spec: client-server-api/#mroomserver_acl, server-server-api/#server-access-control-lists-acls. Judges requests, never
 * events of the DAG. Where the content is malformed the specification decides: what is not a list of strings is an empty
 * list, hence a malformed `allow` admits nobody. A malformed `deny` is empty as well: closing the room would keep out the
 * very event that mends it.
 */
import { parseServerName, splitServerName } from '#protocol/identifiers/server-name.ts'
import { own } from '#protocol/json/json.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { compileGlob } from './glob.ts'
import type { Glob } from './glob.ts'

/**
 * Entries of a list that are looked at. An event could hold some ten thousand; the longest lists in use have a few
 * thousand. A list that is longer does not say whom it means: as `deny` it denies all, as `allow` none is allowed.
 */
export const maxAclEntries = 10_000

/** A parsed list. Entries without wildcards, nearly all of them, are found at once. */
interface AclList {
  readonly tooLong: boolean
  readonly literals: ReadonlySet<string>
  readonly globs: readonly Glob[]
}

export interface ServerAcl {
  readonly allowIpLiterals: boolean
  readonly allow: AclList
  readonly deny: AclList
}

/** Reads the content of an `m.room.server_acl`. Costs as much as the event is long; keep the result for the room. */
export function parseServerAcl(content: JsonObject): ServerAcl {
  return {
    // "Defaults to true if missing or otherwise not a boolean."
    allowIpLiterals: own(content, 'allow_ip_literals') !== false,
    allow: parseList(own(content, 'allow')),
    deny: parseList(own(content, 'deny')),
  }
}

function parseList(value: unknown): AclList {
  const entries: unknown[] = Array.isArray(value) ? value : []
  const literals = new Set<string>()
  const patterns = new Set<string>()
  if (entries.length > maxAclEntries) return { tooLong: true, literals, globs: [] }
  for (const entry of entries) {
    if (typeof entry !== 'string') continue
    const pattern = lowerCase(entry)
    if (/[*?]/.test(pattern)) patterns.add(pattern)
    else literals.add(pattern)
  }
  return { tooLong: false, literals, globs: [...patterns].map(compileGlob) }
}

/** Whether a server may take part in a room with this ACL; undefined for a room that has none. */
export function isServerAllowed(acl: ServerAcl | undefined, serverName: string): boolean {
  // Who has no valid name is no server.
  const name = parseServerName(serverName)
  if (name === undefined) return false
  // 1. "If there is no m.room.server_acl event in the room state, allow."
  if (acl === undefined) return true
  const { host, kind } = splitServerName(name)
  // 2. "If the server name is an IP address (v4 or v6) literal, and allow_ip_literals is present and false, deny."
  if (kind !== 'dns' && !acl.allowIpLiterals) return false
  // "The suspect server's port number must not be considered."
  const subject = lowerCase(kind === 'ipv6' ? `[${host}]` : host)
  // 3. "If the server name matches an entry in the deny list, deny."
  if (acl.deny.tooLong || isListed(acl.deny, subject)) return false
  // 4. "If the server name matches an entry in the allow list, allow."  5. "Otherwise, deny."
  return isListed(acl.allow, subject)
}

function isListed({ literals, globs }: AclList, subject: string): boolean {
  return literals.has(subject) || globs.some((glob) => glob.matches(subject))
}

/** Only ASCII: server names have no other letters, and the Kelvin sign must not become a `k`. */
function lowerCase(text: string): string {
  return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}
