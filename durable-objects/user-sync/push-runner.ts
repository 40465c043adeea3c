/**
 * From a room's news to the push gateways, to browsers and to mail: asks rooms what rings, queues it, sends it.
 *
 * Spec: client-server-api/#push-notifications. The alarm is set in the turn in which a room told of news, and goes when
 * nothing is left to do: whatever is cut off is begun again, from rows. One push costs a question to the room and a request
 * to each gateway; without pushers nothing here runs.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { withoutSelf } from '#protocol/ignored-users.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { pushBody, type PushedEvent } from '#protocol/push-rules/push-body.ts'
import { isWebPush } from '#protocol/push-rules/pusher-kinds.ts'
import { activationMessage, type WebPushMessage, webPushMessage } from '#protocol/push-rules/web-push-body.ts'

import type { AlarmScheduler } from '../shared/alarm-scheduler.ts'
import { limiter } from '../shared/limit.ts'
import type { PushNews, PushNewsRequest } from '../room/push-news.ts'
import type { Sql } from '../shared/sql.ts'
import { ignoredUsers } from './account-data.ts'
import { collectDigest, digestDue, type LetterRoom, noteDigest } from './mail-digest.ts'
import {
  addToBadges,
  dropPushers,
  isActivationOver,
  hasPushers,
  nextQueued,
  nextTry,
  noteFailure,
  noteMailFailure,
  noteSent,
  type Pusher,
  pusherById,
  type PusherFields,
  type PusherKey,
  pushers,
  type Queued,
  queueNotifications,
  unreadTotal,
} from './pushers.ts'
import { hiddenInvite, isAhead, notePushNews, pushStart, roomsToLookThrough, rulesAt } from './push-rooms.ts'
import { getRoomPushRules } from './push-rules.ts'

/** What became of a notification; `gone`: the pusher is to be ended. */
export type Delivery = 'taken' | 'gone' | 'failed'

/** What became of a test; `off`: switched off, or not active yet. */
export interface TestedPusher {
  readonly kind: string
  readonly app_id: string
  readonly device: string
  readonly result: Delivery | 'off'
}

/** What lies outside of the user's object. */
export interface PushWorld {
  readonly userId: UserId
  /** Null for a room that is not known any more. */
  askRoom(roomId: RoomId, request: PushNewsRequest): Promise<PushNews | null>
  /** Tells a room that it need not tell any more. */
  stopRoom(roomId: RoomId): Promise<void>
  /** Posts to a gateway. */
  post(pusher: PusherFields, body: JsonObject): Promise<Delivery>
  pushToBrowser(pusher: PusherFields, message: WebPushMessage): Promise<Delivery>
  mail(pusher: Pusher, digest: { readonly rooms: readonly LetterRoom[] }): Promise<Delivery>
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

