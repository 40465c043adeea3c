/**
 * The tokens of sliding sync, all of them strings to the client.
 *
 * - `pos`: `<connection>_<answer>_<epoch>`: the connection by its number, the answer by its number in the connection.
 * - `next_batch` of the to-device extension: `<position>_<epoch>`, a position in the user's stream.
 * - `next_batch` of the extension for sticky events: the same, or `<position>_<up to>_<after>_<epoch>_<room>` in the midst of
 *   more than fits into one answer.
 *
 * `epoch` names the stream (sync/since-token.ts): a token of before a restore is one of another stream.
 */
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'

export interface ConnectionPos {
  readonly connection: number
  readonly answer: number
}

const posForm = /^([1-9][0-9]{0,14})_(0|[1-9][0-9]{0,14})_([a-z0-9]{1,16})$/

export function formatPos({ connection, answer }: ConnectionPos, epoch: string): string {
  return `${connection}_${answer}_${epoch}`
}

/** Undefined for anything that this stream did not give out: the client begins anew. */
export function parsePos(text: string, epoch: string): ConnectionPos | undefined {
  const match = posForm.exec(text)
  if (!match || match[3] !== epoch) return undefined
  return { connection: Number(match[1]), answer: Number(match[2]) }
}

const toDeviceForm = /^(0|[1-9][0-9]{0,14})_([a-z0-9]{1,16})$/
/** A plain number is what other servers give: its holder came from there. */
const otherForm = /^[0-9]{1,20}$/

export function formatToDevice(position: number, epoch: string): string {
  return `${position}_${epoch}`
}

/** The position; 0, which proves nothing, for one of another stream or of its future; undefined for no such token at all. */
export function parseToDevice(text: string, stream: { epoch: string; position: number }): number | undefined {
  const match = toDeviceForm.exec(text)
  if (!match) return otherForm.test(text) ? 0 : undefined
  const position = Number(match[1])
  return match[2] === stream.epoch && position <= stream.position ? position : 0
}

/** What the holder of a token has been told of sticky events. */
export interface StickyPosition {
  /** All up to this position of the stream. */
  readonly at: number
  /** And up to that one, of the rooms before this one, and of this one up to a position of its own. */
  readonly round?: { readonly upTo: number; readonly roomId: RoomId; readonly after: number } | undefined
}

const roundForm = /^(0|[1-9][0-9]{0,14})_(0|[1-9][0-9]{0,14})_(0|[1-9][0-9]{0,14})_([a-z0-9]{1,16})_(![^\n]{1,254})$/
/** What other servers give begins so. */
const otherSticky = /^sticky_[0-9]{1,20}$/

export function formatSticky({ at, round }: StickyPosition, epoch: string): string {
  return round ? `${at}_${round.upTo}_${round.after}_${epoch}_${round.roomId}` : `${at}_${epoch}`
}

/** Position 0, to begin anew, for a token of another stream or of its future; undefined for no such token at all. */
export function parseSticky(text: string, stream: { epoch: string; position: number }): StickyPosition | undefined {
  if (otherSticky.test(text)) return { at: 0 }
  const match = roundForm.exec(text)
  if (!match) {
    const at = toDeviceForm.test(text) ? parseToDevice(text, stream) : undefined
    return at === undefined ? undefined : { at }
  }
  const [at, upTo, after, roomId] = [Number(match[1]), Number(match[2]), Number(match[3]), parseRoomId(match[5])]
  if (!roomId || upTo < at) return undefined
  return match[4] === stream.epoch && upTo <= stream.position ? { at, round: { upTo, roomId, after } } : { at: 0 }
}
