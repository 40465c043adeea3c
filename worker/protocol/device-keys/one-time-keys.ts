/**
 * One-time and fallback keys as a client uploads them: `{"signed_curve25519:AAAAHg": {"key": …, "signatures": …}}`.
 *
 * Spec: client-server-api/#one-time-and-fallback-keys, data/api/client-server/definitions/one_time_keys.yaml.
 */
import { fail, type Outcome } from '#protocol/errors.ts'
import { canonicalJsonLoose } from '#protocol/json/canonical-json.ts'
import { utf8Length } from '#protocol/identifiers/characters.ts'
import { isObject, type JsonValue, own } from '#protocol/json/json.ts'
import { decodeBase64 } from '#protocol/signing/base64.ts'

import { isSignatures, jsonSize } from './shapes.ts'

export interface OneTimeKey {
  readonly algorithm: string
  readonly keyId: string
  /** Canonical JSON of the key, so that the same key is the same text. */
  readonly json: string
}

/** Keys of one upload: clients send 50 or 100. */
const maxKeys = 1000
const maxNameBytes = 255
const maxKeyBytes = 8192

/** The keys of an upload, in its order. An absent list is an empty one. */
export function parseOneTimeKeys(field: string, json: JsonValue | undefined): Outcome<{ keys: OneTimeKey[] }> {
  if (json === undefined || json === null) return { ok: true, keys: [] }
  if (!isObject(json)) return fail('bad_json', `${field}: Expected an object`)
  const entries = Object.entries(json)
  if (entries.length > maxKeys) return fail('too_large', `${field}: At most ${maxKeys} keys at once`)
  const keys: OneTimeKey[] = []
  for (const [name, key] of entries) {
    const colon = name.indexOf(':')
    if (colon < 1 || colon === name.length - 1 || utf8Length(name) > maxNameBytes) {
      return fail('invalid_param', `${field}: Names have the form <algorithm>:<key_id>`)
    }
    const wrong = whatIsWrong(key)
    if (wrong !== undefined || key === undefined) return fail('bad_json', `${field}: ${wrong}`)
    const text = canonicalJsonLoose(key)
    if (text.length > maxKeyBytes) return fail('too_large', `${field}: A key is too large`)
    keys.push({ algorithm: name.slice(0, colon), keyId: name.slice(colon + 1), json: text })
  }
  return { ok: true, keys }
}

/** As `parseOneTimeKeys`. "There can only be at most one key per algorithm uploaded." */
export function parseFallbackKeys(field: string, json: JsonValue | undefined): Outcome<{ keys: OneTimeKey[] }> {
  const parsed = parseOneTimeKeys(field, json)
  if (!parsed.ok) return parsed
  const algorithms = new Set(parsed.keys.map(({ algorithm }) => algorithm))
  return algorithms.size === parsed.keys.length
    ? parsed
    : fail('invalid_param', `${field}: At most one key per algorithm`)
}

function whatIsWrong(key: JsonValue | undefined): string | undefined {
  if (typeof key === 'string') return isKey(key) ? undefined : 'A key has 32 bytes in base64'
  if (!isObject(key) || !isKey(own(key, 'key'))) return 'A key is a string or an object with a key of 32 bytes'
  if (!isSignatures(own(key, 'signatures'))) return 'A signed key has signatures'
  return jsonSize(key) === undefined ? 'A key is not canonical JSON' : undefined
}

function isKey(text: JsonValue | undefined): boolean {
  return typeof text === 'string' && decodeBase64(text)?.length === 32
}
