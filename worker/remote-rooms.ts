/**
 * Rooms that this server is not in, for one request of one reader: told by the servers that are said to be in them.
 *
 * Spec: client-server-api/#get_matrixclientv1roomsroomidhierarchy, #get_matrixclientv1room_summaryroomidoralias. Other servers
 * tell ours what any of its users might see; what this reader may see of it is decided here: "the requesting server is
 * responsible for filtering the results further down for the user's request".
 */
import { type RoomId, serverNameOfRoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { ForeignSummary } from '#protocol/room-summary.ts'

import type { SpaceChild, SpaceRoom } from '../durable-objects/room/space-room.ts'
import type { Env } from './env.ts'
import { askHierarchy } from './federation-client/hierarchy.ts'
import { roomOf } from './rooms.ts'
import { settingsOf } from './settings.ts'

/** Milliseconds for which one request asks other servers; after that it shows what it has. */
const patienceMs = 12_000

export class RemoteRooms {
  readonly #env: Env
  readonly #reader: UserId
  readonly #suggestedOnly: boolean
  readonly #until = Date.now() + patienceMs
  readonly #told = new Map<RoomId, ForeignSummary>()
  readonly #closed = new Set<RoomId>()

  constructor(env: Env, reader: UserId, suggestedOnly: boolean) {
    this.#env = env
    this.#reader = reader
    this.#suggestedOnly = suggestedOnly
  }

  /** The room; undefined where nobody tells of it. */
  async find(roomId: RoomId, via: readonly ServerName[]): Promise<SpaceRoom | undefined> {
    const told = this.#told.get(roomId)
    // What its space told of a room is all that is shown of it, unless it is a space itself.
    if (told && told.roomType !== 'm.space') return this.#asShown(told, [])
    if (!told && this.#closed.has(roomId)) return undefined
    const space = Date.now() < this.#until ? await this.#ask(roomId, via) : undefined
    if (!space) return told && this.#asShown(told, [])
    for (const [id, summary] of space.childRooms) this.#told.set(id, summary)
    for (const id of space.inaccessible) this.#closed.add(id)
    return this.#asShown(space.room, space.children)
  }

  #ask(roomId: RoomId, via: readonly ServerName[]) {
    const creators = serverNameOfRoomId(roomId)
    const servers = new Set([...via, ...(creators ? [creators] : [])])
    servers.delete(settingsOf(this.#env).serverName)
    return askHierarchy(this.#env, roomId, [...servers], this.#suggestedOnly)
  }

  async #asShown(room: ForeignSummary, children: readonly SpaceChild[]): Promise<SpaceRoom> {
    const membership = await roomOf(this.#env, room.roomId).membershipOf({ user: this.#reader })
    const isOpen = room.isWorldReadable || openRules.has(room.joinRule) || membership === 'invite'
    return {
      summary: room.summary,
      membership,
      access: isOpen ? 'open' : room.allowedRooms.length > 0 ? 'restricted' : 'closed',
      allowedRooms: room.allowedRooms,
      children: room.roomType === 'm.space' ? children : [],
    }
  }
}

const openRules = new Set(['public', 'knock', 'knock_restricted'])
