/** Answers too large to hold: written piece by piece, as fast as somebody reads them. */
import type { JsonObject } from '#protocol/json/json.ts'

/** A stream of these pieces of text. Each is made when it is wanted. */
export function streamText(parts: Iterator<string, void>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const { done, value } = parts.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(value))
    },
  })
}

/** A JSON list of all objects in these slices, with something before it and something after. */
export function* listText(
  before: string,
  slices: Iterable<readonly JsonObject[]>,
  after: string,
): Generator<string, void> {
  yield `${before}[`
  let isFirst = true
  for (const slice of slices) {
    if (slice.length === 0) continue
    const text = slice.map((each) => JSON.stringify(each)).join(',')
    yield isFirst ? text : `,${text}`
    isFirst = false
  }
  yield `]${after}`
}
