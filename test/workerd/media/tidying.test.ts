/** What the clock does with media, and how much of it a user may have. */
import { createExecutionContext, createScheduledController, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'

import { newMediaId, newStorageKey } from '../../../r2-media/media-key.ts'
import { storageKeyOf } from '../../../r2-media/drop-bytes.ts'
import { encodePng } from '../../../r2-media/png.ts'
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { createApp } from '../../../worker/app.ts'
import { addCopy } from '../../../worker/accounts/remote-media-rows.ts'
import worker from '../../../worker/index.ts'
import { tidyMedia } from '../../../worker/media/tidy-media.ts'
import { registerUser, serverUrl, type User } from '../client.ts'
import { ask, create, download, replyOf, streamOf, upload } from './media.ts'
import { redAndBlue } from './pictures.ts'

const day = 86_400_000
let alice: User
beforeAll(async () => {
  alice = await registerUser('alice')
})

const keys = async () => (await env.MEDIA.list()).objects.map(({ key }) => key)
const lastAccess = (file: string) =>
  env.DB.prepare('SELECT last_access_at FROM media WHERE media_id = ?')
    .bind(file.split('/')[1])
    .first<number>('last_access_at')
const age = (file: string, days: number) =>
  env.DB.prepare('UPDATE media SET last_access_at = ? WHERE media_id = ?')
    .bind(Date.now() - days * day, file.split('/')[1])
    .run()

/** A copy of another server's file. */
async function copy(body: string | Uint8Array): Promise<string> {
  const serverName = parseServerName('remote.example')
  if (!serverName) throw new TypeError('not a server name')
  const uri = { serverName, mediaId: newMediaId() }
  const storageKey = newStorageKey('remote')
  await env.MEDIA.put(storageKey, body)
  const size = typeof body === 'string' ? body.length : body.byteLength
  await addCopy(env, uri, { storageKey, contentType: 'text/plain', fileName: null, size, sha256: storageKey })
  return `${serverName}/${uri.mediaId}`
}

describe('a look at a file', () => {
  it('is noted once a day at most', async () => {
    const file = await upload(alice.accessToken, 'seen')
    await age(file, 0.5)
    const before = await lastAccess(file)
    await download(alice.accessToken, file)
    expect(await lastAccess(file)).toBe(before)
    await age(file, 2)
    await download(alice.accessToken, file)
    await expect.poll(() => lastAccess(file)).toBeGreaterThan(Date.now() - day)
  })
})

describe('tidying up', () => {
  it('forgets copies that nobody looked at for so long, with their thumbnails, and nothing that was uploaded here', async () => {
    const old = await copy(encodePng(redAndBlue(200, 200)))
    const thumbnail = `/_matrix/client/v1/media/thumbnail/${old}?width=32&height=32&method=crop`
    expect((await ask(thumbnail, { token: alice.accessToken })).status).toBe(200)
    const recent = await copy('looked at')
    const ours = await upload(alice.accessToken, 'ours')
    await Promise.all([age(old, 91), age(recent, 89), age(ours, 5000)])
    const before = await keys()
    expect(await tidyMedia(env, Date.now())).toEqual({ copies: 1, orphans: 0 })
    // The copy and its thumbnail.
    expect(before.length - (await keys()).length).toBe(2)
    expect((await download(alice.accessToken, recent)).text).toBe('looked at')
    expect((await download(alice.accessToken, ours)).text).toBe('ours')
  })

  it('forgets pictures of previews too, but not what is quarantined, nor anything where the owner keeps all', async () => {
    const [picture, bad] = [await upload(alice.accessToken, 'picture'), await copy('bad')]
    await env.DB.prepare('UPDATE media SET uploader = NULL, is_preview = 1 WHERE media_id = ?')
      .bind(picture.split('/')[1])
      .run()
    await env.DB.prepare(`UPDATE media SET quarantined_by = '@admin:test.local' WHERE media_id = ?`)
      .bind(bad.split('/')[1])
      .run()
    await Promise.all([age(picture, 91), age(bad, 91)])
    expect(await tidyMedia({ ...env, REMOTE_MEDIA_DAYS: '0' }, Date.now())).toMatchObject({ copies: 0 })
    expect(await tidyMedia(env, Date.now())).toMatchObject({ copies: 1 })
    expect((await download(alice.accessToken, picture)).status).toBe(404)
    expect(await lastAccess(bad)).toBeGreaterThan(0)
  })

  it('goes on where many copies are old', async () => {
    const uploads = Array.from({ length: 205 }, (_, index) => copy(`copy ${index}`))
    for (const file of await Promise.all(uploads)) await age(file, 91)
    expect(await tidyMedia(env, Date.now())).toMatchObject({ copies: 205 })
  })

  it('forgets IDs to which nothing was uploaded in time, and previews that are old', async () => {
    const [late, awaited] = [await create(alice.accessToken), await create(alice.accessToken)]
    await env.DB.prepare('UPDATE media SET expires_at = 1 WHERE media_id = ?').bind(late.split('/')[1]).run()
    const now = Date.now()
    const insert = env.DB.prepare('INSERT INTO url_previews VALUES (?, ?, ?, ?, 0)')
    await env.DB.batch([
      insert.bind('https://old/', '', '{}', now - 2 * day),
      insert.bind('https://new/', '', '{}', now),
    ])
    await tidyMedia(env, now)
    const rows = await env.DB.prepare('SELECT media_id FROM media WHERE storage_key IS NULL').raw()
    expect(rows).toEqual([[awaited.split('/')[1]]])
    expect(await env.DB.prepare('SELECT url FROM url_previews').raw()).toEqual([['https://new/']])
  })

  it('finds bytes that no row names, a page at a time, once no upload can be about to name them', async () => {
    const kept = await upload(alice.accessToken, 'kept')
    const orphan = newStorageKey('local')
    await env.MEDIA.put(orphan, 'lost')
    await env.MEDIA.put(`thumbnail/${orphan}/32x32-crop`, 'lost too')
    await env.MEDIA.put(`thumbnail/${newStorageKey('remote')}/32x32-crop`, 'lost alone')
    await env.MEDIA.put('something/else', 'not media')
    expect(await tidyMedia(env, Date.now())).toMatchObject({ orphans: 0 })
    expect(await tidyMedia({ ...env, REMOTE_MEDIA_DAYS: '0' }, Date.now() + 2 * day)).toMatchObject({ orphans: 2 })
    const left = await keys()
    expect(left.filter((key) => key.includes(orphan))).toEqual([])
    expect(left).toContain('something/else')
    expect((await download(alice.accessToken, kept)).text).toBe('kept')
  })

  it.each([
    ['local/ab-_1', 'local/ab-_1'],
    ['thumbnail/remote/x/32x32-crop', 'remote/x'],
    ['other/x', undefined],
    ['local/', undefined],
  ])('knows what an object in R2 is of: %s', (key, storageKey) => {
    expect(storageKeyOf(key)).toBe(storageKey)
  })

  it('is what the cron trigger does', async () => {
    const old = await copy('old')
    await age(old, 91)
    const context = createExecutionContext()
    await worker.scheduled(createScheduledController(), env)
    await waitOnExecutionContext(context)
    expect(await lastAccess(old)).toBeNull()
  })
})

describe('a quota', () => {
  const settings = { ...env, USER_MEDIA_QUOTA_MB: '1', SUPPORT_PAGE: 'https://help.example/room' }

  async function post(token: string, body: BodyInit) {
    const init = { method: 'POST', headers: { Authorization: `Bearer ${token}` }, body }
    const request = new Request(`${serverUrl}/_matrix/media/v3/upload`, init)
    return replyOf(await createApp().fetch(request, settings, createExecutionContext()))
  }

  it('lets a user have so much, and no more, however it is sent', async () => {
    const carol = await registerUser('carol')
    expect((await post(carol.accessToken, new Uint8Array(600_000))).status).toBe(200)
    const before = await keys()
    for (const body of [new Uint8Array(500_000), streamOf(500_000)]) {
      const { status, text } = await post(carol.accessToken, body)
      expect(status).toBe(403)
      expect(JSON.parse(text)).toMatchObject({
        errcode: 'M_USER_LIMIT_EXCEEDED',
        info_uri: 'https://help.example/room',
      })
    }
    expect(await keys()).toEqual(before)
    expect((await post(carol.accessToken, new Uint8Array(400_000))).status).toBe(200)
    // Another user has room of their own.
    expect((await post(alice.accessToken, 'more')).status).toBe(200)
  })

  it('counts what was uploaded, not what was looked at', async () => {
    const dave = await registerUser('dave')
    const file = await copy('x'.repeat(999_990))
    await download(dave.accessToken, file)
    expect((await post(dave.accessToken, new Uint8Array(999_999))).status).toBe(200)
  })
})
