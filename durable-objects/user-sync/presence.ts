/**
 * Whether a user is there, and who of those they share rooms with is.
 *
 * Spec: client-server-api/#presence. Only where the owner switched presence on. A poll writes nothing: what each device said
 * last is in memory, and with the sockets of those that wait; a row is written, and others are told, when the user's state
 * changes. While a user is there, an alarm looks each minute whether any client still is.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { busy, type Presence, presenceContent, type PresenceState, strongest } from '#protocol/presence/presence.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Sql } from '../shared/sql.ts'
import { advance, type Stream } from './stream.ts'

export interface PresenceEvent extends JsonObject {
  readonly type: 'm.presence'
  readonly sender: UserId
  readonly content: JsonObject
}

/** How a user's object reaches those who share rooms with its user. */
export interface PresenceWorld {
  readonly userId: UserId
  joinedRooms(): readonly RoomId[]
  /** Devices that wait by a socket, with what they said of themselves. */
  waiting(): Iterable<{ readonly deviceId: string; readonly presence: PresenceState }>
  /** Tells everybody in these rooms, and returns what users of this server are, if asked. */
  tell(rooms: readonly RoomId[], presence: Presence, ask: boolean): Promise<readonly (readonly [UserId, Presence])[]>
  /** Something in the stream is new. */
  noted(): void
}

/** The part of the object's alarms that is used here. */
export interface PresenceAlarm {
  ensure(name: 'presence', at: number): void
  reset(name: 'presence', at: number): void
  cancel(name: 'presence'): void
}

/** A device counts for so long after its last poll, in ms: clients poll again at once. */
const staysFor = 45_000
const lookEvery = 60_000
/** Users of whom something is remembered; those that changed longest ago go first. */
const maxKnown = 5_000

type Row = { userId: string; json: string }

/** What changed after a position; everything but who is offline, for one who begins. */
export function presenceAfter(sql: Sql, position: number, isInitial: boolean, now: number): PresenceEvent[] {
  const query = 'SELECT user_id AS userId, json FROM presence WHERE position > ? ORDER BY position'
  return sql
    .exec<Row>(query, isInitial ? -1 : position)
    .toArray()
    .flatMap(({ userId, json }): PresenceEvent[] => {
      const [sender, presence]: [UserId | undefined, Presence] = [parseUserId(userId), JSON.parse(json)]
      if (!sender || (isInitial && presence.presence === 'offline')) return []
      return [{ type: 'm.presence', sender, content: presenceContent(presence, now) }]
    })
}

/** What is known of a user, oneself among them. */
export function presenceOf(sql: Sql, userId: UserId): Presence | undefined {
  const [row] = sql.exec<{ json: string }>('SELECT json FROM presence WHERE user_id = ?', userId).toArray()
  return row && JSON.parse(row.json)
}

/** Notes what somebody is; news even if it is the same, since one may just have come to share a room with them. */
export function notePresence(sql: Sql, stream: Stream, userId: UserId, presence: Presence): void {
  sql.exec(
    'INSERT OR REPLACE INTO presence(user_id, json, position) VALUES (?, ?, ?)',
    userId,
    JSON.stringify(presence),
    advance(sql, stream),
  )
}

export class PresenceKeeper {
  readonly #sql: Sql
  readonly #stream: Stream
  readonly #alarms: PresenceAlarm
  readonly #world: PresenceWorld
  readonly #devices = new Map<string, { readonly state: PresenceState; readonly at: number }>()

  constructor(sql: Sql, stream: Stream, alarms: PresenceAlarm, world: PresenceWorld) {
    this.#sql = sql
    this.#stream = stream
    this.#alarms = alarms
    this.#world = world
  }

  /** A device polls. "If this parameter is set to `offline` … the client is not marked as being online". */
  polled(deviceId: string, state: PresenceState, now: number): Promise<unknown> {
    if (state === 'offline') return Promise.resolve()
    this.#devices.set(deviceId, { state, at: now })
    return this.#publish(now, undefined)
  }

  /** A user says what they are; without a status message they have none. */
  set(deviceId: string, state: PresenceState, statusMsg: string | undefined, now: number): Promise<unknown> {
    this.#devices.set(deviceId, { state, at: now })
    return this.#publish(now, { statusMsg })
  }

  /** A device was signed out. */
  ended(deviceId: string, now: number): Promise<unknown> {
    return this.#devices.delete(deviceId) ? this.#publish(now, undefined, 'anew') : Promise.resolve()
  }

  /** The user came into a room: they and the others there hear of each other. */
  async joined(roomId: RoomId): Promise<void> {
    const own = presenceOf(this.#sql, this.#world.userId)
    const nobody: Presence = { presence: 'offline', lastActive: undefined, statusMsg: undefined }
    for (const [userId, presence] of await this.#world.tell([roomId], own ?? nobody, true)) {
      notePresence(this.#sql, this.#stream, userId, presence)
    }
    this.#world.noted()
  }

  /** Time has passed. */
  look(now: number): Promise<unknown> {
    for (const [deviceId, { at }] of this.#devices) if (at < now - staysFor) this.#devices.delete(deviceId)
    this.#sql.exec(
      `DELETE FROM presence WHERE position <= (SELECT position FROM presence ORDER BY position DESC LIMIT 1 OFFSET ?)`,
      maxKnown,
    )
    const told = this.#publish(now, undefined)
    if (presenceOf(this.#sql, this.#world.userId)?.presence !== 'offline')
      this.#alarms.reset('presence', now + lookEvery)
    return told
  }

  /** Clients poll as "online" without asking: who is busy is so until they say otherwise, or are gone (MSC3026). */
  #publish(
    now: number,
    said: { readonly statusMsg: string | undefined } | undefined,
    business: 'goes on' | 'anew' = said ? 'anew' : 'goes on',
  ): Promise<unknown> {
    const states = new Map([...this.#world.waiting()].map(({ deviceId, presence }) => [deviceId, presence]))
    for (const [deviceId, { state }] of this.#devices) states.set(deviceId, state)
    const before = presenceOf(this.#sql, this.#world.userId)
    const strength = strongest(states.values())
    const isBusy = business === 'goes on' && before?.presence === busy && strength !== 'offline'
    const presence = isBusy ? busy : strength
    if (presence === 'offline') this.#alarms.cancel('presence')
    else this.#alarms.ensure('presence', now + lookEvery)
    const statusMsg = said ? said.statusMsg : before?.statusMsg
    // What was never said and is nothing is no news.
    if (presence === (before?.presence ?? 'offline') && statusMsg === before?.statusMsg && !said)
      return Promise.resolve()
    const lastActive = said || presence === 'online' || presence === busy ? now : before?.lastActive
    const next: Presence = { presence, lastActive, statusMsg }
    notePresence(this.#sql, this.#stream, this.#world.userId, next)
    this.#world.noted()
    return this.#world.tell(this.#world.joinedRooms(), next, false)
  }
}
