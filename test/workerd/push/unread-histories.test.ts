/**
 * In rooms where anything happens, the counts of a slice are what a look at the whole history finds, however often they were
 * taken on the way and whatever was forgotten meanwhile. Spec: client-server-api/#receiving-notifications.
 */
import { contentString, membershipOf } from '#protocol/events/fields.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { powerLevelsOf } from '#protocol/power-levels.ts'
import { evaluatePushRules } from '#protocol/push-rules/evaluate.ts'
import { pushRulesOf, type RoomPushRules } from '#protocol/push-rules/stored-rules.ts'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { setMembership } from '../../../durable-objects/room/membership.ts'
import { setReceipt } from '../../../durable-objects/room/receipts.ts'
import { pushNews } from '../../../durable-objects/room/push-news.ts'
import { redactEvent } from '../../../durable-objects/room/redact.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { sendEvent } from '../../../durable-objects/room/send-event.ts'
import { stateOfGroup } from '../../../durable-objects/room/state-of-group.ts'
import type { StoredEvent } from '../../../durable-objects/room/stored-event.ts'
import { syncSlice } from '../../../durable-objects/room/sync-slice.ts'
import { viewOf } from '../../../durable-objects/room/visibility.ts'
import { type ServerIdentity, serverIdentity } from '../../../worker/server-identity.ts'
import { alice, bob, carol, withRoom } from '../room/rooms.ts'
import { allEvents, begin, dice, type Dice, happen, pick, roomWithMallory } from '../room-read/random-room.ts'
import { everything, field, granted } from '../room-read/reading.ts'

const own = (rule_id: string, actions: string[], more: object = {}) => ({
  rule_id,
  default: false,
  enabled: true,
  actions,
  ...more,
})
const ruleSets: readonly RoomPushRules[] = [
  {},
  { own: { sender: [own(alice, [])] } },
  {
    own: { content: [own('cake', ['notify'], { pattern: 'cake' })] },
    changed: { '.m.rule.message': { enabled: false, actions: [] } },
  },
  { own: { override: [own('crowd', ['notify'], { conditions: [{ kind: 'room_member_count', is: '>2' }] })] } },
  { own: { override: [own('name', ['notify'], { conditions: [{ kind: 'contains_display_name' }] })] } },
  { followsThreads: true },
]

/** Rules for threads, with threads that are followed: any event may be the root of one. */
function following(room: Room, roll: Dice, rules: RoomPushRules): RoomPushRules {
  if (!rules.followsThreads) return rules
  const followed = live(room).filter(() => roll(2) === 0)
  return { ...rules, followed: followed.map(({ event_id }) => event_id) }
}

const live = (room: Room) =>
  allEvents(room)
    .filter(({ pos }) => pos !== undefined)
    .toSorted((a, b) => (a.pos ?? 0) - (b.pos ?? 0))

/** Something that has to do with being read or not. */
function more(room: Room, identity: ServerIdentity, roll: Dice): void {
  const now = 1_900_000_000_000
  const events = live(room)
  const some = pick(roll, events.slice(-12))
  const relation = (): JsonObject => {
    const rel_type = pick(roll, ['m.thread', 'm.thread', 'm.reference', 'm.replace', 'm.annotation'])
    return { 'm.relates_to': { rel_type, event_id: some.event_id } }
  }
  const mentions = (): JsonObject => ({ 'm.mentions': pick<JsonObject>(roll, [{ user_ids: [bob] }, { room: true }]) })
  const say = (sender: typeof alice, type = 'm.room.message') => {
    const body = pick(roll, ['cake', 'tea', 'Bob', 'Robert, cake'])
    const content = { body, ...(roll(2) ? relation() : {}), ...(roll(3) ? {} : mentions()) }
    sendEvent(room, identity, { sender, type, content }, now)
  }
  switch (roll(10)) {
    case 0:
      say(bob)
      break
    case 1:
      say(carol)
      break
    case 2:
      redactEvent(room, identity, { sender: alice, eventId: some.event_id }, now)
      break
    case 3:
    case 4: {
      // A thread it is not in refuses it.
      const threadId = pick<string>(roll, ['', 'main', pick(roll, events.slice(-12)).event_id])
      const type = pick(roll, ['m.read', 'm.read.private'] as const)
      setReceipt(room, { user: bob, type, eventId: some.event_id, ...(threadId ? { threadId } : {}) }, now)
      break
    }
    case 5: {
      const membership = pick(roll, ['join', 'join', 'leave'] as const)
      setMembership(room, identity, { sender: carol, target: carol, membership }, now)
      break
    }
    case 6: {
      const profile = { displayname: pick(roll, ['Bob', 'Robert']) }
      setMembership(room, identity, { sender: bob, target: bob, membership: 'join', profile }, now)
      break
    }
    default:
      say(alice)
  }
}

