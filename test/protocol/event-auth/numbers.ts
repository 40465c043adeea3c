/**
 * The numbers of the authorisation rules, copied by hand from the pages of the room versions, so that the core's own
 * counting is checked against them; and the two answers that tests expect.
 */
import { expect } from 'vitest'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'

export const allowed = { ok: true }

/** A rejection by the rule with this number. */
export function rejectedBy(rule: string): unknown {
  return { ok: false, rule, message: expect.stringMatching(/./) }
}

export interface Numbers {
  readonly roomId: string
  readonly authEvents: string
  readonly federate: string
  readonly aliases: string
  readonly member: string
  /** What follows `member` for each membership. */
  readonly join: string
  readonly invite: string
  readonly leave: string
  readonly ban: string
  readonly knock: string
  readonly unknownMembership: string
  readonly joined: string
  readonly thirdPartyInvite: string
  readonly requiredLevel: string
  readonly stateKey: string
  readonly powerLevels: string
  readonly redaction: string
}

const absent = 'no such rule'
/** Version 1 and 2. */
const v1: Numbers = {
  roomId: absent,
  authEvents: '2',
  federate: '3',
  aliases: '4',
  member: '5',
  join: '5.2',
  invite: '5.3',
  leave: '5.4',
  ban: '5.5',
  knock: absent,
  unknownMembership: '5.6',
  joined: '6',
  thirdPartyInvite: '7',
  requiredLevel: '8',
  stateKey: '9',
  powerLevels: '10',
  redaction: '11',
}
const v3: Numbers = { ...v1, redaction: absent }
const v6: Numbers = {
  ...v3,
  aliases: absent,
  member: '4',
  join: '4.2',
  invite: '4.3',
  leave: '4.4',
  ban: '4.5',
  unknownMembership: '4.6',
  joined: '5',
  thirdPartyInvite: '6',
  requiredLevel: '7',
  stateKey: '8',
  powerLevels: '9',
}
const v7: Numbers = { ...v6, knock: '4.6', unknownMembership: '4.7' }
const v8: Numbers = {
  ...v7,
  join: '4.3',
  invite: '4.4',
  leave: '4.5',
  ban: '4.6',
  knock: '4.7',
  unknownMembership: '4.8',
}
const v12: Numbers = {
  roomId: '2',
  authEvents: '3',
  federate: '4',
  aliases: absent,
  member: '5',
  join: '5.3',
  invite: '5.4',
  leave: '5.5',
  ban: '5.6',
  knock: '5.7',
  unknownMembership: '5.8',
  joined: '6',
  thirdPartyInvite: '7',
  requiredLevel: '8',
  stateKey: '9',
  powerLevels: '10',
  redaction: absent,
}

export const numbers: Readonly<Record<RoomVersion, Numbers>> = {
  '1': v1,
  '2': v1,
  '3': v3,
  '4': v3,
  '5': v3,
  '6': v6,
  '7': v7,
  '8': v8,
  '9': v8,
  '10': v8,
  '11': v8,
  '12': v12,
  'org.matrix.msc3757.10': v8,
  'org.matrix.msc3757.11': v8,
}

/** Room versions from one to another, both included. */
export function versions(from: number, to: number): RoomVersion[] {
  const all: RoomVersion[] = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12']
  return all.slice(from - 1, to)
}

/** True for room versions from this one on. */
export function since(version: RoomVersion, first: number): boolean {
  return Number(version) >= first
}
