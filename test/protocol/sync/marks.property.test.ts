/**
 * The stream of one user against a model, with random interleavings: rooms that fall silent after telling once,
 * notifications that come late, twice or out of order, devices that sync at once, answers that get lost, tokens that are
 * used again, slices that fail, and an object that is evicted at any moment.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { migrate } from '../../../durable-objects/shared/migrate.ts'
import {
  applyRoomChange,
  commitServed,
  type FailedRoom,
  type Membership,
  type RoomChange,
  type RoomVersion,
  type ServedRoom,
} from '../../../durable-objects/user-sync/marks.ts'
import { migrations } from '../../../durable-objects/user-sync/migrations.ts'
import { type Read, readStream } from '../../../durable-objects/user-sync/read.ts'
import { loadStream, type Stream } from '../../../durable-objects/user-sync/stream.ts'
import { formatSinceToken } from '../../../worker/protocol/sync/since-token.ts'
import { nodeStorage } from '../../dsl/node-sql.ts'

interface Room {
  readonly roomId: RoomId
  pos: number
  typing: number
  membership: Membership
  /** A notification is sent only to an armed user, who is then silent until a slice is read. */
  armed: boolean
}

/** What the holder of a token has truly heard. `again`: a slice failed, so the room may begin anew. */
type Heard = ReadonlyMap<RoomId, RoomVersion & { readonly again: boolean }>

interface InFlight {
  readonly device: number
  readonly since: string | undefined
  readonly read: Read
  readonly served: ServedRoom[]
  readonly failed: FailedRoom[]
  readonly heard: Map<RoomId, RoomVersion & { readonly again: boolean }>
}

const roomIds = ['!a:x', '!b:x', '!c:x'].map(parseRoomId).filter((roomId) => roomId !== undefined)
const devices = 3
const memberships = ['join', 'leave', 'invite'] as const

class World {
  readonly storage = nodeStorage()
  stream: Stream
  readonly rooms: Room[] = roomIds.map((roomId) => ({ roomId, pos: 1, typing: 0, membership: 'join', armed: true }))
  readonly told: RoomChange[] = []
  inFlight: InFlight[] = []
  readonly heardBy = new Map<string, Heard>()
  readonly tokens: (string | undefined)[] = Array.from({ length: devices }, () => undefined)
  readonly oldTokens: string[] = []
  typingLists = 0

  constructor() {
    migrate(this.storage, migrations)
    this.stream = loadStream(this.storage.sql, () => 'epoch')
    for (const room of this.rooms) this.tell(room)
  }

  tell(room: Room): void {
    if (!room.armed) return
    room.armed = false
    this.told.push({ roomId: room.roomId, pos: room.pos, typing: room.typing, membership: room.membership })
  }

  deliver(index: number, keep: boolean): void {
    const change = this.told[index % this.told.length]
    if (!change) return
    if (!keep) this.told.splice(index % this.told.length, 1)
    applyRoomChange(this.storage.sql, this.stream, change)
  }

  begin(device: number, since: string | undefined): InFlight {
    const request = { deviceId: `D${device}`, since, fullState: false, includeLeave: true }
    const read = readStream(this.storage.sql, this.stream, request, 0)
    if (!read.ok) throw new Error(read.reason)
    const heard = new Map(since === undefined ? [] : this.heardBy.get(since))
    for (const { roomId, from } of read.rooms) {
      const truly = heard.get(roomId)
      // Nothing lost and nothing twice: the slice begins exactly where this holder stands.
      if (from === null) expect(truly === undefined || truly.again, `${roomId} began anew for ${since}`).toBe(true)
      else expect(from.pos, `${roomId} since ${since}`).toBe(truly?.pos)
    }
    const sync = { device, since, read, served: [], failed: [], heard }
    this.inFlight.push(sync)
    return sync
  }

