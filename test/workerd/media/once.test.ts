/** What is done once however often it is asked for: keeping equal bytes, fetching a file, looking at a picture. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env, exports } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

import { frameOf } from '../../../r2-media/multipart-mixed.ts'
import { encodePng } from '../../../r2-media/png.ts'
import { createApp } from '../../../worker/app.ts'
import pictures from '../../fixtures/media/pictures.json' with { type: 'json' }
import { registerUser, serverUrl, type User } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { ask, counting, create, download, replyOf, type Reply, upload } from './media.ts'
import { painted, redAndBlue } from './pictures.ts'

const remote = 'remote.example:8448'
let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('alice')
  bob = await registerUser('bob')
})
afterEach(() => {
  vi.restoreAllMocks()
})

const keys = async (prefix: string) => (await env.MEDIA.list({ prefix })).objects.map(({ key }) => key)
const idOf = (file: string) => file.split('/')[1] ?? ''

/** Answers for another server after `ready`; tells which media it was asked for. */
function remoteAnswers(answer: (id: string, count: number) => Response | Promise<Response>): string[] {
  const asked: string[] = []
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input) => {
    const id = new URL(input instanceof Request ? input.url : input.toString()).pathname.split('/').at(-1) ?? ''
    asked.push(id)
    return answer(id, asked.filter((each) => each === id).length)
  })
  return asked
}

function multipart(body: string | Uint8Array, type = 'text/plain'): Response {
  const frame = frameOf('b', { 'Content-Type': type })
  const headers = { 'Content-Type': 'multipart/mixed; boundary=b' }
  return new Response(new Blob([frame.head, body, frame.tail]), { headers })
}

describe('equal bytes', () => {
  it('that are uploaded again are kept once, each with its own name and type', async () => {
    const before = (await keys('local/')).length
    const one = await upload(alice.accessToken, 'the same', { name: 'one.txt', type: 'text/plain' })
    const two = await upload(bob.accessToken, 'the same', { name: 'two.csv', type: 'text/csv' })
    const late = await create(bob.accessToken)
    const put = { token: bob.accessToken, method: 'PUT', body: 'the same' }
    expect((await ask(`/_matrix/media/v3/upload/${late}`, put)).status).toBe(200)
    expect((await keys('local/')).length).toBe(before + 1)
    const [first, second, third] = await Promise.all([one, two, late].map((file) => download(bob.accessToken, file)))
    expect([first?.text, second?.text, third?.text]).toEqual(['the same', 'the same', 'the same'])
    expect([first, second].map((reply) => reply?.headers.get('Content-Disposition'))).toEqual([
      'inline; filename="one.txt"',
      'inline; filename="two.csv"',
    ])
  })

  it('stay until the last file of them is deleted', async () => {
    const admin = await registerAdmin('once-admin')
    const before = await keys('')
    const picture = encodePng(redAndBlue(300, 200))
    const files = [await upload(alice.accessToken, picture), await upload(bob.accessToken, picture)]
    const view = (file = '') =>
      ask(`/_matrix/client/v1/media/thumbnail/${file}?width=32&height=32&method=crop`, { token: bob.accessToken })
    expect((await view(files[0])).bytes).toEqual((await view(files[1])).bytes)
    expect((await keys('')).length).toBe(before.length + 2)
    await admin.delete(`/_synapse/admin/v1/media/${files[0]}`)
    expect((await view(files[1])).status).toBe(200)
    expect((await download(bob.accessToken, files[1] ?? '')).bytes).toEqual(picture)
    await admin.delete(`/_synapse/admin/v1/media/${files[1]}`)
    expect(await keys('')).toEqual(before)
  })

  it('of several files of other servers are kept once, apart from what was uploaded here', async () => {
    remoteAnswers(() => multipart('from everywhere'))
    const [local, copies] = [(await keys('local/')).length, (await keys('remote/')).length]
    for (const id of ['a', 'b', 'c'])
      expect((await download(alice.accessToken, `${remote}/${id}`)).text).toBe('from everywhere')
    await upload(alice.accessToken, 'from everywhere')
    expect([(await keys('local/')).length, (await keys('remote/')).length]).toEqual([local + 1, copies + 1])
  })

  it('that were lost come back with the next upload of them', async () => {
    const file = await upload(alice.accessToken, 'lost and found')
    const key = await env.DB.prepare('SELECT storage_key FROM media WHERE media_id = ?').bind(idOf(file)).first()
    await env.MEDIA.delete(String(key?.['storage_key']))
    expect((await download(alice.accessToken, file)).status).toBe(404)
    const again = await upload(alice.accessToken, 'lost and found')
    for (const each of [file, again]) expect((await download(alice.accessToken, each)).text).toBe('lost and found')
  })

  it('are no secret: two that upload them at once both have them', async () => {
    const files = await Promise.all(Array.from({ length: 8 }, () => upload(alice.accessToken, 'all at once')))
    expect(new Set(files).size).toBe(8)
    for (const file of files) expect((await download(bob.accessToken, file)).text).toBe('all at once')
  })
})

