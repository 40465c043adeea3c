/**
 * What one destination is still to hear: in memory, made anew from the tables when the object wakes. Pure.
 *
 * Rooms keep their order of arrival, and within a room events go out in the room's order. EDUs that may be lost (typing,
 * receipts, presence) are kept under a key, so that a newer one replaces an older.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

export class Outgoing {
  /** Per room: the destination lacks events after `after`; there are some up to `pos`, perhaps more. */
  readonly rooms = new Map<RoomId, { readonly after: number; readonly pos: number }>()
  /** EDUs that must arrive, by row ID, in order. */
  readonly edus = new Map<number, JsonObject>()
  readonly #passing = new Map<string, JsonObject>()

  /** There is news of a room. What was unsent before stays so. */
  addRoom(roomId: RoomId, after: number, pos: number): void {
    const known = this.rooms.get(roomId) ?? { after, pos }
    this.rooms.set(roomId, { after: Math.min(known.after, after), pos: Math.max(known.pos, pos) })
  }

  /**
   * A transaction arrived that began after one position and reached another; `more`: the room had more to send. True when
   * nothing of the room is left to send.
   */
  roomReached(roomId: RoomId, { after, upTo, more }: { after: number; upTo: number; more: boolean }): boolean {
    const known = this.rooms.get(roomId)
    // While it was under way, the room asked for what lies before it to be sent.
    if (known && known.after < after) return false
    // News that came while the transaction was under way lies beyond what it held.
    if (known && (more || known.pos > upTo)) this.rooms.set(roomId, { ...known, after: upTo })
    else this.rooms.delete(roomId)
    return !this.rooms.has(roomId)
  }

  addPassing(key: string, edu: JsonObject): void {
    this.#passing.delete(key)
    if (this.#passing.size < 1_000) this.#passing.set(key, edu)
  }

  get isEmpty(): boolean {
    return this.rooms.size === 0 && this.edus.size === 0 && this.#passing.size === 0
  }

  /** Up to `limit` passing EDUs, taken out: whether they arrive or not, they are not sent again. */
  takePassing(limit: number): JsonObject[] {
    const taken = [...this.#passing].slice(0, limit)
    for (const [key] of taken) this.#passing.delete(key)
    return taken.map(([, edu]) => edu)
  }

  /** What may be lost is lost when a server cannot be reached. */
  dropPassing(): void {
    this.#passing.clear()
  }
}
