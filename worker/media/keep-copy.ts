/** Keeps a copy of another server's media while it streams to whoever asked for it first. */
import type { MxcUri } from '#protocol/identifiers/mxc-uri.ts'

import { newStorageKey } from '../../r2-media/media-key.ts'
import { openMediaWriter } from '../../r2-media/media-store.ts'
import { findMedia } from '../accounts/media.ts'
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

/** A client that takes longer for a piece, in ms, gets the rest from the copy: it must not keep others waiting for that. */
const patienceMs = 500

/**
 * Stores the media, passing each chunk on to the client as well; one that is slow gets the rest when the copy is there.
 * Rejects when it ends early or is too large: nothing is kept then, and the client's stream fails.
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
  let given = 0
  let isBehind = false
  // Seen at once: a client that is gone must not become an unhandled rejection.
  client?.closed.catch(() => (listener = undefined))
  try {
    for await (const chunk of body) {
      if (!(await writer.write(chunk))) throw new Error('the media is too large')
      if (!listener || isBehind) continue
      given += chunk.byteLength
      isBehind = !(await isSoon(listener.write(chunk).catch(() => (listener = undefined))))
    }
    const bytes = await writer.finish()
    // Somebody else may have fetched it as well, where this took long.
    const isFirst = await addCopy(env, uri, { storageKey, contentType, fileName, ...bytes })
    if (!isFirst) await env.MEDIA.delete(storageKey)
    if (isBehind && listener && given < bytes.size) await giveRest(env, uri, given, listener)
    await listener?.close().catch(() => undefined)
  } catch (error) {
    await writer.abort().catch(() => undefined)
    await listener?.abort(error).catch(() => undefined)
    throw error
  }
}

async function isSoon(work: Promise<unknown>): Promise<boolean> {
  const over = new AbortController()
  const late = scheduler.wait(patienceMs, { signal: over.signal }).then(
    () => false,
    () => true,
  )
  const done = await Promise.race([work.then(() => true), late])
  over.abort()
  return done
}

/** What a slow client has not had yet, out of the copy. */
async function giveRest(
  env: Env,
  uri: MxcUri,
  offset: number,
  listener: WritableStreamDefaultWriter<Uint8Array>,
): Promise<void> {
  const found = await findMedia(env, uri)
  const kept = found?.kind === 'stored' ? await env.MEDIA.get(found.media.storageKey, { range: { offset } }) : null
  if (!kept) throw new Error('the copy is gone')
  for await (const chunk of kept.body) {
    const isTaken = await listener.write(chunk).then(
      () => true,
      () => false,
    )
    // Whoever went away needs no more.
    if (!isTaken) return
  }
}
