/** Reads a request's JSON body within a byte limit. Never buffers more than that, whatever Content-Length says. */
import { maxJsonDepth } from '#protocol/json/canonical-json.ts'
import type { JsonValue } from '#protocol/json/json.ts'
import { nestsDeeperThan } from '#protocol/json/nesting.ts'

import { refuse } from './refusal.ts'

const defaultLimit = 1024 * 1024

interface BodyLimits {
  readonly maxBody?: number
  readonly bodyOptional?: true
}

/** The parsed body. Refuses with M_TOO_LARGE, M_NOT_JSON or, where it nests too deep, M_BAD_JSON. The Content-Type is not looked at: clients get it wrong. */
export async function readJsonBody(request: Request, limits: BodyLimits): Promise<JsonValue> {
  const text = await readTextBody(request, limits)
  if (text === '' && limits.bodyOptional) return {}
  if (nestsDeeperThan(text, maxJsonDepth)) refuse('bad_json', 'The body nests too deep')
  try {
    return JSON.parse(text)
  } catch {
    return refuse('not_json')
  }
}

/** The body as text, where its own spelling matters: requests of other servers, whose signature covers it. */
export async function readTextBody(request: Request, limits: BodyLimits): Promise<string> {
  const bytes = await readBytes(request.body, limits.maxBody ?? defaultLimit)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes)
  } catch {
    return refuse('not_json')
  }
}

/** Refuses with M_TOO_LARGE once there are more. */
export async function readBytes(body: ReadableStream<Uint8Array> | null, limit: number): Promise<Uint8Array> {
  if (!body) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    if (size > limit) refuse('too_large', `The body is larger than ${limit} bytes`)
    chunks.push(chunk)
  }
  if (chunks.length === 1) return chunks[0] ?? new Uint8Array()
  const whole = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.byteLength
  }
  return whole
}
