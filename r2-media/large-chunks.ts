/**
 * A body in large pieces. The runtime hands out a request's body in pieces of 4 KiB, and each costs a turn of the event loop:
 * read that way, a hundred megabytes take seconds of CPU and wait for each other.
 */

/** Less comes only at the end. */
export const chunkSize = 256 * 1024

/** The bytes of a stream in order. One that is left before its end is cancelled. */
export async function* inLargeChunks(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = byteReader(body)
  if (!reader) return yield* body
  let isDone = false
  try {
    while (!isDone) {
      const { value, done } = await reader.readAtLeast(chunkSize, new Uint8Array(chunkSize))
      isDone = done
      if (value && value.byteLength > 0) yield value
    }
  } finally {
    if (!isDone) await reader.cancel().catch(() => undefined)
  }
}

/** Undefined for a stream that was made of pieces, whose size it keeps. */
function byteReader(body: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return body.getReader({ mode: 'byob' })
  } catch {
    return undefined
  }
}
