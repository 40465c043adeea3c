/**
 * The answer of a `send_join`, read as it comes: events go to a table of their own, batch by batch, as soon as they are
 * verified. An answer of 100 MB never sits in memory.
 *
 * Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid. Each event passes the first three checks on
 * receipt before it is written down (GHSA-pfw4-xjgm-267c); those that do not are left out, and what builds on them falls.
 * Bytes, silence and the size of each event are bounded (CWE-409): the other server decides none of them.
 */
import { isObject, type JsonObject, type JsonValue } from '#protocol/json/json.ts'
import { parseFederationJson } from '#protocol/json/strict-json.ts'

import { JsonSplitter } from '../../../worker/federation-client/json-splitter.ts'
import type { FederationRequests } from './federation-requests.ts'
import type { JoinSpool } from './join-spool.ts'

export interface AnswerLimits {
  /** Bytes of answer. */
  readonly bytes: number
  /** Milliseconds without a byte. */
  readonly silence: number
}

/** Some twice the answer of Matrix HQ. */
const usualLimits: AnswerLimits = { bytes: 400 * 1024 * 1024, silence: 60_000 }
/** Verified at once: their keys are asked for together. */
const batch = { events: 500, characters: 4 * 1024 * 1024 }
/** Bytes of one event as it is written: 65,536 in canonical JSON, six times that with every character escaped, `unsigned`. */
const maxEvent = 1024 * 1024

export interface JoinAnswer {
  /** The join event as the resident server has it, perhaps with its signature. */
  readonly event: JsonObject | undefined
}

/** Reads the whole answer into the spool. Undefined when it is no such answer, breaks off, falls silent or is too large. */
export async function readJoinAnswer(
  spool: Pick<JoinSpool, 'add'>,
  requests: Pick<FederationRequests, 'verified'>,
  body: ReadableStream<Uint8Array>,
  limits: AnswerLimits = usualLimits,
): Promise<JoinAnswer | undefined> {
  const waiting: { state: JsonValue[]; auth_chain: JsonValue[] } = { state: [], auth_chain: [] }
  let [characters, bytes] = [0, 0]
  let event: JsonObject | undefined
  const wanted = { lists: ['state', 'auth_chain'], values: ['event'], maxBytes: maxEvent }
  const splitter = new JsonSplitter(wanted, (name, json) => {
    const parsed = parseFederationJson(json)
    if (!parsed.ok) return
    if (name === 'state' || name === 'auth_chain') waiting[name].push(parsed.value)
    else if (isObject(parsed.value)) event = parsed.value
    characters += json.length
  })
  const flush = async () => {
    characters = 0
    for (const list of ['state', 'auth_chain'] as const) {
      const events = waiting[list].splice(0)
      if (events.length > 0) spool.add(await requests.verified(events), list === 'state')
    }
  }
  for await (const chunk of steadily(body, limits.silence)) {
    if (chunk === 'silence') return undefined
    bytes += chunk.byteLength
    if (bytes > limits.bytes || !splitter.write(chunk)) return undefined
    if (waiting.state.length + waiting.auth_chain.length >= batch.events || characters >= batch.characters)
      await flush()
  }
  if (!splitter.isComplete) return undefined
  await flush()
  return { event }
}

/** The chunks of a stream; the last one is `silence` where none came for so long, or where the stream broke. */
async function* steadily(
  body: ReadableStream<Uint8Array>,
  silenceMs: number,
): AsyncGenerator<Uint8Array | 'silence', void> {
  const reader = body.getReader()
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    for (;;) {
      const silence = new Promise<'silence'>((resolve) => {
        timer = setTimeout(() => resolve('silence'), silenceMs)
      })
      const next = await Promise.race([reader.read().catch((): 'silence' => 'silence'), silence])
      clearTimeout(timer)
      if (next === 'silence') return yield next
      if (next.done) return
      yield next.value
    }
  } finally {
    clearTimeout(timer)
    await reader.cancel().catch(() => undefined)
  }
}
