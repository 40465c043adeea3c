/** Events as Synapse redacts, hashes, names and signs them; made by test/fixtures/generate/events.py. */
import { readFileSync } from 'node:fs'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import { parseStrictJson } from '#protocol/json/strict-json.ts'
import { roomVersions, rulesOf } from '#protocol/room-versions/rules.ts'
import type { RoomVersion, RoomVersionRules } from '#protocol/room-versions/rules.ts'

export interface SynapseCase {
  readonly event: JsonObject
  readonly redacted: JsonObject
  readonly contentHash: string
  /** Standard base64 in every room version. */
  readonly referenceHash: string
  readonly eventId: string
  readonly roomId: string
  /** Of the whole event without `unsigned`, in hexadecimal. */
  readonly sha256OfCanonicalJson: string
}

export function objectAt(object: JsonObject, key: string): JsonObject {
  const value = own(object, key)
  if (!isObject(value)) throw new Error(`no object at ${key}`)
  return value
}

export function textAt(object: JsonObject, key: string): string {
  const value = own(object, key)
  if (typeof value !== 'string') throw new Error(`no string at ${key}`)
  return value
}

export function rulesFor(version: RoomVersion): RoomVersionRules {
  const rules = rulesOf(version)
  if (rules === undefined) throw new Error(`no room version ${version}`)
  return rules
}

/** Every room version with its rules and its cases. */
export const everyRoomVersion = readCases()

function readCases(): { version: RoomVersion; rules: RoomVersionRules; cases: SynapseCase[] }[] {
  const text = readFileSync(new URL('../../fixtures/events-by-room-version.json', import.meta.url), 'utf8')
  const parsed = parseStrictJson(text)
  if (!parsed.ok || !isObject(parsed.value)) throw new Error('the fixture is not strict JSON')
  const versions = objectAt(parsed.value, 'room_versions')
  return roomVersions.map((version) => {
    const cases = own(versions, version)
    if (!Array.isArray(cases)) throw new Error(`no cases for room version ${version}`)
    return { version, rules: rulesFor(version), cases: cases.map(readCase) }
  })
}

function readCase(value: JsonValue): SynapseCase {
  if (!isObject(value)) throw new Error('a case is an object')
  return {
    event: objectAt(value, 'event'),
    redacted: objectAt(value, 'redacted'),
    contentHash: textAt(value, 'content_hash'),
    referenceHash: textAt(value, 'reference_hash'),
    eventId: textAt(value, 'event_id'),
    roomId: textAt(value, 'room_id'),
    sha256OfCanonicalJson: textAt(value, 'sha256_of_canonical_json'),
  }
}
