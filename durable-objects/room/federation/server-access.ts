/**
 * Whether another server may take part in this room: the room's access control list, and who is in it.
 *
 * Spec: client-server-api/#server-access-control-lists-acls-for-rooms.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isServerAllowed, parseServerAcl, type ServerAcl } from '#protocol/server-acl.ts'

import type { Room } from '../room.ts'
import type { Nid } from '../stored-event.ts'

/** Parsed lists by their event: a list is read for every request of every server. */
const parsed = new WeakMap<Room, { readonly nid: Nid; readonly acl: ServerAcl }>()

/** Whether the room's current list lets the server in; without a list everybody is. */
export function isServerAllowedIn(room: Room, server: ServerName): boolean {
  const event = room.reader.current('m.room.server_acl', '')
  if (!event) return true
  const known = parsed.get(room)
  const acl = known?.nid === event.nid ? known.acl : parseServerAcl(event.pdu.content)
  if (known?.nid !== event.nid) parsed.set(room, { nid: event.nid, acl })
  return isServerAllowed(acl, server)
}

/** Whether the server has a joined member and the list lets it in. */
export function isServerIn(room: Room, server: ServerName): boolean {
  return room.reader.serversIn().has(server) && isServerAllowedIn(room, server)
}
