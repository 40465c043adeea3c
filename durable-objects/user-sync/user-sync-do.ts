/**
 * One local user's stream: what their clients have to hear, and which of their clients wait for it. `idFromName(user_id)`.
 *
 * Longer than other files, since it is a user's whole contract in one place, a few lines a method.
 *
 * This class is the RPC surface; each method reads, decides and writes in one synchronous turn, through the file that
 * holds the idea. A user's rooms call `roomChanged`; the Worker that answers `/sync` calls `fetch` and `commit`.
 */
import { fail, type Failure, type Outcome } from '#protocol/errors.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { InviteVerdict } from '#protocol/invite-permission.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import type { Presence, PresenceState } from '#protocol/presence/presence.ts'
import type { PushedEvent } from '#protocol/push-rules/push-body.ts'
import type { PushRuleEdit, StoredPushRules } from '#protocol/push-rules/stored-rules.ts'
import { parseSlidingUrl, slidingIdleHeader, type SlidingRequest } from '#protocol/sliding-sync/request.ts'
import type { ProfileChange } from '#protocol/sync/profile-fields.ts'
import { formatSinceToken, parseSinceToken, type SinceToken } from '#protocol/sync/since-token.ts'
import { type Idle, idleHeader, parseWaitUrl } from '#protocol/sync/wait-request.ts'
import type { SessionToBackUp } from '#protocol/device-keys/key-backup.ts'
import type { Usage } from '#protocol/device-keys/cross-signing-keys.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { DurableObject } from 'cloudflare:workers'

import {
  type KeySignature,
  saveCrossSigningKeys,
  saveDeviceKeys,
  saveSignatures,
} from '../../worker/accounts/device-keys.ts'
import { removeProfileField, setProfileField } from '../../worker/accounts/profiles.ts'
import { forgetPushers } from '../../worker/accounts/pushers.ts'
import { findUser } from '../../worker/accounts/users.ts'
import { announcerFor } from '../../worker/e2ee/announcer.ts'
import { eraseInRooms, leaveRooms } from '../../worker/leave-rooms.ts'
import { tellPresence } from '../../worker/presence/presence-world.ts'
import { pushWorld } from '../../worker/push/push-world.ts'
import { settingsOf } from '../../worker/settings.ts'
import { AlarmScheduler } from '../shared/alarm-scheduler.ts'
import { dumpStorage } from '../shared/dump.ts'
import { loadPortion, type Portion } from '../shared/load.ts'

import type { Env } from '../../worker/env.ts'
import { remote } from '../../worker/remote.ts'
import { migrate } from '../shared/migrate.ts'
import { afterRestore } from '../shared/restored.ts'
import {
  type AccountDataEvent,
  type AccountDataKey,
  deleteAccountData,
  getAccountData,
  getTags,
  inviteVerdictBy,
  ignoredUsers,
  roomAccountData,
  setAccountData,
  setTag,
} from './account-data.ts'
import {
  countAttempt,
  dropDeparture,
  forgetEverything,
  mostAttempts,
  planDeparture,
  plannedDeparture,
  roomsToLeave,
} from './departure.ts'
import { announce, type DeviceChange, hasDeviceChanges, newestUpdate, noteDeviceChange } from './device-changes.ts'
import { noteDeviceListChange } from './device-lists.ts'
import {
  type DehydratedDevice,
  type DehydratedEvents,
  dehydratedDevice,
  dehydratedEvents,
  setDehydratedDevice,
} from './dehydrated-device.ts'
import { addDevice, endDevice, knownAs, noteKeys, noteNamed, seeDevice, setLocked } from './devices.ts'
import { type ExportedStream, exportData } from './export-data.ts'
import { getFilter, storeFilter } from './filters.ts'
import {
  backupInfo,
  type BackupInfo,
  type BackupScope,
  type BackupState,
  createBackup,
  deleteBackup,
  deleteKeys,
  putKeys,
  readKeys,
  updateBackup,
  type WrongVersion,
} from './key-backup.ts'
import {
  commitServed,
  type FailedRoom,
  heardOf,
  joinedRooms,
  type Membership,
  membershipIn,
  type RoomChange,
  type ServedRoom,
} from './marks.ts'
import { migrations } from './migrations.ts'
import {
  addKeys,
  claimKeys,
  type ClaimedDevices,
  countKeys,
  type GivenKeys,
  type UploadedKeys,
  voidKeys,
} from './one-time-keys.ts'
import { notePresence, PresenceKeeper, presenceOf } from './presence.ts'
import { noteProfileChange } from './profile-changes.ts'
import { beginDay, dayOf } from './prune.ts'
import {
  activatePusher,
  dropPushers,
  hasPushers,
  type Pusher,
  type PusherKey,
  pushers,
  setPusher,
  type WantedPusher,
} from './pushers.ts'
import { PushRunner, type TestedPusher } from './push-runner.ts'
import { beginRooms } from './push-rooms.ts'
import {
  changePushRules,
  copyRoomRule,
  getPushRules,
  getRoomsPushRules,
  notePushRulesForThreads,
  type PushRulesEdited,
} from './push-rules.ts'
import { hasNews, readStream } from './read.ts'
import { commitSliding, noteChange, type SlidingAnswer } from './sliding/commit-sliding.ts'
import { connect, newsFor } from './sliding/connect.ts'
import { dropConnections, GivenMemory, tokenOfPos } from './sliding/connections.ts'
import type { SlidingState } from './sliding/read-sliding.ts'
import { refreshRooms } from './sliding/refresh.ts'
import { staleRooms } from './sliding/room-facts.ts'
import { listSubscriptions } from './sliding/list-subscriptions.ts'
import { renewStream } from './restored.ts'
import { RoomIndex } from './sliding/room-index.ts'
import { hasSlidingNews, idleOf, type SlidingRead } from './sliding/sliding-read.ts'
import { Turns } from './sliding/turns.ts'
import { loadStream } from './stream.ts'
import {
  boundQueues,
  deliverToDevices,
  isTimeToBound,
  queueToDevice,
  type ToDeviceDelivery,
  type ToDeviceEvent,
} from './to-device.ts'
import { subscribe, subscriptionTo, type Thread, type ThreadSubscription, unsubscribe } from './thread-subscriptions.ts'
import { addWaiter, endKeyWaitersOf, endWaitersOf, hasSlidingWaiter, waitingPresence, wakeWaiters } from './waiters.ts'

