/**
 * Event IDs: `$opaque:server` in room versions 1 and 2, `$<hash>` since.
 *
 * Spec: appendices/#event-ids, rooms/v1, v3 and v4 "Event IDs". A reference to an event is opaque: whether it has the
 * shape of a hash is asked only of IDs that this server computes.
 */
import { fitsIdentifier, hasOnlyScalars } from './characters.ts'
import { splitIdentifier } from './server-name.ts'
import type { ServerName } from './server-name.ts'

declare const brand: unique symbol
export type EventId = string & { readonly [brand]: 'EventId' }

const hashOnly = /^\$[0-9A-Za-z_-]{43}$/

/** The event ID in `value`, of any room version, or undefined. */
export function parseEventId(value: unknown): EventId | undefined {
  return isEventId(value) ? value : undefined
}

function isEventId(value: unknown): value is EventId {
  if (typeof value !== 'string' || value.length < 2 || !value.startsWith('$')) return false
  return fitsIdentifier(value) && hasOnlyScalars(value)
}

/** The server in an event ID of room version 1 or 2; undefined for an ID that is a hash. */
export function serverNameOfEventId(eventId: EventId): ServerName | undefined {
  return splitIdentifier(eventId, '$')?.[1]
}

/** True for the shape of an ID in room version 4 or later: 43 characters of URL-safe base64. */
export function isUrlSafeHashEventId(eventId: string): boolean {
  return hashOnly.test(eventId)
}