type Counts = Record<string, [notifying: number, highlighted: number]>

/** The counts by thread, from the whole history and nothing else. */
function slowly(room: Room, stored: RoomPushRules): Counts {
  const view = viewOf(room, bob)
  const rules = pushRulesOf(bob, stored)
  const events = live(room)
  const byId = new Map(allEvents(room).map((event) => [event.event_id, event]))
  const stateOf = (group: number | undefined) =>
    new Map(
      (group === undefined ? [] : stateOfGroup(room, group)).map((event) => [
        `${event.type}|${event.state_key}`,
        event,
      ]),
    )
  const threadOf = (event: StoredEvent, hops = 0): string => {
    const parent = parseEventId(field(event.pdu.content, 'm.relates_to', 'event_id'))
    const relType = field(event.pdu.content, 'm.relates_to', 'rel_type')
    if (!parent || typeof relType !== 'string' || hops > 3) return 'main'
    if (relType === 'm.thread') return parent
    const next = byId.get(parent)
    return next && view.mayRead(next) ? threadOf(next, hops + 1) : 'main'
  }
  const receipts = room.reader.sql
    .exec<{ thread: string; id: string }>(
      'SELECT thread_id AS thread, event_id AS id FROM receipts WHERE user_id = ?',
      bob,
    )
    .toArray()
  const readBy = (thread: string) =>
    Math.max(
      0,
      ...receipts
        .filter((r) => r.thread === '' || r.thread === thread)
        .map(({ id }) => byId.get(parseEventId(id) ?? expect.fail())?.pos ?? 0),
    )

  let unread: { pos: number; thread: string; highlight: boolean }[] = []
  for (const event of events) {
    const before = stateOf(event.stateBefore)
    const was = before.get(`m.room.member|${bob}`)
    if (event.sender === bob) {
      const comesIn =
        event.type === 'm.room.member' &&
        membershipOf(event.pdu) === 'join' &&
        (!was || membershipOf(was.pdu) !== 'join')
      if (comesIn) unread = []
      else if (event.type !== 'm.room.member') unread = unread.filter(({ thread }) => thread !== threadOf(event))
      continue
    }
    const isIn = stateOf(event.stateAfter).get(`m.room.member|${bob}`)
    if (!isIn || membershipOf(isIn.pdu) !== 'join' || !view.mayRead(event) || event.redactedBy !== undefined) continue
    const levels = powerLevelsOf(room.reader.rules, (type, key) => before.get(`${type}|${key}`)?.pdu)
    const { type, sender, content, room_id, state_key } = event.pdu
    const verdict = evaluatePushRules(
      rules,
      { type, sender, content, room_id, ...(state_key === undefined ? {} : { state_key }) },
      {
        userId: bob,
        displayName: was && contentString(was.pdu, 'displayname'),
        followsThread: threadOf(event) === 'main' ? undefined : stored.followed?.includes(threadOf(event)) === true,
        memberCount: [...before.values()].filter(({ pdu }) => membershipOf(pdu) === 'join').length,
        senderMayNotify: (key) => levels.userLevel(sender) >= levels.notificationLevel(key),
      },
    )
    if (verdict.notify) unread.push({ pos: event.pos ?? 0, thread: threadOf(event), highlight: verdict.highlight })
  }
  const counts: Counts = { main: [0, 0] }
  for (const { pos, thread, highlight } of unread) {
    if (pos <= readBy(thread)) continue
    const [notifying, highlighted] = counts[thread] ?? [0, 0]
    counts[thread] = [notifying + 1, highlighted + Number(highlight)]
  }
  return counts
}

