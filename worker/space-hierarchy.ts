/**
 * The tree of a space, as far as one may see it.
 *
 * Spec: client-server-api/#get_matrixclientv1roomsroomidhierarchy: "paginates over the space tree in a depth-first manner".
 * Of rooms that this server is not in, others are asked (remote-rooms.ts).
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { SpaceChild, SpaceRoom } from '../durable-objects/room/space-room.ts'
import type { Env } from './env.ts'
import { RemoteRooms } from './remote-rooms.ts'
import { roomOf } from './rooms.ts'
import { userSyncOf } from './sync/user-sync.ts'

/** Rooms that are asked for one walk: more than this lies in few spaces, and each is a call. */
export const mostRooms = 300
/** Conditions of one restricted room that are looked at. */
const maxConditions = 50

export interface Walk {
  readonly root: RoomId
  /** Servers to ask for it, where this one is not in it. */
  readonly via: readonly ServerName[]
  readonly reader: UserId
  readonly maxDepth: number
  readonly suggestedOnly: boolean
  /** Rooms to show, after so many. */
  readonly limit: number
  readonly skip: number
}

export interface Page {
  readonly rooms: JsonObject[]
  /** There may be more. */
  readonly more: boolean
}

/** Rooms that are looked at beforehand, so that those of slow servers are waited for together. */
const lookahead = 8

/** A page of the tree; undefined if its root is not there for the reader. */
export async function walkSpace(env: Env, walk: Walk): Promise<Page | undefined> {
  const { root, reader, maxDepth, suggestedOnly, limit, skip } = walk
  const mayEnter = conditionsFor(env, reader)
  const find = finder(env, walk)
  const rooms: JsonObject[] = []
  const seen = new Set<RoomId>()
  const ahead: Step[] = [{ roomId: root, via: walk.via, depth: 0 }]
  let shown = 0
  for (let next = ahead.pop(); next; next = ahead.pop()) {
    const { roomId, depth } = next
    // Spaces may lie in each other in circles.
    if (seen.has(roomId)) continue
    if (rooms.length === limit || seen.size === mostRooms) return { rooms, more: rooms.length === limit }
    seen.add(roomId)
    const found = find(next)
    for (const step of ahead.slice(-Math.min(lookahead, limit - rooms.length))) {
      if (!seen.has(step.roomId)) void find(step).catch(() => undefined)
    }
    const room = await found
    if (!room || !(await isOpen(room, mayEnter))) {
      if (roomId === root) return undefined
      continue
    }
    const children = suggestedOnly ? room.children.filter(({ isSuggested }) => isSuggested) : room.children
    if (++shown > skip) rooms.push(withChildren(room, children))
    if (depth < maxDepth) ahead.push(...children.map((child) => ({ ...child, depth: depth + 1 })).toReversed())
  }
  return { rooms, more: false }
}

interface Step {
  readonly roomId: RoomId
  readonly via: readonly ServerName[]
  readonly depth: number
}

/** Finds each room once: here, or where this server is not in it, over those that are. */
function finder(env: Env, { reader, suggestedOnly }: Walk): (step: Step) => Promise<SpaceRoom | undefined> {
  const elsewhere = new RemoteRooms(env, reader, suggestedOnly)
  const finding = new Map<RoomId, Promise<SpaceRoom | undefined>>()
  const look = async ({ roomId, via }: Step) => {
    const here = await roomOf(env, roomId).spaceRoom({ reader })
    return here.ok ? here : elsewhere.find(roomId, via)
  }
  return (step) => {
    const known = finding.get(step.roomId) ?? look(step)
    finding.set(step.roomId, known)
    return known
  }
}

/** Rooms of a space that are told to another server. */
const maxToldChildren = 50

export interface ServerHierarchy {
  readonly room: JsonObject
  readonly children: JsonObject[]
  readonly inaccessible_children: RoomId[]
}

/** A space and the rooms in it, for another server; undefined if it may not know of the space. */
export async function hierarchyForServer(
  env: Env,
  origin: ServerName,
  root: RoomId,
  suggestedOnly: boolean,
): Promise<ServerHierarchy | undefined> {
  const mayEnter = async (allowed: readonly RoomId[]) => {
    for (const roomId of allowed.slice(0, maxConditions)) {
      if ((await roomOf(env, roomId).joinedServers()).includes(origin)) return true
    }
    return false
  }
  const space = await roomOf(env, root).spaceRoom({ origin })
  if (!space.ok || !(await isOpen(space, mayEnter))) return undefined
  const children = suggestedOnly ? space.children.filter(({ isSuggested }) => isSuggested) : space.children
  const told: JsonObject[] = []
  const inaccessible: RoomId[] = []
  for (const { roomId } of children.slice(0, maxToldChildren)) {
    const child = await roomOf(env, roomId).spaceRoom({ origin })
    // "Rooms which the responding server cannot provide details on will be outright excluded from the response instead."
    if (!child.ok) continue
    if (await isOpen(child, mayEnter)) told.push(withChildren(child, child.children))
    else inaccessible.push(roomId)
  }
  return { room: withChildren(space, children), children: told, inaccessible_children: inaccessible }
}

type MayEnter = (allowed: readonly RoomId[]) => Promise<boolean>

/** Whether a room may be shown to those of whom `mayEnter` knows in which rooms they are. */
export async function isOpen({ access, allowedRooms }: SpaceRoom, mayEnter: MayEnter): Promise<boolean> {
  return access === 'open' || (access === 'restricted' && mayEnter(allowedRooms))
}

/** Says of a user whether they are joined to one of some rooms: "provided the user meets one of the specified conditions". */
export function conditionsFor(env: Env, user: UserId): MayEnter {
  let joined: Promise<ReadonlySet<string>> | undefined
  const known = new Map<RoomId, Promise<boolean>>()
  const isJoined = async (roomId: RoomId) => {
    // The user's object only heard of it; the room knows.
    const found = await roomOf(env, roomId).residentMembership({ user })
    return found.ok && found.membership === 'join'
  }
  return async (allowed) => {
    joined ??= userSyncOf(env, user)
      .joinedRooms()
      .then((rooms) => new Set(rooms))
    const mine = await joined
    for (const roomId of allowed.filter((each) => mine.has(each)).slice(0, maxConditions)) {
      const asked = known.get(roomId) ?? isJoined(roomId)
      known.set(roomId, asked)
      if (await asked) return true
    }
    return false
  }
}

function withChildren({ summary }: SpaceRoom, children: readonly SpaceChild[]): JsonObject {
  return { ...summary, children_state: children.map(({ event }) => event) }
}
