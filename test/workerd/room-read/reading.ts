/** What the stories about reading a room are told with: who does what, and what a reader gets to see by each way there is. */
import type { Outcome } from '#protocol/errors.ts'
import { parseEventId, type EventId } from '#protocol/identifiers/event-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'
import type { ClientEvent } from '../../../durable-objects/room/client-event.ts'
import type { MessagesRequest } from '../../../durable-objects/room/messages.ts'
import type { SliceRequest } from '../../../durable-objects/room/slice.ts'
import { alice, type TestRoom } from '../room/rooms.ts'

export const device = 'PHONE'

/** The answer of a request that must succeed. */
export function granted<T>(answer: Outcome<T>): T {
  if (!answer.ok) throw new Error(`${answer.reason}: ${answer.message ?? ''}`)
  return answer
}

export function eventIdOf(text: string): EventId {
  const eventId = parseEventId(text)
  if (!eventId) throw new Error(`${text} is no event ID`)
  return eventId
}

type Change = 'join' | 'leave' | 'invite' | 'reject' | 'kick' | 'ban' | 'unban' | 'knock'

/** Somebody's membership changes, by themselves or by Alice. */
export async function change(room: TestRoom, what: Change, target: UserId): Promise<EventId> {
  const membership = {
    join: 'join',
    leave: 'leave',
    invite: 'invite',
    reject: 'leave',
    kick: 'leave',
    ban: 'ban',
    unban: 'leave',
    knock: 'knock',
  } as const
  const sender = what === 'join' || what === 'leave' || what === 'reject' || what === 'knock' ? target : alice
  return granted(await room.rpc.setMembership({ sender, target, membership: membership[what] })).event_id
}

export async function setState(
  room: TestRoom,
  type: string,
  content: JsonObject,
  { sender = alice, stateKey = '' } = {},
): Promise<EventId> {
  return granted(await room.rpc.sendEvent({ sender, type, stateKey, content })).event_id
}

export const setVisibility = (room: TestRoom, history_visibility: string) =>
  setState(room, 'm.room.history_visibility', { history_visibility })

/** Every page, one after the other. */
export async function pages(
  room: TestRoom,
  reader: UserId,
  request: Omit<MessagesRequest, 'reader'>,
): Promise<ClientEvent[][]> {
  const all: ClientEvent[][] = []
  let from = request.from
  for (let page = 0; page < 200; page++) {
    const answer = granted(await room.rpc.messages({ ...request, reader, ...(from === undefined ? {} : { from }) }))
    all.push([...answer.chunk])
    if (answer.end === undefined) return all
    from = answer.end
  }
  throw new Error('the pages do not end')
}

/** A slice of a client that knows nothing and wants all of the timeline. */
export const everything: Omit<SliceRequest, 'reader'> = {
  deviceId: device,
  from: null,
  filter: { timeline: { limit: 1000 } },
  fullState: false,
  useStateAfter: false,
}

export async function slice(room: TestRoom, reader: UserId, request: Partial<SliceRequest> = {}) {
  return granted(await room.rpc.syncSlice({ ...everything, ...request, reader }))
}

/** The events of a part of a slice, such as `timeline` or `state`. */
export function eventsOf(section: JsonObject, part: string): JsonObject[] {
  const list = own(section, part)
  const events = isObject(list) ? own(list, 'events') : undefined
  return (Array.isArray(events) ? events : []).filter(isObject)
}

export function field(value: JsonValue | undefined, ...path: string[]): JsonValue | undefined {
  return path.reduce<JsonValue | undefined>((at, name) => (isObject(at) ? own(at, name) : undefined), value)
}

/** A string, of which nothing else is expected. */
export function text(value: JsonValue | undefined): string {
  if (typeof value !== 'string') throw new Error(`${JSON.stringify(value)} is no string`)
  return value
}

/** The texts of messages among events. */
export function texts(events: readonly JsonObject[]): string[] {
  return events
    .filter((event) => event['type'] === 'm.room.message')
    .map((event) => field(event, 'content', 'body'))
    .filter((text) => typeof text === 'string')
}

export function contentsOf(events: readonly JsonObject[], type: string): JsonObject[] {
  return events
    .filter((event) => event['type'] === type)
    .map((event) => event['content'])
    .filter(isObject)
}
