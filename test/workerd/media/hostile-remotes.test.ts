/** Servers of media that stall, lie about length or point where they should not. What is kept of it: nothing. */
import { type MxcUri, parseMxcUri } from '#protocol/identifiers/mxc-uri.ts'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'

import { frameOf } from '../../../r2-media/multipart-mixed.ts'
import { keepCopy } from '../../../worker/media/keep-copy.ts'
import { askForMedia } from '../../../worker/media/remote-media.ts'
import { settingsOf } from '../../../worker/settings.ts'
import { registerUser, type User } from '../client.ts'
import { download } from './media.ts'

const remote = 'hostile.example:8448'
let alice: User
beforeAll(async () => {
  alice = await registerUser('alice')
})

const kept = async () => (await env.MEDIA.list({ prefix: 'remote/' })).objects.length
let before = 0
beforeEach(async () => {
  before = await kept()
})
afterEach(async () => {
  vi.restoreAllMocks()
  expect(await kept()).toBe(before)
})

/** Answers each request; tells where it went. The signal ends a request as time would. */
function remoteAnswers(answer: (url: URL, signal: AbortSignal | undefined) => Response | Promise<Response>): string[] {
  const asked: string[] = []
  vi.spyOn(globalThis, 'fetch').mockImplementation((input, init) => {
    const url = new URL(input instanceof Request ? input.url : input.toString())
    asked.push(url.host)
    return Promise.resolve(answer(url, init?.signal ?? (input instanceof Request ? input.signal : undefined)))
  })
  return asked
}

/** From now on all time limits are over when the function that is returned is called. */
function timeInOurHands(): () => void {
  const controller = new AbortController()
  vi.spyOn(AbortSignal, 'timeout').mockReturnValue(controller.signal)
  return () => controller.abort(new DOMException('time is over', 'TimeoutError'))
}

const ended = (signal: AbortSignal | undefined) =>
  new Promise<never>((_, reject) => {
    signal?.addEventListener('abort', () => reject(new DOMException('time is over', 'TimeoutError')))
  })

function mxc(mediaId: string): MxcUri {
  const uri = parseMxcUri(`mxc://${remote}/${mediaId}`)
  if (!uri) throw new TypeError('not an MXC URI')
  return uri
}

const frame = frameOf('b', { 'Content-Type': 'image/png' })
const multipart = (body: BodyInit, headers: Readonly<Record<string, string>> = {}) =>
  new Response(body, { headers: { 'Content-Type': 'multipart/mixed; boundary=b', ...headers } })

describe('a server of media', () => {
  it('that never answers is given up on', async () => {
    const over = timeInOurHands()
    const asked = remoteAnswers((_, signal) => ended(signal))
    const refused = expect(askForMedia(env, mxc('never'), 0)).rejects.toMatchObject({
      failure: { reason: 'bad_gateway' },
    })
    await vi.waitFor(() => expect(asked).not.toEqual([]))
    over()
    await refused
  })

  it('that stops in the middle leaves nothing behind', async () => {
    const over = timeInOurHands()
    let begun = false
    remoteAnswers((_, signal) =>
      multipart(
        new ReadableStream({
          start: (controller) => controller.enqueue(frame.head),
          pull: (controller) => {
            if (begun) return ended(signal)
            begun = true
            controller.enqueue(new Uint8Array(1000))
            return undefined
          },
        }),
      ),
    )
    const uri = mxc('stops')
    const call = { env, settings: settingsOf(env), waitUntil: () => undefined }
    const failing = expect(keepCopy(call, uri, await askForMedia(env, uri, 0))).rejects.toThrow()
    await vi.waitFor(() => expect(begun).toBe(true))
    over()
    await failing
  })

  it('that sends less or more than it announced is believed in neither', async () => {
    remoteAnswers(() => multipart(new Blob([frame.head, 'half']), { 'Content-Length': '500' }))
    await expect(download(alice.accessToken, `${remote}/less`)).rejects.toThrow()
    const endless = new ReadableStream({
      start: (controller) => controller.enqueue(frame.head),
      pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
    })
    remoteAnswers(() => multipart(endless, { 'Content-Length': '100' }))
    await expect(download(alice.accessToken, `${remote}/more`)).rejects.toThrow()
  })

  it.each([
    'https://127.0.0.1/x',
    'https://localhost:8448/x',
    'https://[::ffff:10.0.0.1]/x',
    'https://2130706433/x',
    'https://192.168.1.1/x',
    'http://metadata.google.internal/',
  ])('that points to a place which points to %s gets no further', async (Location) => {
    const asked = remoteAnswers((url) =>
      url.host === 'cdn.example'
        ? new Response(null, { status: 302, headers: { Location } })
        : multipart(new Blob([frameOf('b', { Location: 'https://cdn.example/x' }).head, frame.tail])),
    )
    const strict = { ...env, ALLOW_PRIVATE_ADDRESSES: 'off' }
    await expect(askForMedia(strict, mxc('pointed'), 0)).rejects.toMatchObject({ failure: { reason: 'bad_gateway' } })
    expect(asked).toEqual([remote, 'cdn.example'])
  })

  it('that sends us in circles is left after a few', async () => {
    const asked = remoteAnswers((url) =>
      url.host === 'cdn.example'
        ? new Response(null, { status: 302, headers: { Location: 'https://cdn.example/again' } })
        : multipart(new Blob([frameOf('b', { Location: 'https://cdn.example/x' }).head, frame.tail])),
    )
    expect((await download(alice.accessToken, `${remote}/circles`)).status).toBe(502)
    expect(asked.length).toBeLessThan(8)
  })
})
