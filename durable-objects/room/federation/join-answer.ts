/**
 * The answer of a `send_join`, read as it comes: events go to a table of their own, batch by batch, as soon as they are
 * verified. An answer of 100 MB never sits in memory.
 *
 * Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid. Each event passes the first three checks on
 * receipt before it is written down (GHSA-pfw4-xjgm-267c); those that do not are left out, and what builds on them falls.
 */
import { isObject, type JsonObject } from '#protocol/json/json.ts'
import { JSONParser } from '@streamparser/json'

import type { FederationRequests } from './federation-requests.ts'
import type { JoinSpool } from './join-spool.ts'

/** Verified at once: their keys are asked for together. */
const batch = 500
/** Bytes of answer: some twice Matrix HQ's. */
const maxBytes = 400 * 1024 * 1024

export interface JoinAnswer {
  /** The join event as the resident server has it, perhaps with its signature. */
  readonly event: JsonObject | undefined
}

/** Reads the whole answer into the spool. Undefined when it is no such answer, breaks off or is too large. */
export async function readJoinAnswer(
  spool: JoinSpool,
  requests: FederationRequests,
  body: ReadableStream<Uint8Array>,
): Promise<JoinAnswer | undefined> {
  const waiting = { state: [] as unknown[], auth_chain: [] as unknown[] }
  let event: JsonObject | undefined
  const parser = new JSONParser({ paths: ['$.state.*', '$.auth_chain.*', '$.event'], keepStack: false })
  parser.onValue = ({ value, key, stack }) => {
    const list = stack[1]?.key
    if (list === 'state' || list === 'auth_chain') waiting[list].push(value)
    else if (key === 'event' && isObject(value)) event = value
  }
  const flush = async () => {
    for (const list of ['state', 'auth_chain'] as const) {
      const events = waiting[list].splice(0)
      if (events.length > 0) spool.add(await requests.verified(events), list === 'state')
    }
  }
  let bytes = 0
  try {
    for await (const chunk of body) {
      bytes += chunk.byteLength
      if (bytes > maxBytes) return undefined
      parser.write(chunk)
      if (waiting.state.length + waiting.auth_chain.length >= batch) await flush()
    }
  } catch {
    return undefined
  }
  await flush()
  return parser.isEnded ? { event } : undefined
}
