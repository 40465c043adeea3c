/**
 * Who is told that the room changed, and that nobody is forgotten.
 *
 * A local member is told at the first change and is *quiet* from then on, until they read the room: their own object knows
 * already that there is something to read, and reading gets all of it. So an absent user costs one call however busy the
 * room is. Whose membership changed is told always.
 *
 * A user becomes quiet in the very turn of a change, when they cannot have read it yet, and never later: somebody made
 * quiet by news of what they have read would not be told of the next change. So a change after which the room stands where it
 * stood, such as an event of another server that was known already, makes nobody quiet.
 *
 * Who is quiet is kept in memory; those who stay so for a while are written down, so that a restart does not tell everybody
 * again. Somebody told once too often loses nothing. Somebody not told at all would: so an alarm is set in the turn that
 * stores the change, and `told_pos` moves up only once all calls have come through. If the object dies in between, the
 * alarm tells everybody again.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { AlarmScheduler } from '../shared/alarm-scheduler.ts'
import { limiter } from '../shared/limit.ts'
import type { Membership } from './reader.ts'
import { Ringer } from './ringer.ts'
import type { Room } from './room.ts'

/** What a user's object is told; all of it read in one turn of the room. */
export interface News {
  readonly roomId: RoomId
  readonly pos: number
  readonly typing: number
  readonly membership: Membership
  /** For users with pushers: the newest position at which something may have rung, or been read by them. */
  readonly rings?: number
}

/** What changed, beyond the room's position. */
export interface Change {
  /** Who made the change, and may look for it next. */
  readonly sender?: UserId
  /** Local users whose membership changed. */
  readonly changedMembers?: readonly UserId[]
  /** The only one whom the change concerns, such as a private receipt: nobody else has to read. */
  readonly only?: UserId
  /** Nothing that could ring: typing, receipts. Of receipts, only whose they are has to know. */
  readonly isSilent?: true
}

/** Tells a user's object; true when it wants to hear of the next change, read or not (sliding sync, which sorts all rooms). */
export type Tell = (user: UserId, news: News) => Promise<boolean | void>

/** Long enough for a client that listens to have read, in milliseconds. */
const settleAfter = 10_000
/** Calls under way at once. */
const atOnce = 50

export class Notifier {
  readonly #room: Room
  readonly #tell: Tell
  readonly #alarms: AlarmScheduler<'settle'>
  readonly #typingVersion: () => number
  readonly #limited = limiter(atOnce)
  readonly #ringer: Ringer
  #quiet: Set<UserId> | undefined
  /** Those of them who are in the table. */
  readonly #written = new Set<UserId>()
  readonly #underWay = new Map<UserId, Promise<void>>()
  /** Where the room stood when everybody was told last. */
  #news: { readonly pos: number; readonly typing: number }
  /** Some may not have been told of everything: calls failed, or the object's last life ended before they came through. */
  #isBehind: boolean

  /** `typingVersion` names the list of who is typing now, 0 the empty one. */
  constructor(room: Room, alarms: AlarmScheduler<'settle'>, tell: Tell, typingVersion: () => number) {
    this.#room = room
    this.#ringer = new Ringer(room)
    this.#alarms = alarms
    this.#tell = tell
    this.#typingVersion = typingVersion
    this.#news = this.#now()
    this.#isBehind = room.reader.isKnown() && room.reader.header().toldPos < room.reader.header().pos
  }

