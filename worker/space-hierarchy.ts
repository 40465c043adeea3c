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
import { hierarchyMark, type HierarchyPosition } from './hierarchy-token.ts'
import { RemoteRooms } from './remote-rooms.ts'
import { roomOf } from './rooms.ts'
import { userSyncOf } from './sync/user-sync.ts'

/** Rooms that are asked for one page: more than this are closed to the reader, and each is a call. */
export const mostRooms = 300
/** Rooms that a token can say were shown (hierarchy-token.ts): a walk that would need more of them ends. */
const mostMarked = 1000
/** Conditions of one restricted room that are looked at. */
const maxConditions = 50

export interface Walk {
  readonly root: RoomId
  /** Servers to ask for it, where this one is not in it. */
  readonly via: readonly ServerName[]
  readonly reader: UserId
  readonly maxDepth: number
  readonly suggestedOnly: boolean
  /** Rooms to show. */
  readonly limit: number
  /** Where an earlier page ended. */
  readonly from: HierarchyPosition | undefined
}

export interface Page {
  readonly rooms: JsonObject[]
  /** Where the next page begins; undefined where there is none. */
  readonly next: HierarchyPosition | undefined
}

/** Rooms that are looked at beforehand, so that those of slow servers are waited for together. */
const lookahead = 8

/** A page of the tree; undefined if its root is not there for the reader. */
export async function walkSpace(env: Env, walk: Walk): Promise<Page | undefined> {
  const { root, reader, maxDepth, limit } = walk
  const mayEnter = conditionsFor(env, reader)
  const find = finder(env, walk)
  const childrenOf = (room: SpaceRoom, parent: Step): Step[] => {
    if (parent.depth >= maxDepth) return []
    return shownChildren(walk, room).map((child, place) => ({ ...child, depth: parent.depth + 1, parent, place }))
  }
  const rooms: JsonObject[] = []
  const start: Step = { roomId: root, via: walk.via, depth: 0, parent: undefined, place: 0 }
  const { ahead, seen } = walk.from
    ? await goBack(walk.from, start, async (step) => {
        const room = await find(step)
        return room && (await isOpen(room, mayEnter)) ? childrenOf(room, step) : undefined
      })
    : { ahead: [start], seen: new Map<RoomId, Step>() }
  if (!ahead) return undefined
  const earlier = walk.from?.seen ?? new Set<string>()
  const isKnown = ({ roomId }: Step) => seen.has(roomId) || earlier.has(hierarchyMark(roomId))
  let asked = 0
  for (let next = ahead.pop(); next; next = ahead.pop()) {
    const { roomId } = next
    // Spaces may lie in each other in circles.
    if (isKnown(next)) continue
    if (rooms.length === limit || asked === mostRooms) return { rooms, next: positionAt(next, seen, earlier) }
    asked += 1
    seen.set(roomId, next)
    const found = find(next)
    for (const step of ahead.slice(-Math.min(lookahead, limit - rooms.length - 1) || ahead.length)) {
      if (!isKnown(step)) void find(step).catch(() => undefined)
    }
    const room = await found
    if (!room || !(await isOpen(room, mayEnter))) {
      if (roomId === root) return undefined
      continue
    }
    rooms.push(withChildren(room, shownChildren(walk, room)))
    ahead.push(...childrenOf(room, next).toReversed())
  }
  return { rooms, next: undefined }
}

function shownChildren({ suggestedOnly }: Walk, { children }: SpaceRoom): readonly SpaceChild[] {
  return suggestedOnly ? children.filter(({ isSuggested }) => isSuggested) : children
}

interface Step {
  readonly roomId: RoomId
  readonly via: readonly ServerName[]
  readonly depth: number
  /** The space by which the walk came here, and the place among its children. */
  readonly parent: Step | undefined
  readonly place: number
}

/** Goes down to where a page ended. What is on the way and before it was come to; what is behind it lies ahead. */
async function goBack(
  { path }: HierarchyPosition,
  root: Step,
  read: (step: Step) => Promise<Step[] | undefined>,
): Promise<{ ahead: Step[] | undefined; seen: Map<RoomId, Step> }> {
  const ahead: Step[] = []
  const seen = new Map<RoomId, Step>()
  let at = root
  for (const [level, { mark, place }] of path.entries()) {
    seen.set(at.roomId, at)
    const children = await read(at)
    if (!children) return { ahead: level === 0 ? undefined : ahead, seen }
    const known = children.findIndex(({ roomId }) => hierarchyMark(roomId) === mark)
    const here = known === -1 ? place : known
    const next = children[here]
    for (const elder of children.slice(0, here)) seen.set(elder.roomId, elder)
    ahead.push(...children.slice(here + 1).toReversed())
    if (!next) return { ahead, seen }
    if (level === path.length - 1 || known === -1 || seen.has(next.roomId)) return { ahead: [...ahead, next], seen }
    at = next
  }
  return { ahead, seen }
}

/** Where the next page begins; undefined where a token cannot tell it any more. */
function positionAt(
  next: Step,
  seen: ReadonlyMap<RoomId, Step>,
  earlier: ReadonlySet<string>,
): HierarchyPosition | undefined {
  const way: Step[] = []
  for (let step: Step | undefined = next; step?.parent; step = step.parent) way.unshift(step)
  const above = new Set<Step | undefined>(way.map(({ parent }) => parent))
  // Elder siblings of those on the way are found again with their parents.
  const aside = [...seen.values()].filter((step) => step.parent && !above.has(step.parent) && !above.has(step))
  const marked = new Set([...earlier, ...aside.map(({ roomId }) => hierarchyMark(roomId))])
  if (marked.size > mostMarked) return undefined
  return { path: way.map(({ roomId, place }) => ({ mark: hierarchyMark(roomId), place })), seen: marked }
}

/** Finds each room once: here, or where this server is not in it, over those that are. */
function finder(
  env: Env,
  { reader, suggestedOnly }: Walk,
): (step: Pick<Step, 'roomId' | 'via'>) => Promise<SpaceRoom | undefined> {
  const elsewhere = new RemoteRooms(env, reader, suggestedOnly)
  const finding = new Map<RoomId, Promise<SpaceRoom | undefined>>()
  const look = async ({ roomId, via }: Pick<Step, 'roomId' | 'via'>) => {
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
