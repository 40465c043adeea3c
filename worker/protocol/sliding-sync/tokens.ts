/**
 * The two tokens of sliding sync, both strings to the client.
 *
 * - `pos`: `<connection>_<answer>_<epoch>`: the connection by its number, the answer by its number in the connection.
 * - `next_batch` of the to-device extension: `<position>_<epoch>`, a position in the user's stream.
 *
 * `epoch` names the stream (sync/since-token.ts): a token of before a restore is one of another stream.
 */
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