const newEpoch = () => crypto.randomUUID().slice(0, 8)

const localNotificationSettings = ['m.local_notification_settings', 'org.matrix.msc3890.local_notification_settings']

/** Telling others of one's devices is cut off when the object dies: then the alarm does it, in ms. */
const announceWithin = 20_000
/** When to take up again what is left of ending an account, in ms; twice as long each time. */
const departAgain = 60_000
/** Rooms that are left before the answer. */
const leftAtOnce = 100
/** What can wait, in ms. */
const laterWithin = 4_000
/** A client of sliding sync that was here within this, in ms, will be back: rooms tell every change. */
const stillListening = 60_000
/** So many rooms are asked how they stand before an answer; where they are more, it goes by what is known. */
const fewRooms = 100

export class UserSyncDO extends DurableObject<Env> {
  readonly #sql = this.ctx.storage.sql
  readonly #stream
  readonly #alarms = new AlarmScheduler<'announce' | 'push' | 'presence' | 'depart'>(this.ctx.storage)
  #announcing: Promise<void> | undefined
  readonly #sliding: SlidingState
  /** When a client asked last by sliding sync, in ms. */
  #slidAt = 0
  /** Devices that shall have an answer about their keys, and had no request that waited. */
  readonly #owed = new Set<string>()
  /** Connections of sliding sync whose client gets something for its keys to do with the answer that is on its way. */
  readonly #keysToDo = new Set<number>()
  #refreshing: Promise<void> | undefined
  #pushRunner: PushRunner | undefined
  #presenceKeeper: PresenceKeeper | undefined

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    migrate(ctx.storage, migrations)
    afterRestore(ctx.storage, env.RESTORED, () => this.#renew())
    this.#stream = loadStream(this.#sql, newEpoch)
    const [index, given, turns] = [new RoomIndex(this.#sql), new GivenMemory(), new Turns()]
    this.#sliding = { sql: this.#sql, stream: this.#stream, index, given, turns }
  }

  /**
   * A room tells that it has something newer for this user, or that the user's membership changed. May come twice, late
   * and out of order; `pos`, `typing` and `membership` must have been read in one turn of the room. Answers whether the
   * next change is wanted as well, read or not: a client of sliding sync is here.
   */
  async roomChanged(change: RoomChange & { rings?: number }): Promise<boolean> {
    beginDay(this.#sql, this.#stream, Date.now())
    const before = membershipIn(this.#sql, change.roomId)
    const isListening = Date.now() < this.#slidAt + stillListening || hasSlidingWaiter(this.ctx)
    const isNews = noteChange(this.#sliding, change, !isListening)
    // Whether an invite may ring depends on who it is by, which has just been noted.
    this.#push((pushes) => pushes.told(change))
    if (!isNews) return isListening
    this.#wake()
    const isNewcomer = before !== 'join' && membershipIn(this.#sql, change.roomId) === 'join'
    if (!isNewcomer) return isListening
    // Not at once: rooms are often joined several at a time, and their members hear of the join itself.
    noteDeviceChange(this.#sql, { kind: 'joined', name: change.roomId })
    this.#alarms.ensure('announce', Date.now() + laterWithin)
    if (settingsOf(this.env).presence) this.#present((keeper) => keeper.joined(change.roomId))
    return isListening
  }

  /** A room found out that servers are in it of which it did not know: they may not follow this user's devices yet. */
  async roomHasNewServers({ roomId }: { roomId: RoomId }): Promise<void> {
    // What changed until now they have missed.
    this.#announceSoon({ kind: 'joined', name: roomId })
  }

  /**
   * Reads the stream for `/sync` (protocol/sync/wait-request.ts has its form). Answers a `Read` or a failure as JSON; or, when
   * there is no news and the client can wait, a WebSocket that will carry such an answer as its only frame.
   */
  override async fetch(request: Request): Promise<Response> {
    const sliding = parseSlidingUrl(request.url)
    if (sliding) return this.#slide(sliding)
    const { wait, ...asked } = parseWaitUrl(request.url)
    const now = Date.now()
    const { presence, deviceId } = asked
    if (presence !== undefined) this.#present((keeper) => keeper.polled(deviceId, presence, now))
    const result = readStream(this.#sql, this.#stream, asked, now)
    if (!wait || !result.ok || hasNews(result)) return Response.json(result)
    const waiter = { ...asked, since: result.nextBatch, fullState: false } as const
    const webSocket = addWaiter(this.ctx, waiter, now)
    const idle: Idle = { nextBatch: result.nextBatch, keys: result.keys }
    return new Response(null, { status: 101, webSocket, headers: { [idleHeader]: JSON.stringify(idle) } })
  }

  /** The same for sliding sync. */
  async #slide({ wait, ...asked }: SlidingRequest & { wait: boolean }): Promise<Response> {
    const read = await this.readSliding(asked)
    const { deviceId, connId, toDeviceSince, stickySince } = asked
    const keys = read.ok && read.extensions.e2ee !== undefined
    const isOwed = keys && this.#owed.delete(deviceId)
    if (!wait || !read.ok || hasSlidingNews(read) || isOwed) return Response.json(read)
    const { connection, pos, turn } = read
    const waiter = { deviceId, connId, toDeviceSince, stickySince, connection, pos, turn, keys }
    const webSocket = addWaiter(this.ctx, waiter, Date.now())
    const idle = encodeURIComponent(JSON.stringify(idleOf(read)))
    return new Response(null, { status: 101, webSocket, headers: { [slidingIdleHeader]: idle } })
  }

  /** A device has said something with a new room key: its client shall have an answer, with which it keeps that key. */
  async saidWithNewKey({ deviceId }: { deviceId: string }): Promise<void> {
    this.#answerForKeys(deviceId)
  }

  #answerForKeys(deviceId: string): void {
    if (!endKeyWaitersOf(this.ctx, deviceId)) this.#owed.add(deviceId)
  }

  /** Reads for sliding sync without waiting: for requests that are too large for a URL, and begin with this. */
  async readSliding(request: SlidingRequest): Promise<SlidingRead | Failure> {
    this.#slidAt = Date.now()
    await this.#refresh()
    const read = connect(this.#sliding, request, this.#slidAt)
    if (!read.ok) return read
    endWaitersOf(this.ctx, read.connection)
    // Whoever comes with a position has read what was before it.
    if (request.pos !== undefined && this.#keysToDo.delete(read.connection)) this.#answerForKeys(request.deviceId)
    return read
  }

  /** Rooms that told no more while the user was away are asked: before the answer if they are few, else behind it. */
  async #refresh(): Promise<void> {
    const stale = staleRooms(this.#sql)
    if (stale.length === 0) return
    this.#refreshing ??= refreshRooms(this.#sliding, stale, {
      ask: (roomId) => remote(this.env.ROOM, roomId).newsFor({ user: this.#userId() }),
      noted: () => this.#wake(),
    }).finally(() => {
      this.#refreshing = undefined
    })
    if (stale.length <= fewRooms) await this.#refreshing
    else this.ctx.waitUntil(this.#refreshing)
  }

  #userId(): UserId {
    const userId = parseUserId(this.ctx.id.name)
    if (!userId) throw new TypeError('the object of no user')
    return userId
  }

  /** Notes what an answer of sliding sync gave. Null where its connection moved on; else the client's next `pos`. */
  async commitSliding(answer: SlidingAnswer): Promise<string | null> {
    beginDay(this.#sql, this.#stream, Date.now())
    const { pos, isNews } = commitSliding(this.#sliding, answer)
    if (isNews) this.#wake()
    if (pos !== undefined && answer.keysToDo) this.#keysToDo.add(answer.connection)
    return pos ?? null
  }

  /**
   * Notes what an answer served, where that is not what was known when it was read. Returns the token that goes with it.
   * The answer must not be sent before this returned.
   */
  async commit(answer: {
    token: SinceToken
    served: readonly ServedRoom[]
    failed: readonly FailedRoom[]
  }): Promise<string> {
    beginDay(this.#sql, this.#stream, Date.now())
    const { read } = answer.token
    const served = commitServed(this.#sql, this.#stream, { read, served: answer.served, failed: answer.failed })
    for (const { roomId } of [...answer.served, ...answer.failed]) this.#sliding.index.changed(roomId)
    this.#wake()
    return formatSinceToken({ ...answer.token, served }, this.#stream.epoch)
  }

  /**
   * Which version of a room the holder of a sync token has heard: for tokens given to `/messages` and `/members`. MSC4186: "A
   * `pos` token can be used in `/messages` and `/relations` APIs".
   */
  async roomPosition(at: { roomId: RoomId; token: string }): Promise<Outcome<{ pos: number }>> {
    const since = parseSinceToken(at.token, this.#stream)
    const token = since.kind === 'ours' ? since.token : tokenOfPos(this.#sql, this.#stream, at.token)
    const heard = token ? heardOf(this.#sql, at.roomId, token) : null
    return heard ? { ok: true, pos: heard.pos } : fail('invalid_param', 'That token says nothing about this room')
  }

  /** The rooms this user is joined to, as far as they have told. */
  async joinedRooms(): Promise<RoomId[]> {
    return joinedRooms(this.#sql)
  }

  /** Every room this user has to do with, left ones included. */
  async rooms(): Promise<{ roomId: RoomId; membership: Membership }[]> {
    return this.#sql
      .exec<{ roomId: RoomId; membership: Membership }>(
        'SELECT room_id AS roomId, membership FROM rooms ORDER BY room_id',
      )
      .toArray()
  }

  /** Sets account data, global without `roomId`. Which types a client may set is decided by the caller. */
  async setAccountData({ content, ...key }: AccountDataKey & { content: JsonObject }): Promise<void> {
    setAccountData(this.#sql, this.#stream, key, content)
    if (key.roomId) this.#sliding.index.changed(key.roomId)
    this.#wake()
  }

  /** Takes account data away; nothing happens where there is none. */
  async deleteAccountData(key: AccountDataKey): Promise<void> {
    if (deleteAccountData(this.#sql, this.#stream, key)) this.#wake()
  }

  /** What becomes of invites by a user. */
  async inviteVerdict(inviter: UserId): Promise<InviteVerdict> {
    return inviteVerdictBy(this.#sql, inviter)
  }

  async getAccountData(key: AccountDataKey): Promise<Outcome<{ content: JsonObject }>> {
    const content = getAccountData(this.#sql, key)
    return content ? { ok: true, content } : fail('not_found', 'No account data of this type')
  }

  /** All account data of one room. */
  async roomAccountData(roomId: RoomId): Promise<AccountDataEvent[]> {
    return roomAccountData(this.#sql, roomId)
  }

  /** The tags of a room, by name. */
  async tags(roomId: RoomId): Promise<JsonObject> {
    return getTags(this.#sql, roomId)
  }

  /** Adds or replaces a tag; without `content` removes it. */
  async setTag(change: { roomId: RoomId; tag: string; content?: JsonObject }): Promise<void> {
    setTag(this.#sql, this.#stream, change.roomId, change.tag, change.content)
    this.#sliding.index.changed(change.roomId)
    this.#wake()
  }

  /** What this user made of the push rules. */
  async pushRules(): Promise<StoredPushRules> {
    return getPushRules(this.#sql)
  }

  /** Changes a push rule; the form of the change was checked. */
  async changePushRules({ userId, edit }: { userId: UserId; edit: PushRuleEdit }): Promise<PushRulesEdited> {
    const { pushesEncrypted } = settingsOf(this.env)
    const edited = changePushRules(this.#sql, this.#stream, { userId, edit, pushesEncrypted })
    if (edited.ok) this.#wake()
    return edited
  }

  /** A room was replaced: its push rule holds for the new one as well. */
  async copyRoomRule({ from, to }: { from: RoomId; to: RoomId }): Promise<void> {
    if (copyRoomRule(this.#sql, this.#stream, from, to)) this.#wake()
  }

  /** Stores a filter whose form has been checked. */
  async storeFilter(filter: JsonObject): Promise<Outcome<{ filterId: string }>> {
    const filterId = storeFilter(this.#sql, filter)
    return filterId ? { ok: true, filterId } : fail('limit_exceeded', 'Too many filters')
  }

  async filter(filterId: string): Promise<Outcome<{ filter: JsonObject }>> {
    const filter = getFilter(this.#sql, filterId)
    return filter ? { ok: true, filter } : fail('not_found', 'No such filter')
  }

  /** Events of this user will wait in a room. */
  async noteDelayedRoom(roomId: RoomId): Promise<void> {
    this.#sql.exec('INSERT OR IGNORE INTO delayed_rooms(room_id) VALUES (?)', roomId)
  }

  /** Rooms in which events may wait. */
  async delayedRooms(): Promise<RoomId[]> {
    return this.#sql
      .exec<{ roomId: RoomId }>('SELECT room_id AS roomId FROM delayed_rooms ORDER BY room_id')
      .toArray()
      .map(({ roomId }) => roomId)
  }

  /** Nothing waits there any more, nor is there anything to tell of what did. */
  async forgetDelayedRooms(rooms: readonly RoomId[]): Promise<void> {
    const query = 'DELETE FROM delayed_rooms WHERE room_id IN (SELECT value FROM json_each(?))'
    this.#sql.exec(query, JSON.stringify(rooms))
  }

  // —— Presence ——

  /** A user says whether they are there. */
  async setPresence(said: {
    deviceId: string
    presence: PresenceState
    statusMsg: string | undefined
  }): Promise<Outcome> {
    const now = Date.now()
    if (!seeDevice(this.#sql, said.deviceId, dayOf(now))) return fail('unknown_token')
    this.#present((keeper) => keeper.set(said.deviceId, said.presence, said.statusMsg, now))
    return { ok: true }
  }

  /** What is known of a user with whom this one shares a room, or of themselves. */
  async presenceOf({ userId }: { userId: UserId }): Promise<Presence | null> {
    return presenceOf(this.#sql, userId) ?? null
  }

  /** Somebody who shares a room says whether they are there, and may ask the same. */
  async presenceTold(told: { userId: UserId; presence: Presence; ask: boolean }): Promise<Presence | null> {
    const { userId, presence, ask } = told
    // Whoever just came and was never there is no news.
    if (!ask || presence.lastActive !== undefined) notePresence(this.#sql, this.#stream, userId, presence)
    this.#wake()
    return ask ? (presenceOf(this.#sql, this.#userId()) ?? null) : null
  }

  #presence(): PresenceKeeper {
    const userId = this.#userId()
    return (this.#presenceKeeper ??= new PresenceKeeper(this.#sql, this.#stream, this.#alarms, {
      userId,
      joinedRooms: () => joinedRooms(this.#sql),
      waiting: () => waitingPresence(this.ctx),
      tell: (rooms, presence, ask) => tellPresence(this.env, userId, { rooms, presence, ask }),
      noted: () => this.#wake(),
    }))
  }

  /** Tells others behind the answer. What is lost of it, the next change makes good. */
  #present(change: (keeper: PresenceKeeper) => Promise<unknown>): void {
    const told = change(this.#presence()).catch((error: unknown) => console.error('presence was not told', error))
    this.ctx.waitUntil(told)
  }

  // —— Pushers ——

  /** The user's pushers, oldest first. */
  async pushers(): Promise<Pusher[]> {
    return pushers(this.#sql)
  }

  /** Adds or replaces a pusher whose form was checked, for a device that is there. */
  async setPusher(wanted: WantedPusher): Promise<Outcome<{ isActive: boolean }>> {
    const now = Date.now()
    if (!seeDevice(this.#sql, wanted.deviceId, dayOf(now))) return fail('unknown_token')
    const isFirst = !hasPushers(this.#sql)
    const pusher = setPusher(this.#sql, wanted, now)
    if (!pusher) return fail('limit_exceeded', 'Too many pushers')
    if (isFirst) beginRooms(this.#sql)
    this.#push((pushes) => pushes.resume())
    return { ok: true, isActive: pusher.isActive }
  }

  /** A client proves that it gets what is sent by web push. */
  async activatePusher(proof: { appId: string; token: string }): Promise<Outcome> {
    switch (activatePusher(this.#sql, proof, Date.now())) {
      case 'active':
        return { ok: true }
      case 'no_pusher':
        return fail('not_found', 'No such pusher')
      case 'expired':
        return fail('expired_activation_token')
      case 'unknown':
        return fail('unknown_activation_token')
    }
  }

  /** Sends a notification of nothing to every pusher, and tells what became of it. */
  async testPushers(notification: PushedEvent): Promise<TestedPusher[]> {
    return this.#pushes().test(notification)
  }

  /** Whose letters this token ends, which stands in each of them; and ends them. Null for no pusher of kind `email`. */
  async mailAddressOf({ token, end }: { token: string; end: boolean }): Promise<string | null> {
    const isIt = ({ fields, secret }: Pusher) => fields.kind === 'email' && secret === token
    const address = pushers(this.#sql).find(isIt)?.fields.pushkey ?? null
    if (address !== null && end) await forgetPushers(this.env, this.#userId(), dropPushers(this.#sql, isIt))
    return address
  }

  /** Ends a pusher, if it is there: by its user's wish, or since somebody else uses that pushkey now. */
  async removePusher({ appId, pushkey }: PusherKey): Promise<void> {
    dropPushers(this.#sql, ({ fields }) => fields.app_id === appId && fields.pushkey === pushkey)
  }

  /** By which rules and whose messages notifications are listed, and the rooms to look into, newest change first. */
  async notificationSources({ limit }: { limit: number }) {
    const rooms = this.#sql
      .exec<{ roomId: RoomId }>(
        "SELECT room_id AS roomId FROM rooms WHERE membership = 'join' ORDER BY changed_at DESC LIMIT ?",
        limit,
      )
      .toArray()
      .map(({ roomId }) => roomId)
    return { rooms, ...getRoomsPushRules(this.#sql, rooms), ignoredUsers: ignoredUsers(this.#sql) }
  }

  #pushes(): PushRunner {
    return (this.#pushRunner ??= new PushRunner(this.#sql, this.#alarms, pushWorld(this.env, this.#userId())))
  }

  /** Keeps the object alive for pushes that follow from this turn; the alarm looks after what is cut off. */
  #push(begin: (pushes: PushRunner) => Promise<void>): void {
    const done = begin(this.#pushes()).catch((error: unknown) => console.error('pushes were not sent', error))
    this.ctx.waitUntil(done)
  }

  // —— Threads that the user follows ——

  async threadSubscription(thread: Thread): Promise<Outcome<{ automatic: boolean }>> {
    const subscription = subscriptionTo(this.#sql, thread)
    return subscription ? { ok: true, automatic: subscription.isAutomatic } : fail('not_found', 'Not subscribed')
  }

  /** Subscribes to a thread that the user may see. `causedAt` for an automatic subscription. */
  async subscribeToThread(thread: Thread & { causedAt: number | null }): Promise<Outcome> {
    const done = subscribe(this.#sql, this.#stream, thread)
    if (done.ok && done.changed) {
      notePushRulesForThreads(this.#sql, this.#stream)
      this.#wake()
    }
    return done.ok ? { ok: true } : done
  }

  async unsubscribeFromThread(thread: Thread & { endedAt: number }): Promise<void> {
    if (unsubscribe(this.#sql, this.#stream, thread)) this.#wake()
  }

  /** A page of changes, newest first; `end` where there may be more. Fails with `invalid_param`. */
  async threadSubscriptions(page: {
    from: string | undefined
    to: string | undefined
    limit: number
  }): Promise<Outcome<{ changes: ThreadSubscription[]; end: string | null }>> {
    return listSubscriptions(this.#sliding, page)
  }

  // —— Devices and their keys ——

  /** A device was signed in, perhaps under an ID that was ended before. To be called before its token is given out. */
  async deviceAdded(deviceId: string): Promise<void> {
    addDevice(this.#sql, deviceId)
  }

  /** A device was signed out: its waiting syncs end with `unknown_token`, and so does every later one. */
  async endDevice(deviceId: string): Promise<void> {
    const wasKnown = knownAs(this.#sql, deviceId)
    endDevice(this.#sql, deviceId, dayOf(Date.now()))
    // MSC3890 (unstable): what was set for its notifications goes with the device.
    for (const prefix of localNotificationSettings) {
      deleteAccountData(this.#sql, this.#stream, { type: `${prefix}.${deviceId}` })
    }
    dropConnections(this.#sql, deviceId)
    const dropped = dropPushers(this.#sql, (pusher) => pusher.deviceId === deviceId)
    if (wasKnown) this.#announceSoon({ kind: wasKnown === 'named' ? 'renamed' : 'device', name: deviceId })
    this.#wake()
    if (settingsOf(this.env).presence) this.#present((keeper) => keeper.ended(deviceId, Date.now()))
    if (dropped.length > 0) await forgetPushers(this.env, this.#userId(), dropped)
  }

  /** The account was locked or unlocked: waiting syncs end like those of an ended device. */
  async setLocked({ isLocked, deviceIds }: { isLocked: boolean; deviceIds: readonly string[] }): Promise<void> {
    setLocked(this.#sql, deviceIds, isLocked, dayOf(Date.now()))
    this.#wake()
  }

  /**
   * A device was given another name in D1. "…must be sent whenever that user's device list changes (i.e. for … changes in
   * device information such as the device's human-readable name)": also while it has no keys, for which nobody looks yet.
   */
  async deviceRenamed(deviceId: string): Promise<void> {
    const tellsNames = settingsOf(this.env).tellsDeviceNames
    if (!tellsNames && knownAs(this.#sql, deviceId) !== 'encrypting') return
    if (tellsNames) noteNamed(this.#sql, deviceId)
    this.#announceSoon({ kind: 'renamed', name: deviceId })
  }

  /**
   * Takes keys of a device whose form was checked: all of them or none. `deviceKeys` only where they are others than before;
   * `isAnother`: with another identity, so that the one-time keys of the former one go. Answers with the one-time keys that
   * are left. Fails with `invalid_param` for a known key ID with another key.
   */
  async uploadKeys({
    deviceKeys,
    isAnother,
    ...keys
  }: UploadedKeys & { userId: UserId; deviceKeys?: JsonObject | undefined; isAnother?: boolean }): Promise<
    Outcome<{ counts: Record<string, number> }>
  > {
    const { userId, deviceId } = keys
    if (!seeDevice(this.#sql, deviceId, dayOf(Date.now()))) return fail('unknown_token')
    if (isAnother) voidKeys(this.#sql, deviceId)
    const added = addKeys(this.#sql, keys)
    if (!added.ok) return added
    const counts = countKeys(this.#sql, deviceId)
    if (deviceKeys) {
      noteKeys(this.#sql, deviceId)
      await this.#changing({ kind: 'device', name: deviceId }, () =>
        saveDeviceKeys(this.env, userId, deviceId, deviceKeys),
      )
    }
    return { ok: true, counts }
  }

  /** Gives out one-time keys, each once, or fallback keys. */
  async claimKeys(wanted: ClaimedDevices): Promise<GivenKeys> {
    return claimKeys(this.#sql, wanted)
  }

  /** The device without a client. Fails with `not_found`. */
  async dehydratedDevice(): Promise<Outcome<DehydratedDevice>> {
    const device = dehydratedDevice(this.#sql)
    return device ? { ok: true, ...device } : fail('not_found', 'No dehydrated device')
  }

  /** Makes a device that has its keys the dehydrated one. Answers which one was it before, for the caller to remove. */
  async setDehydratedDevice(device: DehydratedDevice): Promise<string | null> {
    return setDehydratedDevice(this.#sql, device) ?? null
  }

  /** A page of messages for the dehydrated device; `forbidden` for any other. */
  async dehydratedEvents(asked: { deviceId: string; after: number }): Promise<Outcome<DehydratedEvents>> {
    if (dehydratedDevice(this.#sql)?.deviceId !== asked.deviceId) {
      return fail('forbidden', 'Only messages for your dehydrated device are given here')
    }
    return { ok: true, ...dehydratedEvents(this.#sql, asked.deviceId, asked.after) }
  }

  /** Replaces cross-signing keys that were checked. */
  async setCrossSigningKeys(change: {
    userId: UserId
    keys: { readonly [Name in Usage]?: JsonObject }
  }): Promise<void> {
    await this.#changing({ kind: 'signing', name: '' }, () =>
      saveCrossSigningKeys(this.env, change.userId, change.keys),
    )
  }

  /** Adds checked signatures by this user. `devices` and `signing`: what of the user's own they are on. */
  async addSignatures(change: {
    userId: UserId
    signatures: readonly KeySignature[]
    devices: readonly string[]
    signing: boolean
  }): Promise<void> {
    const changes: DeviceChange[] = change.devices.map((name) => ({ kind: 'device', name }))
    if (change.signing) changes.push({ kind: 'signing', name: '' })
    for (const each of changes) noteDeviceChange(this.#sql, each)
    await saveSignatures(this.env, change.signatures)
    if (changes.length > 0) this.#announceSoon()
    // Signatures on somebody else's key are for this user's own devices only.
    const others = new Set(change.signatures.map(({ targetUser }) => targetUser).filter((id) => id !== change.userId))
    for (const other of others) noteDeviceListChange(this.#sql, this.#stream, other, false)
    this.#wake()
  }

  /** The newest `stream_id` that other servers were sent. */
  async deviceListVersion(): Promise<number> {
    return newestUpdate(this.#sql)
  }

  override async alarm(): Promise<void> {
    await this.#alarms.run(Date.now(), {
      announce: () => this.#announce(),
      push: () => this.#pushes().resume(),
      presence: async () => void (await this.#presence().look(Date.now())),
      depart: () => this.#depart(),
    })
  }

  // —— The end of the account ——

  /** The account is about to end. Whatever is cut off after this, the alarm goes on with. */
  async planDeparture({ erase }: { erase: boolean }): Promise<void> {
    planDeparture(this.#sql, erase)
    this.#alarms.ensure('depart', Date.now() + departAgain)
  }

  /** The account has ended: forgets what is kept here and leaves the rooms; those of a long list behind the answer. */
  async depart(): Promise<void> {
    if (!plannedDeparture(this.#sql)) return
    forgetEverything(this.#sql)
    this.#wake()
    await leaveRooms(this.env, this.#userId(), roomsToLeave(this.#sql).slice(0, leftAtOnce))
    this.ctx.waitUntil(this.#depart().catch((error: unknown) => console.error('rooms were not left', error)))
  }

  /** Does what is left to do. */
  async #depart(): Promise<void> {
    const planned = plannedDeparture(this.#sql)
    if (!planned) return
    const userId = this.#userId()
    const user = await findUser(this.env, userId)
    if (!user || user.deactivatedAt === null) {
      // It was planned and then not done.
      dropDeparture(this.#sql)
      return
    }
    forgetEverything(this.#sql)
    this.#wake()
    const failed = await leaveRooms(this.env, userId, roomsToLeave(this.#sql))
    const known = this.#sql.exec<{ roomId: RoomId }>('SELECT room_id AS roomId FROM rooms').toArray()
    const rooms = planned.erase ? known.map(({ roomId }) => roomId) : []
    failed.push(...(await eraseInRooms(this.env, userId, rooms)))
    if (failed.length === 0 || planned.attempts >= mostAttempts) {
      dropDeparture(this.#sql)
      this.#sql.exec('DELETE FROM rooms')
      this.#alarms.cancel('depart')
      return
    }
    countAttempt(this.#sql)
    this.#alarms.reset('depart', Date.now() + departAgain * 2 ** planned.attempts)
  }

  /** Notes a change, makes it, and tells of it. */
  async #changing(change: DeviceChange, make: () => Promise<void>): Promise<void> {
    noteDeviceChange(this.#sql, change)
    this.#alarms.ensure('announce', Date.now() + announceWithin)
    await make()
    this.#announceSoon()
  }

  /** Tells of changes behind the answer; the alarm does if that is cut off. */
  #announceSoon(change?: DeviceChange): void {
    if (change) noteDeviceChange(this.#sql, change)
    this.#alarms.ensure('announce', Date.now() + announceWithin)
    this.ctx.waitUntil(this.#announce().catch((error: unknown) => console.error('devices not announced', error)))
  }

  /** One at a time: what comes meanwhile goes with the next round. */
  async #announce(): Promise<void> {
    const before = this.#announcing
    if (before) {
      await before.catch(() => undefined)
      if (!hasDeviceChanges(this.#sql)) return
    }
    this.#announcing ??= this.#announceAll().finally(() => {
      this.#announcing = undefined
    })
    await this.#announcing
  }

  async #announceAll(): Promise<void> {
    const userId = this.#userId()
    const world = announcerFor(this.env, userId, () => joinedRooms(this.#sql), {
      devicesChanged: () => {
        noteDeviceListChange(this.#sql, this.#stream, userId, false)
        this.#wake()
      },
      profileChanged: (fields) => this.#noteProfile({ userId, fields }),
    })
    await announce(this.#sql, this.#stream, userId, world)
    if (!hasDeviceChanges(this.#sql)) this.#alarms.cancel('announce')
  }

  // —— Profiles ——

  /** Sets a field of this user's profile; without `value` removes it. False where the profile would become too large. */
  async changeProfile({ name, value }: { name: string; value?: JsonValue }): Promise<boolean> {
    const userId = this.#userId()
    let isDone = true
    await this.#changing({ kind: 'profile', name }, async () => {
      if (value === undefined) await removeProfileField(this.env, userId, name)
      else isDone = await setProfileField(this.env, userId, name, value)
    })
    return isDone
  }

  /** Fields of the profile of somebody with whom a room is shared changed. */
  async profileChanged(change: { userId: UserId; fields: readonly string[] }): Promise<void> {
    this.#noteProfile(change)
  }

  #noteProfile(change: ProfileChange): void {
    if (noteProfileChange(this.#sql, this.#stream, change)) this.#wake()
  }

  // —— Key backup ——

  /** Begins a backup; answers with its version. */
  async createBackup(backup: { algorithm: string; authData: JsonObject }): Promise<string> {
    return createBackup(this.#sql, backup.algorithm, backup.authData)
  }

  /** A version of the backup, or the newest. */
  async backupInfo(asked: { version?: string }): Promise<Outcome<BackupInfo>> {
    return backupInfo(this.#sql, asked.version)
  }

  async updateBackup(backup: { version: string; algorithm: string; authData: JsonObject }): Promise<Outcome> {
    return updateBackup(this.#sql, backup.version, backup)
  }

  async deleteBackup(asked: { version: string }): Promise<Outcome> {
    return deleteBackup(this.#sql, asked.version)
  }

  /** Stores keys in the newest version, where they are better than those that are there. */
  async putBackupKeys(backup: {
    version: string
    sessions: readonly SessionToBackUp[]
  }): Promise<Outcome<BackupState> | WrongVersion> {
    return putKeys(this.#sql, backup.version, backup.sessions)
  }

  /** A page of keys, in order. */
  async backupKeys(
    asked: BackupScope & { after?: { roomId: string; sessionId: string }; limit: number },
  ): Promise<Outcome<{ sessions: SessionToBackUp[] }>> {
    return readKeys(this.#sql, asked, asked.after, asked.limit)
  }

  async deleteBackupKeys(scope: BackupScope): Promise<Outcome<BackupState>> {
    return deleteKeys(this.#sql, scope)
  }

  // —— Messages to devices, and news of others' devices ——

  /** Messages for devices of this user, which must exist. Sent again they are no news. */
  async deliverToDevices(delivery: ToDeviceDelivery): Promise<void> {
    const when = { self: this.#userId(), today: dayOf(Date.now()) }
    beginDay(this.#sql, this.#stream, Date.now())
    const before = this.#stream.position
    if (!deliverToDevices(this.#sql, this.#stream, delivery, when)) return
    // Not at every message: to count is to read.
    if (isTimeToBound(before, this.#stream.position)) boundQueues(this.#sql)
    this.#wake()
  }

  /** Queues a send-to-device message for a device of this user. */
  async sendToDevice(message: { deviceId: string; event: ToDeviceEvent }): Promise<void> {
    queueToDevice(this.#sql, this.#stream, message.deviceId, message.event)
    this.#wake()
  }

  /** The devices or keys of a user changed, or (`left`) this user shares no encrypted room with them any more. */
  async deviceListChanged(change: { userId: UserId; left: boolean }): Promise<void> {
    noteDeviceListChange(this.#sql, this.#stream, change.userId, change.left)
    this.#wake()
  }

  #wake(): void {
    const now = Date.now()
    wakeWaiters(this.ctx, (waiter) => {
      if ('connection' in waiter) return newsFor(this.#sliding, waiter, now)
      const read = readStream(this.#sql, this.#stream, waiter, now)
      return read.ok && !hasNews(read) ? undefined : read
    })
  }

  // —— Backup, export ——

  /** What there is to say of the user, as files. */
  async exportData(): Promise<ExportedStream> {
    return exportData(this.#sql)
  }

  #renew(): void {
    renewStream(this.#sql, newEpoch)
    this.#alarms.ensure('announce', Date.now() + laterWithin)
  }

  /** All that is stored here, for a backup. */
  async dump(name: string): Promise<Response> {
    return dumpStorage(this.ctx.storage, 'USER_SYNC', name)
  }

  /** Takes a portion of a backup; false where it is none. After the last comes `end`. */
  async load(portion: Portion): Promise<boolean> {
    return loadPortion(this.ctx.storage, portion, () => {
      migrate(this.ctx.storage, migrations)
      this.#alarms.forget()
      this.#renew()
    })
  }

  /** Forgets what is in memory: the next call finds an object that has just woken. Always fails. */
  async end(): Promise<void> {
    this.ctx.abort('loaded from a backup')
  }
}