describe("another server's file", () => {
  it('that many ask for at the same time is fetched once, as it is and as a thumbnail', async () => {
    const picture = encodePng(redAndBlue(200, 200))
    let release = () => {}
    const released = new Promise<void>((resolve) => (release = resolve))
    const asked = remoteAnswers(async () => {
      await released
      return multipart(picture, 'image/png')
    })
    const path = `/_matrix/client/v1/media/thumbnail/${remote}/many?width=32&height=32&method=crop`
    const whole = Array.from({ length: 5 }, () => download(alice.accessToken, `${remote}/many`))
    const small = Array.from({ length: 5 }, () => ask(path, { token: bob.accessToken }))
    await vi.waitFor(() => expect(asked).not.toEqual([]))
    release()
    for (const reply of await Promise.all(whole)) expect(reply.bytes).toEqual(picture)
    for (const reply of await Promise.all(small)) expect([reply.status, reply.bytes.length > 0]).toEqual([200, true])
    expect(asked).toEqual(['many'])
  })

  it('that a slow client looks at first keeps nobody else waiting, and the slow one gets all of it', async () => {
    const large = Uint8Array.from({ length: 900_000 }, (_, index) => index % 251)
    const asked = remoteAnswers(() => multipart(large, 'application/octet-stream'))
    const path = `/_matrix/client/v1/media/download/${remote}/slow`
    const headers = { Authorization: `Bearer ${alice.accessToken}` }
    // It has its headers, and does not read yet.
    const slow = await exports.default.fetch(new Request(serverUrl + path, { headers }))
    expect((await download(bob.accessToken, `${remote}/slow`)).bytes).toEqual(large)
    expect(new Uint8Array(await slow.arrayBuffer())).toEqual(large)
    expect(asked).toEqual(['slow'])
  })

  it('that could not be had is asked for again by the next, who waits for nobody', async () => {
    const asked = remoteAnswers((_, count) =>
      count < 3 ? Response.json({ errcode: 'M_NOT_FOUND', error: 'no' }, { status: 404 }) : multipart('there now'),
    )
    const statuses: number[] = []
    for (let time = 0; time < 3; time++) statuses.push((await download(alice.accessToken, `${remote}/tried`)).status)
    expect([statuses, asked.length]).toEqual([[404, 404, 200], 3])
    const rows = await env.DB.prepare("SELECT 1 FROM media WHERE media_id = 'tried' AND storage_key IS NULL").all()
    expect(rows.results).toEqual([])
  })

  it('whose fetch was cut off is fetched by somebody else when the claim has run out', async () => {
    const asked = remoteAnswers(() => multipart('taken over'))
    const claim = 'INSERT INTO media(server_name, media_id, content_type, size, created_at, expires_at)'
    await env.DB.prepare(`${claim} VALUES (?, 'cut', '', 0, 1, ?)`)
      .bind(remote, Date.now() + 600)
      .run()
    expect((await download(alice.accessToken, `${remote}/cut`)).text).toBe('taken over')
    expect(asked).toEqual(['cut'])
  })

  it('that is forbidden while it is fetched is not kept', async () => {
    const admin = await registerAdmin('once-forbidding')
    const before = (await keys('remote/')).length
    let release = () => {}
    const released = new Promise<void>((resolve) => (release = resolve))
    const asked = remoteAnswers(async () => {
      await released
      return multipart('forbidden fruit')
    })
    const fetching = download(alice.accessToken, `${remote}/forbidden`)
    await vi.waitFor(() => expect(asked).not.toEqual([]))
    await admin.post(`/_synapse/admin/v1/media/quarantine/${remote}/forbidden`)
    release()
    await fetching
    await expect.poll(async () => (await keys('remote/')).length).toBe(before)
    expect((await download(alice.accessToken, `${remote}/forbidden`)).status).toBe(404)
    expect(asked).toEqual(['forbidden'])
  })
})

