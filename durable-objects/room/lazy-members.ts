/**
 * Which members go with a list of events when the client loads members lazily, and which of them it has already.
 *
 * Spec: client-server-api/#lazy-loading-room-members. "The server MAY assume that clients will remember membership events
 * they have already been sent."
 *
 * What was sent to a device is kept in memory, with the position of the room that went with it: it counts only for a
 * request that starts from there or later. Such a request proves that the answer arrived. A client that starts again from
 * an older token, or lost the answer, gets its members again; and so does everybody when the object was evicted.
 */
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import { Lru } from '../shared/lru.ts'
import type { Room } from './room.ts'
import type { GroupId, Nid, StoredEvent } from './stored-event.ts'

export interface Device {
  readonly reader: UserId
  readonly deviceId: string
}

interface SentMember {
  readonly nid: Nid
  /** Position of the room in the answer that carried it. */
  readonly pos: number
}

/** Devices remembered, and members of each. */
const maxDevices = 200
const maxMembers = 500

export class LazyMembers {
  readonly #sent = new Lru<string, Lru<string, SentMember>>(maxDevices)

  /** Whether a client that has heard the room up to `from` has this member event. */
  has(device: Device, member: StoredEvent, from: number): boolean {
    const sent = this.#sent.get(keyOf(device))?.get(member.state_key ?? '')
    return sent !== undefined && sent.nid === member.nid && sent.pos <= from
  }

  /** Notes the members of an answer that brings the client to `pos`. */
  sent(device: Device, members: Iterable<StoredEvent>, pos: number): void {
    const key = keyOf(device)
    const known = this.#sent.get(key) ?? new Lru<string, SentMember>(maxMembers)
    this.#sent.set(key, known)
    for (const { state_key, nid } of members) known.set(state_key ?? '', { nid, pos })
  }
}

function keyOf({ reader, deviceId }: Device): string {
  return JSON.stringify([reader, deviceId])
}

/** The member events of those who sent these events, as a state group has them. */
export function sendersIn(room: Room, group: GroupId, events: readonly StoredEvent[]): StoredEvent[] {
  const senders = [...new Set(events.map(({ sender }) => sender))]
  return membersIn(room, group, senders)
}

/** The member events of users, as a state group has them. */
export function membersIn({ groups, reader }: Room, group: GroupId, users: Iterable<UserId>): StoredEvent[] {
  const keys = [...users].map((user) => stateMapKey('m.room.member', user))
  return reader.events([...groups.readMany(group, keys).values()])
}
