/**
 * Goes for the event nearest to a moment that other servers have and this one has not.
 *
 * Spec: server-server-api/#get_matrixfederationv1timestamp_to_eventroomid. Whether their event is nearer is read from the
 * event, verified, not from what they say of it; it is stored like any other history.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'

import type { Env } from '../../../worker/env.ts'
import type { TimeRequest } from '../event-at-time.ts'
import type { Room } from '../room.ts'
import type { StoredEvent } from '../stored-event.ts'
import { takeHistory } from './backfill.ts'
import { FederationRequests } from './federation-requests.ts'

const maxServers = 4

/** Stores a nearer event than `known`, if a server has one. */
export async function fetchEventAtTime(
  room: Room,
  env: Env,
  { ts, dir }: TimeRequest,
  known: StoredEvent | undefined,
): Promise<void> {
  const requests = new FederationRequests(env, room.reader.header())
  const isNearer = (theirs: number) =>
    dir === 'f'
      ? theirs >= ts && (!known || theirs < known.origin_server_ts)
      : theirs <= ts && (!known || theirs > known.origin_server_ts)
  for (const server of oldestServers(room)) {
    const eventId = await requests.eventAtTime(server, ts, dir)
    if (eventId === undefined) continue
    if (eventId === known?.event_id) return
    const pdu = await requests.event(server, eventId)
    if (pdu && isNearer(pdu.origin_server_ts) && (await takeHistory(room, requests, server, [pdu]))) return
  }
}

/** "A good heuristic for which servers to try first is to sort by servers that have been in the room the longest." */
function oldestServers({ reader }: Room): ServerName[] {
  const query = `SELECT substr(state_key, instr(state_key, ':') + 1) AS server FROM current_state
    WHERE type = 'm.room.member' AND membership = 'join' GROUP BY server ORDER BY min(event_nid) LIMIT ?`
  return reader.sql
    .exec<{ server: ServerName }>(query, maxServers + 1)
    .toArray()
    .map(({ server }) => server)
    .filter((server) => server !== reader.serverName)
    .slice(0, maxServers)
}
