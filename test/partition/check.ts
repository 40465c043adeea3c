/**
 * What must hold when all is mended. Of each room: all servers in it have the same state and the same forward extremities,
 * and no event waits for its ancestors; each event is rejected by all or by none, as the rules say (judge.ts); each event
 * that somebody was given the ID of can be read by somebody on each server that was in the room then.
 *
 * *Was in the room then*: a user of the server was joined in the state before the event, and the server had come to the room
 * (for the last time) before it: the join by which it came is an ancestor of the event. What was sent in an earlier stay,
 * and had not arrived when that ended, is history, which is fetched when somebody reads that far.
 *
 * An event need not be readable where the server has it as rejected, if the rules reject it, or as soft-failed, if there was
 * a moment at which the server's current state did not allow it.
 */
import type { EventId } from '../../worker/protocol/identifiers/event-id.ts'
import type { Promised } from './actions.ts'
import { type Judgement, judge } from './judge.ts'
import { readRoom, type RoomRows } from './rows.ts'
import { type Person, type Site, type Sites, somebodyIn } from './sites.ts'

export interface Numbers {
  /** Events of all rooms, as the server that has most of them has them. */
  readonly events: number
  readonly softFailed: number
  readonly rejected: number
}

interface Resident {
  readonly site: Site
  readonly reader: Person
  readonly rows: RoomRows
}

/** Servers with somebody in the room, by their own word. */
async function residents({ all }: Sites, roomId: string): Promise<Resident[]> {
  const found: Resident[] = []
  for (const site of all) {
    const reader = await somebodyIn(site, roomId)
    const rows = reader && readRoom(site.roomFiles(), roomId, site.name)
    if (rows) found.push({ site, reader, rows })
  }
  return found
}

export interface Apart {
  /** In what servers that are in one room are not one yet; a line each. */
  readonly faults: readonly string[]
  /**
   * Pairs of servers that are in a room, and are not in it by the state of the other. So it ends where each put the
   * other's last user out, or was left by them, while on the other fork they stayed or came back: what comes from there is
   * soft-failed, and no event of a third cites both forks. By the rules, these are two rooms from then on. So it is where one
   * still has the other in the room, and is not in it for that one, which soft-failed the newest that it heard.
   */
  readonly parted: number
}

export async function whatKeepsThemApart(sites: Sites, rooms: readonly string[]): Promise<Apart> {
  const faults: string[] = []
  let parted = 0
  for (const roomId of rooms) {
    const inside = await residents(sites, roomId)
    const named = new Map(inside.map(({ site, rows }) => [site.name, judgeState(rows)]))
    for (const { site, rows } of inside) {
      if (rows.staged.length > 0) faults.push(`${roomId}: ${rows.staged.length} events wait at ${site.label}`)
      const ghosts = sites.all.filter(({ name }) => named.get(site.name)?.has(name) && !named.has(name))
      for (const { label } of ghosts) faults.push(`${roomId}: ${label} is in it for ${site.label} alone`)
    }
    for (const [index, one] of inside.entries()) {
      for (const other of inside.slice(index + 1)) {
        const isOne = named.get(one.site.name)?.has(other.site.name) ?? false
        const isOther = named.get(other.site.name)?.has(one.site.name) ?? false
        const areParted = isOne ? !isOther && isDeafTo(other, one) : !isOther || isDeafTo(one, other)
        if (areParted) parted++
        else faults.push(...differences(roomId, one, other))
      }
    }
  }
  return { faults, parted }
}

/** Whether all that a server says last is soft-failed at another. */
function isDeafTo(listener: Resident, speaker: Resident): boolean {
  return speaker.rows.extremities.every((id) => listener.rows.events.get(id)?.outcome === 'soft-failed')
}

function differences(roomId: string, one: Resident, other: Resident): string[] {
  const lines: string[] = []
  const keys = new Set([...one.rows.state.keys(), ...other.rows.state.keys()])
  const different = [...keys].filter((key) => one.rows.state.get(key) !== other.rows.state.get(key))
  const pair = `${roomId}: ${one.site.label} and ${other.site.label}`
  if (different.length > 0) lines.push(`${pair} differ in ${different.join(', ')}`)
  const [ends, otherEnds] = [one.rows.extremities.join(), other.rows.extremities.join()]
  if (ends !== otherEnds) lines.push(`${pair} end differently: ${ends} and ${otherEnds}`)
  return lines
}