  /** Reads the next slice of an answer, or fails to. */
  slice(sync: InFlight, fails: boolean): boolean {
    const next = sync.read.rooms[sync.served.length + sync.failed.length]
    const room = this.rooms.find(({ roomId }) => roomId === next?.roomId)
    if (!next || !room) return false
    if (fails) {
      sync.failed.push({ roomId: room.roomId, from: next.from })
      sync.heard.set(room.roomId, { ...(next.from ?? { pos: -1, typing: 0 }), again: true })
    } else {
      room.armed = true
      sync.served.push({ roomId: room.roomId, pos: room.pos, typing: room.typing })
      sync.heard.set(room.roomId, { pos: room.pos, typing: room.typing, again: false })
    }
    return true
  }

  finish(sync: InFlight, lost: boolean): void {
    while (this.slice(sync, false));
    this.inFlight = this.inFlight.filter((other) => other !== sync)
    const differing = sync.served.filter((slice) => {
      const known = sync.read.rooms.find((room) => room.roomId === slice.roomId)?.known
      return known?.pos !== slice.pos || known.typing !== slice.typing
    })
    let token = sync.read.nextBatch
    if (differing.length > 0 || sync.failed.length > 0) {
      const { read } = sync.read.token
      const served = commitServed(this.storage.sql, this.stream, { read, served: differing, failed: sync.failed })
      token = formatSinceToken({ ...sync.read.token, served }, this.stream.epoch)
    }
    // A token may come from two answers that found nothing new between them; they mean the same.
    this.heardBy.set(token, sync.heard)
    this.oldTokens.push(token)
    if (!lost) this.tokens[sync.device] = token
  }

  step(choice: number, a: number, b: number): void {
    const room = this.rooms[a % this.rooms.length]
    const device = a % devices
    const sync = this.inFlight[a % Math.max(1, this.inFlight.length)]
    if (!room) return
    if (choice === 0) {
      room.pos++
      this.tell(room)
    } else if (choice === 1) {
      room.typing = ++this.typingLists
      this.tell(room)
    } else if (choice === 2) {
      room.pos++
      room.membership = memberships[b % 3] ?? 'join'
      room.armed = true // of a change of membership the user is always told
      this.tell(room)
    } else if (choice === 3) this.deliver(b, b % 5 === 0)
    else if (choice === 4) this.begin(device, this.tokens[device])
    else if (choice === 5) this.begin(device, this.oldTokens[b % Math.max(1, this.oldTokens.length)])
    else if (choice === 6 && sync) this.slice(sync, b % 8 === 0)
    else if (choice === 7 && sync) this.finish(sync, b % 4 === 0)
    else if (choice === 8) this.stream = loadStream(this.storage.sql, () => 'epoch')
    else if (choice === 9) {
      // The room wakes without its list of typing users, as ever because there is something new.
      room.typing = 0
      room.pos++
      this.tell(room)
    }
  }

  /** Lets everything arrive; then every device must stand where the rooms stand, and stay there. */
  settle(): void {
    this.inFlight.slice().forEach((sync) => this.finish(sync, false))
    for (let round = 0; round < 20; round++) {
      while (this.told.length > 0) this.deliver(0, false)
      for (let device = 0; device < devices; device++) this.finish(this.begin(device, this.tokens[device]), false)
    }
    const toldOf = this.storage.sql.exec('SELECT room_id, membership FROM rooms').toArray()
    for (const { room_id, membership } of toldOf) {
      expect(membership).toBe(this.rooms.find(({ roomId }) => roomId === room_id)?.membership)
    }
    for (const token of this.tokens) {
      for (const room of this.rooms) {
        const heard = this.heardBy.get(token ?? '')?.get(room.roomId)
        expect(heard).toMatchObject({ pos: room.pos, typing: room.typing })
      }
      const { rooms } = this.begin(0, token).read
      expect(rooms).toEqual([])
    }
  }
}

const steps = fc.array(fc.tuple(fc.nat(9), fc.nat(100), fc.nat(100)), { minLength: 10, maxLength: 120 })

describe('whatever happens, each chain of tokens', () => {
  test('hears of everything, exactly once, and again exactly when it asks again', { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const world = new World()
        for (const step of sequence) world.step(...step)
        world.settle()
      }),
      { numRuns: 1500 },
    )
  })
})
