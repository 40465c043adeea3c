/**
 * A room as a policy list: what its rules say of somebody, for a server that follows it.
 *
 * Spec: client-server-api/#moderation-policy-lists. The room's own state is the only place where its rules stand: nothing is
 * copied, so a rule counts, or counts no longer, from the turn in which it was stored. The parsed rules are kept in memory
 * for as long as the state is what they were read from: an object that wakes up reads its rules once, a row each.
 */
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import { own } from '#protocol/json/json.ts'
import {
  parsePolicyRule,
  type PolicyRule,
  PolicyRules,
  policyRuleTypes,
  type PolicyKind,
  type PolicySubject,
} from '#protocol/policy-rules.ts'

import type { Room } from './room.ts'
import type { Nid } from './stored-event.ts'

/** Rules of a list that are read; the longest lists in use have some thousands. */
const maxRules = 20_000

interface Kept {
  readonly version: string
  readonly rules: PolicyRules
}
const kept = new WeakMap<Room, Kept>()

/** The rule that bans one of these, in their order; null where none does, or where this server has no such room. */
export function policyVerdict(room: Room, subjects: readonly PolicySubject[]): PolicyRule | null {
  if (!isHere(room)) return null
  const rules = rulesIn(room)
  for (const subject of subjects) {
    const rule = rules.find(subject)
    if (rule) return rule
  }
  return null
}

export interface PolicyListFacts {
  /** Somebody of this server is in the room, so that it hears of new rules. */
  readonly isFollowed: boolean
  readonly counts: Readonly<Record<PolicyKind, number>>
  /** The room that took this one's place, by its tombstone, with servers that may be in it. */
  readonly successor?: { readonly roomId: RoomId; readonly servers: readonly ServerName[] }
}

export function policyListFacts(room: Room): PolicyListFacts {
  if (!isHere(room)) return { isFollowed: false, counts: { user: 0, room: 0, server: 0 } }
  const successor = successorOf(room)
  return {
    isFollowed: room.reader.localJoined().size > 0,
    counts: rulesIn(room).counts,
    ...(successor ? { successor } : {}),
  }
}

function successorOf({ reader, serverName }: Room): PolicyListFacts['successor'] {
  const tombstone = reader.current('m.room.tombstone', '')
  const roomId = tombstone && parseRoomId(own(tombstone.pdu.content, 'replacement_room'))
  if (!roomId || roomId === reader.header().roomId) return undefined
  const servers = new Set([serverNameOf(tombstone.sender), ...reader.serversIn()])
  servers.delete(serverName)
  return { roomId, servers: [...servers] }
}

/** Some of the rules, in no order that means anything, and how many there are in all. */
export function listPolicyRules(
  room: Room,
  { from, limit }: { readonly from: number; readonly limit: number },
): { readonly rules: PolicyRule[]; readonly total: number } {
  const all = isHere(room) ? [...readRules(room)] : []
  return { rules: all.slice(from, from + limit), total: all.length }
}

function isHere({ reader }: Room): boolean {
  return reader.isKnown() && reader.header().currentGroup !== undefined
}

function rulesIn(room: Room): PolicyRules {
  // A redaction changes no state, but takes the rule away.
  const version = `${room.reader.header().currentGroup} ${room.reader.changes}`
  const known = kept.get(room)
  if (known?.version === version) return known.rules
  const rules = new PolicyRules(readRules(room))
  kept.set(room, { version, rules })
  return rules
}

function* readRules({ reader }: Room): Generator<PolicyRule> {
  const query = `SELECT event_nid AS nid FROM current_state
    WHERE type IN (SELECT value FROM json_each(?)) ORDER BY type, state_key LIMIT ${maxRules}`
  const nids = [...reader.sql.exec<{ nid: Nid }>(query, JSON.stringify(policyRuleTypes))].map(({ nid }) => nid)
  for (const slice of reader.eventSlices(nids)) {
    for (const { pdu } of slice) {
      const rule = parsePolicyRule(pdu.type, pdu.content)
      if (rule) yield rule
    }
  }
}
