/**
 * Does one condition of a push rule hold for an event? Pure; unknown and malformed conditions never hold.
 *
 * Spec: client-server-api/#conditions-1, appendices/#dot-separated-property-paths.
 */
import { compileGlob } from '#protocol/glob.ts'
import { isObject, own, type JsonObject, type JsonValue } from '#protocol/json/json.ts'

/** What a rule may ask beyond the event itself. */
export interface PushContext {
  readonly userId: string
  /** The user's display name in the room. */
  readonly displayName: string | undefined
  /** Joined members. */
  readonly memberCount: number
  /** Whether the user follows the thread that the event is in; undefined for one in none. */
  readonly followsThread: boolean | undefined
  /** Whether the event's sender has the level that `notifications[key]` asks for. */
  senderMayNotify(key: string): boolean
}

/** `event` is the client form: type, sender, room_id, state_key, content. */
export function conditionHolds(condition: JsonObject, event: JsonObject, context: PushContext): boolean {
  switch (own(condition, 'kind')) {
    case 'event_match':
      return eventMatches(event, own(condition, 'key'), own(condition, 'pattern'))
    case 'event_property_is': {
      const value = own(condition, 'value')
      return isScalar(value) && propertyOf(event, own(condition, 'key')) === value
    }
    case 'event_property_contains': {
      const value = own(condition, 'value')
      const list = propertyOf(event, own(condition, 'key'))
      return isScalar(value) && Array.isArray(list) && list.includes(value)
    }
    case 'contains_display_name':
      return context.displayName !== undefined && bodyContains(event, context.displayName)
    case 'room_member_count':
      return countMatches(context.memberCount, own(condition, 'is'))
    case 'sender_notification_permission': {
      const key = own(condition, 'key')
      return typeof key === 'string' && context.senderMayNotify(key)
    }
    case 'io.element.msc4306.thread_subscription':
      return context.followsThread !== undefined && own(condition, 'subscribed') === context.followsThread
    default:
      return false
  }
}

/** `event_match`: the whole value, in any case; within `content.body` whole words. */
export function eventMatches(event: JsonObject, key: unknown, pattern: unknown): boolean {
  const value = propertyOf(event, key)
  if (typeof value !== 'string' || typeof pattern !== 'string') return false
  // Nearly all rules compare a type with a word: no pattern has to be compiled for that.
  if (key !== 'content.body' && !/[*?]/.test(pattern)) return value.toLowerCase() === pattern.toLowerCase()
  const glob = compileGlob(pattern.toLowerCase())
  return key === 'content.body' ? glob.matchesWords(value.toLowerCase()) : glob.matches(value.toLowerCase())
}

function bodyContains(event: JsonObject, name: string): boolean {
  const body = propertyOf(event, 'content.body')
  if (typeof body !== 'string' || name === '') return false
  // A star or question mark in a name stands for any one character: near enough, and never a pattern of its owner's making.
  return compileGlob(name.toLowerCase().replaceAll('*', '?')).matchesWords(body.toLowerCase())
}

/** The value at a dot-separated path, in which `\.` is a dot and `\\` a backslash. */
export function propertyOf(event: JsonObject, path: unknown): JsonValue | undefined {
  if (typeof path !== 'string') return undefined
  let value: JsonValue | undefined = event
  for (const name of splitPath(path)) {
    if (!isObject(value)) return undefined
    value = own(value, name)
  }
  return value
}

function splitPath(path: string): string[] {
  const names = ['']
  for (let at = 0; at < path.length; at++) {
    const character = path.charAt(at)
    const next = path.charAt(at + 1)
    const escapes = character === '\\' && (next === '.' || next === '\\')
    if (character === '.') names.push('')
    else names[names.length - 1] += escapes ? next : character
    if (escapes) at++
  }
  return names
}

function isScalar(value: JsonValue | undefined): value is string | number | boolean | null {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value)
}

function countMatches(count: number, is: unknown): boolean {
  const match = typeof is === 'string' ? /^(==|<|>|>=|<=)?(\d{1,15})$/.exec(is) : null
  if (!match) return false
  const wanted = Number(match[2])
  switch (match[1]) {
    case '<':
      return count < wanted
    case '>':
      return count > wanted
    case '>=':
      return count >= wanted
    case '<=':
      return count <= wanted
    default:
      return count === wanted
  }
}
