/**
 * An answer that holds all of a user's rooms, written out room by room as they come.
 *
 * A thousand rooms, or a few with very many members, would not fit into a Worker's memory at once. `next_batch` comes
 * last: it is known only when all rooms were served. If something fails in between, the answer breaks off, and the client
 * asks again with the token it has.
 */
import type { GatheredRoom, Section } from './gather-rooms.ts'

type Place = Pick<GatheredRoom, 'roomId' | 'section'>
/** Takes the JSON of a room, as soon as the client has taken what came before. */
export type Take = (place: Place, json: object) => Promise<void>

/** Streams an answer. `produce` hands over rooms and returns the rest of the answer, an object that is not empty. */
export function streamAnswer(produce: (take: Take) => Promise<object>): {
  readonly response: Response
  /** Settles when all was written. Never rejects. */
  readonly done: Promise<void>
} {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  const encoder = new TextEncoder()
  const write = (text: string) => writer.write(encoder.encode(text))

  // Rooms of other sections than `join` are few and small; they wait until their section can be opened.
  const others = new Map<Section, string[]>()
  let isFirst = true
  const take: Take = async ({ roomId, section }, json) => {
    const text = `${JSON.stringify(roomId)}:${JSON.stringify(json)}`
    if (section === 'join') {
      const before = isFirst ? '' : ','
      isFirst = false
      await write(before + text)
    } else others.set(section, [...(others.get(section) ?? []), text])
  }
  const run = async () => {
    await write('{"rooms":{"join":{')
    const rest = await produce(take)
    const sections = [...others].map(([section, rooms]) => `,${JSON.stringify(section)}:{${rooms.join(',')}}`)
    await write(`}${sections.join('')}},${JSON.stringify(rest).slice(1)}`)
    await writer.close()
  }
  const done = run().catch(async (error: unknown) => {
    console.error('an answer broke off', error)
    await writer.abort(error).catch(() => undefined)
  })
  return { response: new Response(readable, { headers: { 'Content-Type': 'application/json' } }), done }
}