  /** Sends every pusher that is on a notification of nothing, once and at once. What waits in queues is not touched. */
  async test(notification: PushedEvent): Promise<TestedPusher[]> {
    const tested = pushers(this.#sql).map(async (pusher): Promise<TestedPusher> => {
      const { kind, app_id, device_display_name: device } = pusher.fields
      const result = pusher.enabled && pusher.isActive ? await this.#tell(pusher, notification) : 'off'
      if (result === 'gone') await this.#reject(pusher)
      return { kind, app_id, device, result }
    })
    return Promise.all(tested)
  }

  #tell(pusher: Pusher, notification: PushedEvent): Promise<Delivery> {
    if (pusher.fields.kind !== 'email') return this.#notify(pusher, notification, unreadTotal(this.#sql))
    const events = [{ ...notification, at: Date.now() }]
    return this.#world.mail(pusher, { rooms: [{ roomId: notification.room_id, events }] })
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
    const hidden = hiddenInvite(sql, roomId)
    if (hidden) return notePushNews(sql, roomId, { ...hidden, unread: 0 }, judgedAt)
    const request = {
      ...pushStart(sql, roomId),
      reader: this.#world.userId,
      pushRules: getRoomPushRules(sql, roomId),
      ignoredUsers: withoutSelf(ignoredUsers(sql), this.#world.userId),
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
    for (const { id, fields } of pushers(this.#sql)) {
      if (this.#sending.has(id) || !nextQueued(this.#sql, id)) continue
      const sending = fields.kind === 'email' ? this.#sendLetter(id) : this.#sendQueue(id)
      const sent = sending.finally(() => this.#sending.delete(id))
      this.#sending.set(id, sent)
    }
  }

  async #sendQueue(id: number): Promise<void> {
    for (;;) {
      const pusher = pusherById(this.#sql, id)
      const queued = pusher && nextQueued(this.#sql, id)
      if (!pusher || !queued || pusher.nextAt > Date.now()) return
      const unread = unreadTotal(this.#sql)
      const delivery = await this.#deliver(pusher, queued, unread)
      if (delivery === 'failed') return noteFailure(this.#sql, pusher, Date.now())
      if (delivery === 'gone') return this.#reject(pusher)
      noteSent(this.#sql, pusher, queued, unread)
    }
  }

  async #deliver(pusher: Pusher, queued: Queued, unread: number): Promise<Delivery> {
    if ('ackToken' in queued) {
      if (isActivationOver(queued, Date.now())) return 'taken'
      const { fields } = pusher
      return this.#world.pushToBrowser(fields, activationMessage(fields.app_id, queued.ackToken))
    }
    const { notification } = queued
    if (notification === null && unread === pusher.badge) return 'taken'
    return this.#notify(pusher, notification, unread)
  }

  async #notify(
    { fields, setAt }: Pick<Pusher, 'fields' | 'setAt'>,
    notification: PushedEvent | null,
    unread: number,
  ): Promise<Delivery> {
    if (isWebPush(fields.kind)) {
      return this.#world.pushToBrowser(fields, webPushMessage({ notification, unread, data: fields.data }))
    }
    return this.#world.post(fields, pushBody({ notification, unread, pusher: fields, setAt }))
  }

  /** One letter about all that is unread, once it is time for one. */
  async #sendLetter(id: number): Promise<void> {
    const pusher = pusherById(this.#sql, id)
    if (!pusher) return
    const digest = collectDigest(this.#sql, pusher)
    const due = digestDue(this.#sql, pusher, digest)
    if (due === undefined || due > Date.now()) return
    const delivery = await this.#world.mail(pusher, digest)
    if (delivery === 'failed') return noteMailFailure(this.#sql, pusher, Date.now())
    if (delivery === 'gone') return this.#reject(pusher)
    noteDigest(this.#sql, pusher, digest, Date.now())
  }

  /** When the next letter is due, in ms. What was read meanwhile is none. */
  #nextLetter(): number | undefined {
    const letters = pushers(this.#sql).filter(({ fields }) => fields.kind === 'email')
    const times = letters.map((pusher) => digestDue(this.#sql, pusher, collectDigest(this.#sql, pusher)))
    return times.reduce(
      (first, at) => (first === undefined || (at !== undefined && at < first) ? at : first),
      undefined,
    )
  }

  /** "Homeservers must cease sending notification requests for these pushkeys and remove the associated pushers." */
  async #reject({ id }: Pusher): Promise<void> {
    await this.#world.forget(dropPushers(this.#sql, (pusher) => pusher.id === id))
  }

  /** Everything was asked for: what is left to do is to send, now or later. */
  async #settle(): Promise<void> {
    while (this.#sending.size > 0) await Promise.all(this.#sending.values())
    if (this.#asking || this.#dirty.size > 0) return
    const next = Math.min(nextTry(this.#sql) ?? Infinity, this.#nextLetter() ?? Infinity)
    const soon = this.#failed.size > 0 ? Date.now() + finishWithin : Infinity
    const at = Math.min(soon, Math.max(next, Date.now() + 1000))
    if (at === Infinity) this.#alarms.cancel('push')
    else this.#alarms.reset('push', at)
  }
}
