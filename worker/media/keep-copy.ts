/** Keeps a copy of another server's media while it streams to whoever asked for it first. */
import type { MxcUri } from '#protocol/identifiers/mxc-uri.ts'

import { newStorageKey } from '../../r2-media/media-key.ts'
import { openMediaWriter } from '../../r2-media/media-store.ts'
import { addCopy } from '../accounts/remote-media-rows.ts'
import type { Env } from '../env.ts'
import type { Settings } from '../settings.ts'
import type { Turn } from './one-fetch.ts'
import type { RemoteMedia } from './remote-media.ts'

interface KeepCall {
  readonly env: Env
  readonly settings: Settings
  waitUntil(work: Promise<unknown>): void
}

/** The media's bytes for the client. The copy is finished even if the client goes away. */
export function keepWhileStreaming(
  call: KeepCall,
  uri: MxcUri,
  remote: RemoteMedia,
  turn: Turn,
): ReadableStream<Uint8Array> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const work = keepCopy(call, uri, remote, writable.getWriter()).catch(async (error: unknown) => {
    console.warn('media of another server was not kept', String(error))
    await turn.giveUp()
  })
  call.waitUntil(work)
  return readable
}

/**
 * Stores the media, passing each chunk on to the client as well, at the client's pace. Rejects when it ends early or is too
 * large: nothing is kept then, and the client's stream fails.
 */
export async function keepCopy(
  { env, settings }: KeepCall,
  uri: MxcUri,
  { body, contentType, fileName }: RemoteMedia,
  client?: WritableStreamDefaultWriter<Uint8Array>,
): Promise<void> {
  const storageKey = newStorageKey('remote')
  const writer = openMediaWriter(env.MEDIA, storageKey, settings.maxUploadSize)
  let listener = client
  // Seen at once: a client that is gone must not become an unhandled rejection.
  client?.closed.catch(() => (listener = undefined))
  try {
    for await (const chunk of body) {
      if (!(await writer.write(chunk))) throw new Error('the media is too large')
      await listener?.write(chunk).catch(() => (listener = undefined))
    }
    const bytes = await writer.finish()
    // Somebody else may have fetched it as well, where this took long.
    const isFirst = await addCopy(env, uri, { storageKey, contentType, fileName, ...bytes })
    if (!isFirst) await env.MEDIA.delete(storageKey)
    await listener?.close().catch(() => undefined)
  } catch (error) {
    await writer.abort().catch(() => undefined)
    await listener?.abort(error).catch(() => undefined)
    throw error
  }
}