function judgeState(rows: RoomRows): Set<string> {
  const servers = new Set<string>()
  for (const id of rows.state.values()) {
    const pdu = rows.events.get(id)?.pdu
    if (pdu?.type === 'm.room.member' && pdu.content['membership'] === 'join') {
      servers.add(pdu.state_key?.slice(pdu.state_key.indexOf(':') + 1) ?? '')
    }
  }
  return servers
}

/** Events that are judged wrongly or cannot be read; a line each. */
export async function faultsOf(
  sites: Sites,
  rooms: readonly string[],
  promised: readonly Promised[],
): Promise<string[]> {
  const faults: string[] = []
  for (const roomId of rooms) {
    const stored = sites.all.flatMap((site) => {
      const rows = readRoom(site.roomFiles(), roomId, site.name)
      return rows ? [{ site, rows }] : []
    })
    const [first] = stored
    if (!first) continue
    const judgement = judge(
      first.rows.rules,
      stored.map(({ rows }) => rows),
    )
    faults.push(...judgement.unjudged.map((id) => `${roomId}: nobody has what ${id} builds on`))
    for (const { site, rows } of stored) faults.push(...wrongVerdicts(judgement, rows, `${roomId} at ${site.label}`))
    const inside = await residents(sites, roomId)
    for (const event of promised.filter((each) => each.roomId === roomId)) {
      for (const resident of inside) {
        const fault = await unreadable(judgement, resident, event)
        if (fault !== undefined) faults.push(`${roomId} ${event.eventId} at ${resident.site.label}: ${fault}`)
      }
    }
  }
  return faults
}

function wrongVerdicts(judgement: Judgement, { events }: RoomRows, where: string): string[] {
  const faults: string[] = []
  for (const [id, { outcome, reason }] of events) {
    const judged = judgement.events.get(id)
    if (!judged || outcome === 'outlier') continue
    if (outcome === 'rejected' && judged.fault === undefined) faults.push(`${where}: ${id} is rejected (${reason})`)
    if (outcome !== 'rejected' && judged.fault !== undefined)
      faults.push(`${where}: ${id} is not rejected: ${judged.fault}`)
  }
  return faults
}

async function unreadable(
  judgement: Judgement,
  { site, reader, rows }: Resident,
  { roomId, eventId }: Promised,
): Promise<string | undefined> {
  const found = [...judgement.events.values()].find(({ pdu }) => pdu.event_id === eventId)
  if (!found) return 'nobody has it'
  const { pdu, before } = found
  const wasThere =
    site.name === serverOf(pdu.sender) ||
    (judgement.serversIn(before).has(site.name) &&
      (rows.entry === undefined || judgement.isAncestor(rows.entry, pdu.event_id)))
  if (!wasThere) return undefined
  const path = `/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(eventId)}`
  const { status } = await reader.ask('GET', path)
  if (status === 200) return undefined
  const row = rows.events.get(pdu.event_id)
  if (row?.outcome === 'rejected' && found.fault !== undefined) return undefined
  if (row?.outcome === 'soft-failed') {
    for (const state of rows.pastStates()) if (!judgement.isAllowed(pdu, state)) return undefined
    return 'it is soft-failed, and was allowed at every moment'
  }
  const how = row ? row.outcome : 'is not there'
  return `${status}: it ${how} (${pdu.type} of ${pdu.sender}, depth ${pdu.depth})`
}

export function countOf({ all }: Sites, rooms: readonly string[]): Numbers {
  const count = { events: 0, softFailed: 0, rejected: 0 }
  for (const roomId of rooms) {
    const ids = { all: new Set<EventId>(), softFailed: new Set<EventId>(), rejected: new Set<EventId>() }
    for (const site of all) {
      for (const [id, { outcome }] of readRoom(site.roomFiles(), roomId, site.name)?.events ?? []) {
        ids.all.add(id)
        if (outcome === 'soft-failed') ids.softFailed.add(id)
        if (outcome === 'rejected') ids.rejected.add(id)
      }
    }
    count.events += ids.all.size
    count.softFailed += ids.softFailed.size
    count.rejected += ids.rejected.size
  }
  return count
}

function serverOf(userId: string): string {
  return userId.slice(userId.indexOf(':') + 1)
}
