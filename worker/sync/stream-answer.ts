/**
 * An answer that holds all of a user's rooms, written out room by room as they come.
 *
 * A thousand rooms, or a few with very many members, would not fit into a Worker's memory at once. `next_batch` comes
 * last: it is known only when all rooms were served. If something fails in between, the answer breaks off, and the client
 * asks again with the token it has.
 */
import type { GatheredRoom, Section } from './gather-rooms.ts'

type Place = Pick<GatheredRoom, 'roomId' | 'section'>
/** Takes the JSON of a room; waits while the client has much to read already. */
export type Take = (place: Place, json: object) => Promise<void>

/** Characters that are collected before they are written: each write has its price. */
const chunk = 64 * 1024

/** Streams an answer. `produce` hands over rooms and returns the rest of the answer, an object that is not empty. */
export function streamAnswer(produce: (take: Take) => Promise<object>): {
  readonly response: Response
  /** Settles when all was written. Never rejects. */
  readonly done: Promise<void>
} {
  const { readable, writable } = new IdentityTransformStream()
  const writer = writable.getWriter()
  const done = writeAnswer(produce, (text) => writer.write(new TextEncoder().encode(text)))
    .then(() => writer.close())
    .catch(async (error: unknown) => {
      console.error('an answer broke off', error)
      await writer.abort(error).catch(() => undefined)
    })
  return { response: new Response(readable, { headers: { 'Content-Type': 'application/json' } }), done }
}

async function writeAnswer(
  produce: (take: Take) => Promise<object>,
  write: (text: string) => Promise<void>,
): Promise<void> {
  // Rooms of other sections than `join` are few and small; they wait until theirs can be opened.
  const others = new Map<Section, string[]>()
  let collected = '{"rooms":{"join":{'
  let separator = ''
  const rest = await produce(async ({ roomId, section }, json) => {
    const text = `${JSON.stringify(roomId)}:${JSON.stringify(json)}`
    if (section !== 'join') {
      others.set(section, [...(others.get(section) ?? []), text])
      return
    }
    collected += separator + text
    separator = ','
    if (collected.length < chunk) return
    const full = collected
    collected = ''
    await write(full)
  })
  const sections = [...others].map(([section, rooms]) => `,${JSON.stringify(section)}:{${rooms.join(',')}}`)
  await write(`${collected}}${sections.join('')}},${JSON.stringify(rest).slice(1)}`)
}