  /**
   * Tells of a change; call it in the same turn as the change itself. Waits for those who must have heard before the request
   * is answered: its sender, and users whose membership changed. `now` is in milliseconds since 1970.
   */
  changed({ sender, changedMembers = [], only, isSilent }: Change, now: number): Promise<void> {
    const joined = this.#room.reader.localJoined()
    this.#alarms.ensure('settle', now + settleAfter)
    const quiet = this.#quietUsers()
    const stood = this.#news
    const stands = this.#now()
    if (only === undefined) this.#news = stands
    const isNews = stands.pos !== stood.pos || stands.typing !== stood.typing
    for (const user of isNews ? joined : []) {
      if (changedMembers.includes(user) || (only !== undefined && user !== only)) continue
      const rings = (!isSilent || user === sender) && this.#ringer.rings(user)
      if (quiet.has(user) && !rings) continue
      quiet.add(user)
      void this.#start(user)
    }
    for (const user of changedMembers) {
      if (joined.has(user)) quiet.add(user)
      else this.#noLongerQuiet(user)
      void this.#start(user)
    }
    const mustHear = sender === undefined ? changedMembers : [sender, ...changedMembers]
    return Promise.all(mustHear.map((user) => this.#underWay.get(user) ?? Promise.resolve())).then(() => undefined)
  }

  #now() {
    const { reader } = this.#room
    return { pos: reader.isKnown() ? reader.header().pos : 0, typing: this.#typingVersion() }
  }

  /** A user reads the room, in the turn in which this is called: the next change is told again. */
  read(user: UserId): void {
    this.#noLongerQuiet(user)
  }

  /** A user's object asks what rings, in the turn in which this is called: the next event is told again. */
  askedForPushes(user: UserId): void {
    this.#ringer.asked(user)
  }

  /** A user has no pushers any more. */
  stopPushes(user: UserId): void {
    this.#ringer.stop(user)
  }

  /**
   * Some time after changes: tells again what failed, writes down who did not read, notes that everybody was told. `servers`:
   * the position up to which other servers were.
   */
  async settle(now: number, servers = Infinity): Promise<void> {
    const { reader, transactor } = this.#room
    if (!reader.isKnown()) return
    const { toldPos } = reader.header()
    // An event that was stored since other servers were told is for the next time.
    const pos = Math.max(Math.min(reader.header().pos, servers), toldPos)
    if (this.#isBehind) {
      this.#isBehind = false
      for (const user of this.#toTellAgain(toldPos)) void this.#start(user)
    }
    await Promise.all(this.#underWay.values())
    if (this.#isBehind) throw new Error('not everybody could be told')
    const unwritten = [...this.#quietUsers()].filter((user) => !this.#written.has(user) && !this.#underWay.has(user))
    if (unwritten.length > 0) transactor.addQuiet(unwritten)
    for (const user of unwritten) this.#written.add(user)
    if (toldPos !== pos) transactor.setHeader({ toldPos: pos })
    if (reader.header().pos > pos) this.#alarms.reset('settle', now + settleAfter)
  }

  /** Joined users who may not know, and everyone whose membership changed. */
  #toTellAgain(toldPos: number): Set<UserId> {
    const { reader } = this.#room
    const query =
      "SELECT DISTINCT state_key AS user FROM events WHERE pos IS NOT NULL AND pos > ? AND type = 'm.room.member'"
    const members = reader.sql.exec<{ user: UserId }>(query, toldPos).toArray()
    const changed = members.map(({ user }) => user).filter((user) => reader.isLocal(user))
    const quiet = this.#quietUsers()
    const joined = [...reader.localJoined()].filter((user) => !quiet.has(user) || this.#ringer.isListening(user))
    return new Set(joined.concat(changed))
  }

  /** Tells a user the newest there is, after what they are being told already. The promise never rejects. */
  #start(user: UserId): Promise<void> {
    const before = this.#underWay.get(user) ?? Promise.resolve()
    const done = before
      .then(() => this.#limited(() => this.#call(user)))
      .finally(() => {
        if (this.#underWay.get(user) === done) this.#underWay.delete(user)
      })
    this.#underWay.set(user, done)
    return done
  }

  async #call(user: UserId): Promise<void> {
    const { reader } = this.#room
    const { roomId, pos } = reader.header()
    // A membership that state resolution took away is one that never was.
    const membership = reader.membership(user) ?? 'leave'
    const typing = this.#typingVersion()
    const rings = this.#ringer.newest(user)
    try {
      const isListening = await this.#tell(user, {
        roomId,
        pos,
        typing,
        membership,
        ...(rings === undefined ? {} : { rings }),
      })
      if (isListening === true) this.#goOn(user, pos, typing)
    } catch (error) {
      console.error('a user was not told', user, error)
      this.#noLongerQuiet(user)
      this.#isBehind = true
    }
  }

  /** A user who listens to everything was told of a version of the room: what came meanwhile is next. */
  #goOn(user: UserId, pos: number, typing: number): void {
    this.#noLongerQuiet(user)
    if (this.#room.reader.header().pos === pos && this.#typingVersion() === typing) return
    if (this.#room.reader.localJoined().has(user)) this.#quietUsers().add(user)
    void this.#start(user)
  }

  #noLongerQuiet(user: UserId): void {
    this.#quietUsers().delete(user)
    if (this.#written.delete(user)) this.#room.transactor.removeQuiet(user)
  }

  #quietUsers(): Set<UserId> {
    if (!this.#quiet) {
      const rows = this.#room.reader.sql.exec<{ user: UserId }>('SELECT user_id AS user FROM quiet').toArray()
      this.#quiet = new Set(rows.map(({ user }) => user))
      for (const user of this.#quiet) this.#written.add(user)
    }
    return this.#quiet
  }
}
