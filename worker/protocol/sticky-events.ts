/**
 * Sticky events: events that servers push, and clients get, for as long as they are sticky, whatever else happens in the room.
 *
 * Spec: MSC4354 (unstable). "Message events can be annotated with a new top-level `sticky` object, which MUST have a
 * `duration_ms` … Valid values are the integer range 0-3600000 (1 hour)." It is no part of what a redaction leaves.
 */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

/** An hour, in ms: nothing is sticky for longer, whatever it says. */
export const maxStickyDuration = 3_600_000

/** Sticky events that one answer of `/sync` has of a room, or one of sliding sync in all, beside those in timelines. */
export const mostStickyEvents = 100

/** The top-level field of a sticky event. */
export function stickyField(durationMs: number): JsonObject {
  return { msc4354_sticky: { duration_ms: durationMs } }
}

/** What an event says of how long it is sticky, in ms; undefined for one that is not, or says so in vain. */
export function stickyDurationOf(json: JsonObject): number | undefined {
  const sticky = own(json, 'msc4354_sticky')
  const duration = isObject(sticky) ? own(sticky, 'duration_ms') : undefined
  return typeof duration === 'number' && Number.isSafeInteger(duration) && duration >= 0 ? duration : undefined
}

/**
 * Until when an event is sticky, in ms since 1970: "the start time is `min(received_ts, origin_server_ts)`", so that nobody
 * makes it last by dating it into the future; "the end time is `start_time + min(sticky_duration_ms, 3600000)`".
 */
export function stickyUntil(event: {
  readonly originServerTs: number
  readonly receivedTs: number
  readonly duration: number
}): number {
  const { originServerTs, receivedTs, duration } = event
  return Math.min(originServerTs, receivedTs) + Math.min(duration, maxStickyDuration)
}

/** A client's `sticky_duration_ms`; undefined for what is no valid duration. */
export function parseStickyDuration(text: string): number | undefined {
  const duration = /^\d{1,7}$/.test(text) ? Number(text) : undefined
  return duration !== undefined && duration <= maxStickyDuration ? duration : undefined
}
