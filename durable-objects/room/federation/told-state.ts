/**
 * The events of a state that another server tells, stored as outliers: for the state behind a hole. An answer may have 64 MB,
 * so it never sits in memory: it is verified as it comes, written down, and judged when all of it is there.
 *
 * Spec: server-server-api/#get_matrixfederationv1stateroomid. Nothing is kept but what was asked for.
 */
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonValue } from '#protocol/json/json.ts'

import type { Room } from '../room.ts'
import type { FederationRequests } from './federation-requests.ts'
import { JoinSpool } from './join-spool.ts'
import { receiveOutlier } from './receive-pdu.ts'

const limits = { bytes: 64 * 1024 * 1024, silence: 60_000 }
/** Verified at once. */
const batch = { events: 500, characters: 4 * 1024 * 1024 }
/** Events judged in one turn. */
const perTurn = 500

/** Answers that are being read, by room: they share a table. */
const underWay = new WeakMap<Room, Promise<void>>()

/** Stores of the state before an event, and of its auth chain, what is `wanted`, as far as the server tells it. */
export async function storeToldState(
  room: Room,
  requests: FederationRequests,
  server: ServerName,
  eventId: EventId,
  wanted: readonly EventId[],
): Promise<void> {
  const before = underWay.get(room) ?? Promise.resolve()
  const mine = before.then(() => readAndStore(room, requests, server, eventId, new Set(wanted)))
  underWay.set(
    room,
    mine.catch(() => undefined),
  )
  await mine
}

async function readAndStore(
  room: Room,
  requests: FederationRequests,
  server: ServerName,
  eventId: EventId,
  wanted: ReadonlySet<EventId>,
): Promise<void> {
  const { reader, transactor } = room
  const spool = new JoinSpool(reader.sql, reader.rules, 'gap_spool')
  try {
    let waiting: JsonValue[] = []
    let characters = 0
    const flush = async () => {
      const events = waiting
      waiting = []
      characters = 0
      const verified = await requests.verified(events)
      spool.add(
        verified.filter(({ event_id }) => wanted.has(event_id)),
        false,
      )
    }
    const take = (_name: string, value: JsonValue, length: number) => {
      waiting.push(value)
      characters += length
    }
    const rest = async () => {
      if (waiting.length >= batch.events || characters >= batch.characters) await flush()
    }
    // Of an answer that breaks off, what came is as good as if it had come alone.
    await requests.state(server, eventId, limits, take, rest)
    await flush()
    const ordered = spool.inAuthOrder(reader.header().roomId)
    for (let at = 0; at < ordered.length; at += perTurn) {
      transactor.turn(() => {
        for (const event of spool.read(ordered.slice(at, at + perTurn))) receiveOutlier(room, event)
        return { ok: true }
      })
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
  } finally {
    if (reader.isKnown()) spool.end()
  }
}
