/**
 * State: which event holds each (type, state_key).
 *
 * A key is one string, so that it can index a Map. Either half may hold any character, so the type's length stands in
 * front: no pair of halves can pose as another pair.
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'

declare const brand: unique symbol
/** `<length of type>:<type><state_key>`, made by `stateMapKey` only. */
export type StateMapKey = string & { readonly [brand]: 'StateMapKey' }
export type StateMap = ReadonlyMap<StateMapKey, EventId>

export function stateMapKey(type: string, stateKey: string): StateMapKey {
  return `${type.length}:${type}${stateKey}` as StateMapKey
}

/** The two halves of a key. */
export function splitStateMapKey(key: StateMapKey): [type: string, stateKey: string] {
  const colon = key.indexOf(':')
  const start = colon + 1
  const end = start + Number(key.slice(0, colon))
  return [key.slice(start, end), key.slice(end)]
}
