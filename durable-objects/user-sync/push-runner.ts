/**
 * From a room's news to the push gateways: asks rooms what rings, queues it, sends it.
 *
 * Spec: client-server-api/#push-notifications. The alarm is set in the turn in which a room told of news, and goes when
 * nothing is left to do: whatever is cut off is begun again, from rows. One push costs a question to the room and a request
 * to each gateway; without pushers nothing here runs.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { pushBody } from '#protocol/push-rules/push-body.ts'

import type { AlarmScheduler } from '../shared/alarm-scheduler.ts'
import { limiter } from '../shared/limit.ts'
import type { PushNews, PushNewsRequest } from '../room/push-news.ts'
import type { Sql } from '../shared/sql.ts'
import { ignoredUsers } from './account-data.ts'
import {
  addToBadges,
  dropPushers,
  hasPushers,
  nextQueued,
  nextTry,
  noteFailure,
  noteSent,
  type Pusher,
  pusherById,
  type PusherKey,
  pushers,
  queueNotifications,
  unreadTotal,
} from './pushers.ts'
import { isAhead, notePushNews, pushStart, roomsToLookThrough, rulesAt } from './push-rooms.ts'
import { getRoomPushRules } from './push-rules.ts'

/** What lies outside of the user's object. */
export interface PushWorld {
  readonly userId: UserId
  /** Null for a room that is not known any more. */
  askRoom(roomId: RoomId, request: PushNewsRequest): Promise<PushNews | null>
  /** Tells a room that it need not tell any more. */
  stopRoom(roomId: RoomId): Promise<void>
  /** Posts to a gateway; its rejected pushkeys, or undefined if it did not take the notification. */
  post(url: string, body: JsonObject): Promise<readonly string[] | undefined>
  /** These pushers are no more. */
  forget(keys: readonly PusherKey[]): Promise<void>
}

/** Whatever was not done is begun again after this, in ms. */
const finishWithin = 30_000
/** Between two looks at the rooms, in ms: a busy room is asked no more often. */
const pause = 500
const roomsAtOnce = 20

export class PushRunner {
  readonly #sql: Sql
  readonly #alarms: AlarmScheduler<'push'>
  readonly #world: PushWorld
  readonly #dirty = new Set<RoomId>()
  /** Those that could not be asked: the alarm comes back to them. */
  readonly #failed = new Set<RoomId>()
  readonly #sending = new Map<number, Promise<void>>()
  #asking: Promise<void> | undefined

  constructor(sql: Sql, alarms: AlarmScheduler<'push'>, world: PushWorld) {
    this.#sql = sql
    this.#alarms = alarms
    this.#world = world
  }

  /**
   * A room told of news in this turn; `rings` is where it may have rung, if the room knows that there are pushers. Returns
   * the work that follows, which the object has to be kept alive for.
   */
  told(change: { readonly roomId: RoomId; readonly pos: number; readonly rings?: number | undefined }): Promise<void> {
    const { roomId, pos, rings } = change
    if (!hasPushers(this.#sql)) return rings === undefined ? Promise.resolve() : this.#world.stopRoom(roomId)
    if (!isAhead(this.#sql, roomId, rings ?? pos)) return Promise.resolve()
    this.#dirty.add(roomId)
    return this.#start()
  }

  /** Pushers were set, or time has passed: looks at all that may have been left undone. */
  resume(): Promise<void> {
    if (!hasPushers(this.#sql)) return Promise.resolve()
    for (const roomId of [...roomsToLookThrough(this.#sql), ...this.#failed]) this.#dirty.add(roomId)
    this.#failed.clear()
    return this.#start()
  }

  #start(): Promise<void> {
    this.#alarms.ensure('push', Date.now() + finishWithin)
    this.#asking ??= this.#askRooms().finally(() => {
      this.#asking = undefined
    })
    return this.#asking.then(() => this.#settle())
  }

  /** Asks the rooms that have news until there are none. Gateways are written to meanwhile. */
  async #askRooms(): Promise<void> {
    for (let round = 0; this.#dirty.size > 0 || round === 0; round++) {
      if (round > 0) await new Promise((resolve) => setTimeout(resolve, pause))
      const rooms = [...this.#dirty]
      this.#dirty.clear()
      const limited = limiter(roomsAtOnce)
      await Promise.all(rooms.map((roomId) => limited(() => this.#askRoom(roomId))))
      this.#send()
    }
  }

  async #askRoom(roomId: RoomId): Promise<void> {
    const sql = this.#sql
    const judgedAt = rulesAt(sql, roomId)
    const request = {
      ...pushStart(sql, roomId),
      reader: this.#world.userId,
      pushRules: getRoomPushRules(sql, roomId),
      ignoredUsers: ignoredUsers(sql),
    }
    try {
      const news = await this.#world.askRoom(roomId, request)
      if (!hasPushers(sql)) return
      // Somebody else may have asked meanwhile; what was given then is not given again.
      if (news && pushStart(sql, roomId).after === request.after) {
        notePushNews(sql, roomId, news, judgedAt)
        // What was unread when the pusher was set, its client knows.
        if (request.after === 'now') addToBadges(sql, news.unread)
        else queueNotifications(sql, news.notifications, Date.now())
      }
    } catch (error) {
      console.error('a room could not be asked what rings', roomId, error)
      this.#failed.add(roomId)
    }
  }

  /** Sends what is queued, each pusher's in order and beside the others'. */
  #send(): void {
    for (const { id } of pushers(this.#sql)) {
      if (this.#sending.has(id) || !nextQueued(this.#sql, id)) continue
      const sent = this.#sendQueue(id).finally(() => this.#sending.delete(id))
      this.#sending.set(id, sent)
    }
  }

  async #sendQueue(id: number): Promise<void> {
    for (;;) {
      const pusher = pusherById(this.#sql, id)
      const queued = pusher && nextQueued(this.#sql, id)
      if (!pusher || !queued || pusher.nextAt > Date.now()) return
      const unread = unreadTotal(this.#sql)
      const isNews = queued.notification !== null || unread !== pusher.badge
      const rejected = isNews ? await this.#post(pusher, queued.notification, unread) : []
      if (!rejected) return noteFailure(this.#sql, pusher, Date.now())
      if (rejected.includes(pusher.fields.pushkey)) return this.#reject(pusher)
      noteSent(this.#sql, pusher, queued, unread)
    }
  }

  async #post(
    { fields, setAt }: Pusher,
    notification: Parameters<typeof pushBody>[0]['notification'],
    unread: number,
  ): Promise<readonly string[] | undefined> {
    const { url } = fields.data
    if (typeof url !== 'string') return undefined
    return this.#world.post(url, pushBody({ notification, unread, pusher: fields, setAt }))
  }

  /** "Homeservers must cease sending notification requests for these pushkeys and remove the associated pushers." */
  async #reject({ id }: Pusher): Promise<void> {
    await this.#world.forget(dropPushers(this.#sql, (pusher) => pusher.id === id))
  }

  /** Everything was asked for: what is left to do is to send, now or later. */
  async #settle(): Promise<void> {
    while (this.#sending.size > 0) await Promise.all(this.#sending.values())
    if (this.#asking || this.#dirty.size > 0) return
    const next = nextTry(this.#sql)
    const soon = this.#failed.size > 0 ? Date.now() + finishWithin : Infinity
    const at = Math.min(soon, next === undefined ? Infinity : Math.max(next, Date.now() + 1000))
    if (at === Infinity) this.#alarms.cancel('push')
    else this.#alarms.reset('push', at)
  }
}
