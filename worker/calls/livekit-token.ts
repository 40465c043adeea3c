/**
 * Tokens with which clients enter a LiveKit room: JSON Web Tokens, signed with the secret that is shared with the SFU.
 * MSC4195, "Mapping MatrixRTC members to LiveKit", "Access token properties".
 */
import { createHash, createHmac } from 'node:crypto'
import * as v from 'valibot'

import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { LiveKitSettings } from '../settings/livekit.ts'

/** Seconds that a token opens the room; who is in it stays. */
const lifetime = 3600
/** Clocks differ. */
const leeway = 60

const name = v.pipe(v.string(), v.minLength(1), v.maxLength(255))

/** What a token is asked for by. */
export const tokenFields = {
  url: v.pipe(v.string(), v.maxLength(2048)),
  room_id: v.string(),
  slot_id: v.pipe(v.string(), v.maxLength(255)),
  /** As clients send it today; the device is claimed. */
  member: v.optional(v.object({ id: name, claimed_device_id: v.optional(name) })),
  /** As the newest form of the proposal has it. */
  member_id: v.optional(name),
}

/** The parts of a member's name at the SFU, beside the user; undefined where none was given. */
export function memberParts({
  member,
  member_id: id,
}: {
  readonly member?: { readonly id: string; readonly claimed_device_id?: string | undefined } | undefined
  readonly member_id?: string | undefined
}): string[] | undefined {
  if (id !== undefined) return [id]
  if (!member) return undefined
  return member.claimed_device_id === undefined ? [member.id] : [member.claimed_device_id, member.id]
}

export interface TokenWishes {
  readonly roomId: string
  readonly slotId: string
  readonly userId: UserId
  readonly member: readonly string[]
  /** Only on the SFU of their own server may users publish. */
  readonly canPublish: boolean
}

/** `now` in milliseconds since 1970. */
export function liveKitToken({ apiKey, apiSecret }: LiveKitSettings, wishes: TokenWishes, now: number): string {
  const { roomId, slotId, userId, member, canPublish } = wishes
  const seconds = Math.floor(now / 1000)
  const claims = {
    iss: apiKey,
    sub: hashed([userId, ...member]),
    nbf: seconds - leeway,
    exp: seconds + lifetime,
    video: {
      room: hashed([roomId, slotId]),
      roomCreate: true,
      roomJoin: true,
      canPublish,
      canSubscribe: true,
      canUpdateOwnMetadata: true,
    },
  }
  const signed = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded(claims)}`
  return `${signed}.${createHmac('sha256', apiSecret).update(signed).digest('base64url')}`
}

/** Of a list of strings JSON.stringify is Canonical JSON. */
function hashed(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64').replace(/=+$/, '')
}

const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
