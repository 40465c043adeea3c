/**
 * The answer of a `send_join`, read as it comes: events go to a table of their own, batch by batch, as soon as they are
 * verified. An answer of 100 MB never sits in memory.
 *
 * Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid. It may leave out members (partial-state.ts). Each event passes the first three checks on
 * receipt before it is written down (GHSA-pfw4-xjgm-267c); those that do not are left out, and what builds on them falls.
 * Bytes, silence and the size of each event are bounded (CWE-409): the other server decides none of them.
 */
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'
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
export const usualLimits: AnswerLimits = { bytes: 400 * 1024 * 1024, silence: 60_000 }
/** Events of an answer, some twice those of Matrix HQ: to find their order takes memory for each. */
const maxEvents = 500_000
/** Verified at once: their keys are asked for together. */
const batch = { events: 500, characters: 4 * 1024 * 1024 }
/** Bytes of one event as it is written: 65,536 in canonical JSON, six times that with every character escaped, `unsigned`. */
const maxEvent = 1024 * 1024
/** Servers in a room that are believed in without a member of theirs; others get what they missed once those are known. */
const maxServers = 2_000

export interface JoinAnswer {
  /** The join event as the resident server has it, perhaps with its signature. */
  readonly event: JsonObject | undefined
  /** `servers_in_room`, where members were left out of the state; undefined for a whole answer. */
  readonly servers: readonly ServerName[] | undefined
}

/** Reads the whole answer into the spool. Undefined when it is no such answer, breaks off, falls silent or is too large. */
export async function readJoinAnswer(
  spool: Pick<JoinSpool, 'add'>,
  requests: Pick<FederationRequests, 'verified'>,
  body: ReadableStream<Uint8Array>,
  limits: AnswerLimits = usualLimits,
): Promise<JoinAnswer | undefined> {
  const waiting: { state: JsonValue[]; auth_chain: JsonValue[] } = { state: [], auth_chain: [] }
  let [characters, count] = [0, 0]
  let event: JsonObject | undefined
  let isPartial = false
  const servers = new Set<ServerName>()
  const wanted = { lists: ['state', 'auth_chain', 'servers_in_room'], values: ['event', 'members_omitted'] }
  const take = (name: string, value: JsonValue, length: number) => {
    characters += length
    if (name === 'state' || name === 'auth_chain') {
      if ((count += 1) <= maxEvents) waiting[name].push(value)
    } else if (name === 'event' && isObject(value)) event = value
    else if (name === 'members_omitted') isPartial = value === true
    else if (name === 'servers_in_room' && servers.size < maxServers) addServer(servers, value)
  }
  const flush = async () => {
    characters = 0
    for (const list of ['state', 'auth_chain'] as const) {
      const events = waiting[list].splice(0)
      if (events.length > 0) spool.add(await requests.verified(events), list === 'state')
    }
  }
  const isWhole = await takeApart(body, wanted, limits, take, async () => {
    if (waiting.state.length + waiting.auth_chain.length >= batch.events || characters >= batch.characters)
      await flush()
  })
  if (!isWhole || count > maxEvents) return undefined
  await flush()
  // A room without servers would be one in which nobody hears us.
  if (isPartial && servers.size === 0) return undefined
  return { event, servers: isPartial ? [...servers] : undefined }
}

function addServer(servers: Set<ServerName>, value: JsonValue): void {
  const server = parseServerName(value)
  if (server !== undefined) servers.add(server)
}

/**
 * Hands out the members of an answer's lists and some of its fields as they come, with their length in characters; `rest` is
 * waited for between chunks. False when it is no JSON object, breaks off, falls silent or is too large.
 */
export async function takeApart(
  body: ReadableStream<Uint8Array>,
  wanted: { readonly lists: readonly string[]; readonly values: readonly string[] },
  limits: AnswerLimits,
  take: (name: string, value: JsonValue, length: number) => void,
  rest: () => Promise<void> | void,
): Promise<boolean> {
  let bytes = 0
  const splitter = new JsonSplitter({ ...wanted, maxBytes: maxEvent }, (name, json) => {
    const parsed = parseFederationJson(json)
    if (parsed.ok) take(name, parsed.value, json.length)
  })
  for await (const chunk of steadily(body, limits.silence)) {
    if (chunk === 'silence') return false
    bytes += chunk.byteLength
    if (bytes > limits.bytes || !splitter.write(chunk)) return false
    await rest()
  }
  return splitter.isComplete
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