/** What a thumbnail costs: the operations on R2. */
async function viewed(file: string, query: string): Promise<{ reply: Reply; operations: string[] }> {
  const operations: string[] = []
  const context = createExecutionContext()
  const headers = { Authorization: `Bearer ${alice.accessToken}` }
  const request = new Request(`${serverUrl}/_matrix/client/v1/media/thumbnail/${file}?${query}`, { headers })
  const counted = { ...env, MEDIA: counting(env.MEDIA, operations) }
  const reply = await replyOf(await createApp().fetch(request, counted, context))
  await waitOnExecutionContext(context)
  return { reply, operations }
}

const bytesOf = (name: keyof typeof pictures) => Uint8Array.from(atob(pictures[name]), (c) => c.charCodeAt(0))
const broken = encodePng(redAndBlue(300, 300)).subarray(0, -60)
const small = 'width=32&height=32&method=crop'
const noisy = painted(700, 500, (x, y) => [(x * 7 + y) % 256, (y * 13) % 256, (x * y) % 256, 255])

describe('the second view of a thumbnail is one read of R2 and no write', () => {
  it.each<readonly [what: string, file: Uint8Array | string, query: string, status: number, operations: string[]]>([
    ['of a picture', encodePng(redAndBlue(400, 300)), small, 200, ['get']],
    ['of a photo', bytesOf('orientation-6.jpg'), small, 200, ['get']],
    ['of a picture that is small already', encodePng(redAndBlue(20, 20)), small, 200, ['get']],
    ['larger than any that is made', encodePng(noisy), 'width=2000&height=2000', 200, ['get']],
    ['that moves', bytesOf('animated.gif'), `${small}&animated=true`, 200, ['get']],
    ['that stands still', bytesOf('animated.gif'), small, 200, ['get']],
    ['of a broken picture', broken, small, 200, ['get']],
    ['of no picture, which is none', 'no picture', small, 400, []],
  ])('%s', async (_, file, query, status, operations) => {
    const name = await upload(alice.accessToken, file)
    const first = await viewed(name, query)
    const second = await viewed(name, query)
    expect([first.reply.status, second.reply.status, second.operations]).toEqual([status, status, operations])
    expect(second.reply.bytes).toEqual(first.reply.bytes)
  })

  it("of another server's picture", async () => {
    const asked = remoteAnswers(() => multipart(bytesOf('lossy.webp'), 'image/webp'))
    const first = await viewed(`${remote}/viewed`, small)
    const second = await viewed(`${remote}/viewed`, small)
    expect([first.reply.status, second.operations, asked]).toEqual([200, ['get'], ['viewed']])
    expect(second.reply.bytes).toEqual(first.reply.bytes)
  })

  it("of another server's picture whose thumbnail and copy were lost is fetched again", async () => {
    const asked = remoteAnswers(() => multipart(bytesOf('lossless.webp'), 'image/webp'))
    const first = await viewed(`${remote}/lost`, small)
    for (const key of [...(await keys('remote/')), ...(await keys('thumbnail/remote/'))]) await env.MEDIA.delete(key)
    const second = await viewed(`${remote}/lost`, small)
    expect([second.reply.status, asked]).toEqual([200, ['lost', 'lost']])
    expect(second.reply.bytes).toEqual(first.reply.bytes)
  })
})