/** The counts by thread that Bob's client is told; undefined where Bob is not joined. */
function told(room: Room, pushRules: RoomPushRules, unread_thread_notifications: boolean): Counts | undefined {
  const filter = { timeline: { limit: 1, unread_thread_notifications } }
  const slice = granted(syncSlice(room, { ...everything, reader: bob, filter, pushRules }, 0))
  if (slice.section !== 'join') return undefined
  const threads = slice.room['unread_thread_notifications'] ?? {}
  const all = Object.entries({ main: slice.room['unread_notifications'], ...Object(threads) })
  return Object.fromEntries(
    all.map(([thread, counts]) => [thread, [count(counts, 'notification_count'), count(counts, 'highlight_count')]]),
  )
}

function count(counts: unknown, name: string): number {
  expect(counts).toMatchObject({ [name]: expect.any(Number) })
  return Number(Object(counts)[name])
}

describe('in a room where anything happens', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17])('the counts follow from the history (seed %i)', async (seed) => {
    const identity = await serverIdentity(env)
    const compared = await withRoom(await roomWithMallory(), (room) => {
      const roll = dice(seed)
      begin(room)
      let [compared, highest] = [0, 0]
      let same: RoomPushRules | undefined
      for (let step = 0; step < 300; step++) {
        if (roll(3) === 0) happen(room, identity, roll)
        else more(room, identity, roll)
        if (roll(4) > 0) continue
        if (roll(12) === 0) room.memory.unread.clear()
        const rules = roll(5) === 0 ? pick(roll, ruleSets) : (ruleSets[roll(2) * (seed % ruleSets.length)] ?? {})
        // Asked for twice by the same rules, the second answer builds on the first.
        if (!same || same.followsThreads !== rules.followsThreads || roll(3) === 0) same = following(room, roll, rules)
        const stored = rules.followsThreads ? same : rules
        const counts = told(room, stored, true)
        if (!counts) continue
        const expected = slowly(room, stored)
        expect(counts, `step ${step}`).toEqual(expected)
        const sum = Object.values(expected).reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0])
        expect(told(room, stored, false), `step ${step}`).toEqual({ main: sum })
        compared += 1
        highest = Math.max(highest, sum[0])
      }
      return { compared, highest }
    })
    // The dice must not have made it too easy.
    expect(compared.compared).toBeGreaterThan(5)
    expect(compared.highest).toBeGreaterThan(2)
  })

  it.each([11, 12, 13, 14, 15, 16, 23, 29])('so do those that go on from what is known (seed %i)', async (seed) => {
    const identity = await serverIdentity(env)
    const seen = await withRoom(await roomWithMallory(), (room) => {
      const roll = dice(seed)
      begin(room)
      let pushRules = ruleSets[seed % ruleSets.length] ?? {}
      const rung: string[] = []
      let known: { after: number; unread: number | undefined } | undefined
      let shortcuts = 0
      for (let step = 0; step < 300; step++) {
        if (roll(3) === 0) happen(room, identity, roll)
        else more(room, identity, roll)
        if (roll(3) > 0) continue
        if (roll(4) === 0) room.memory.unread.clear()
        if (pushRules.followsThreads && roll(4) === 0) {
          pushRules = following(room, roll, pushRules)
          // The user's object knows that what it counted was counted otherwise.
          if (known) known = { ...known, unread: undefined }
        }
        const request = { reader: bob, pushRules, ignoredUsers: [], after: 'now' as const, ...known }
        const news = pushNews(room, request) ?? expect.fail()
        rung.push(...news.notifications.map(({ event_id }) => event_id))
        const isJoined = told(room, pushRules, false) !== undefined
        if (isJoined) {
          const sum = Object.values(slowly(room, pushRules)).reduce((total, [counted]) => total + counted, 0)
          expect(news.unread, `step ${step}`).toBe(sum)
          if (known?.unread !== undefined && news.unread > known.unread) shortcuts += 1
        }
        // Somebody who was out counts anew.
        known = isJoined ? { after: news.pos, unread: news.unread } : undefined
      }
      // What rings, rings once, and is never one's own.
      expect(new Set(rung).size).toBe(rung.length)
      const senders = rung.map((id) => room.reader.eventById(parseEventId(id) ?? expect.fail())?.sender)
      expect(senders).not.toContain(bob)
      return { rung: rung.length, shortcuts }
    })
    expect(seen.rung).toBeGreaterThan(2)
    expect(seen.shortcuts).toBeGreaterThan(2)
  })
})
