/** Pushers of kind `email`: letters about what is unread, no sooner, no more often and no longer than they should. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, test, vi } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { linkIn, type MailServer, serverWithMail } from '../people/mailbox.ts'
import { createRoom, invite, join, say } from '../sync/syncing.ts'

const [minute, hour] = [60_000, 3_600_000]

// Several waits in a row, each generous.
vi.setConfig({ testTimeout: 120_000 })

let alice: User
let bob: User
let room: string
let server: MailServer
let address: string
let count = 0

beforeEach(async () => {
  const name = `letter-${(count += 1)}`
  ;[alice, bob] = [await registerUser(`${name}-alice`), await registerUser(`${name}-bob`)]
  room = await createRoom(alice, { preset: 'public_chat', name: 'Mission Control' })
  await join(bob, room)
  address = `${name}@example.org`
  await own(bob, address)
  server = serverWithMail()
})

/** Gives a user an address, as if it had been confirmed. */
async function own(user: User, email: string): Promise<void> {
  const sql = "INSERT INTO threepids(medium, address, user_id, validated_at, added_at) VALUES ('email', ?, ?, 1, 1)"
  await env.DB.prepare(sql).bind(email, user.userId).run()
}

const pusherOf = (more: object = {}) => ({
  app_id: 'm.email',
  pushkey: address,
  kind: 'email',
  app_display_name: 'Email Notifications',
  device_display_name: address,
  lang: 'en',
  data: {},
  ...more,
})
const setPusher = (more: object = {}, user = bob) =>
  server.send('POST', '/pushers/set', pusherOf(more), user.accessToken)
const pushersOf = async (user: User) => (await user.get<{ pushers: object[] }>('/pushers')).body.pushers

const objectOf = (user: User) => env.USER_SYNC.get(env.USER_SYNC.idFromName(user.userId))
const rows = (sql: string) =>
  runInDurableObject(objectOf(bob), (_, { storage }) => storage.sql.exec<Record<string, number>>(sql).toArray())

/** Waits until the room's news are queued, or done with. */
async function collected(queued: number): Promise<void> {
  const query = `SELECT (SELECT count(*) FROM push_queue) AS queued,
    (SELECT count(*) FROM rooms JOIN push_rooms USING (room_id) WHERE push_rooms.pos < rooms.pos) AS behind`
  await vi.waitFor(async () => expect(await rows(query)).toEqual([{ queued, behind: 0 }]), { timeout: 40_000 })
}

/** So much later the alarm of the user's object rings, in an object that has just started. */
async function later(time: number): Promise<void> {
  await rows(`UPDATE push_queue SET queued_at = queued_at - ${time}`)
  await rows(`UPDATE mailed_rooms SET sent_at = sent_at - ${time}`)
  await rows(`UPDATE pushers SET next_at = max(0, next_at - ${time})`)
  await rows(`UPDATE alarms SET at = at - ${time}`)
  await evictDurableObject(objectOf(bob))
  await runInDurableObject(objectOf(bob), (object) => {
    // The mailbox of the test, in place of none.
    Reflect.set(object, 'env', { ...env, MAIL_FROM: 'Hearth <h@test.local>', MAILBOX: mailbox })
  })
  await runDurableObjectAlarm(objectOf(bob))
  await vi.waitFor(
    async () => {
      const due = await rows(`SELECT count(*) AS due FROM alarms WHERE name = 'push' AND at <= ${Date.now() + 2000}`)
      expect(due).toEqual([{ due: 0 }])
    },
    { timeout: 40_000 },
  )
}
const mailbox = {
  fetch: async (_: string, { body }: { body: string }) => {
    if (!server.works) return new Response('', { status: 503 })
    server.letters.push(JSON.parse(body))
    return new Response('')
  },
}

async function read(eventId: string): Promise<void> {
  const path = `/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(eventId)}`
  expect((await bob.post(path)).status).toBe(200)
}

describe('a letter', () => {
  test('comes ten minutes after the first unread message, with all there is by then', async () => {
    expect((await setPusher()).status).toBe(200)
    await say(alice, room, 'first')
    await collected(1)
    await later(9 * minute)
    expect(server.letters).toEqual([])
    await say(alice, room, 'second')
    await collected(2)
    await later(2 * minute)
    expect(server.letters).toMatchObject([
      { to: address, from: 'Hearth <h@test.local>', subject: '2 unread messages: Mission Control' },
    ])
    expect(server.letters[0]?.text).toMatch(/wrote: first\n.*wrote: second\n/)
    expect(await rows('SELECT count(*) AS n FROM push_queue')).toEqual([{ n: 0 }])
  })

  test('comes ever more seldom, while nothing is read', async () => {
    await setPusher()
    const sent: number[] = []
    for (const wait of [11, 11, 49, 61, 359]) {
      const { n = 0 } = (await rows('SELECT count(*) AS n FROM push_queue'))[0] ?? {}
      await say(alice, room, 'a message')
      await collected(n + 1)
      await later(wait * minute)
      sent.push(server.letters.length)
    }
    // The second was due ten minutes after the first, the third an hour after that, the next in six.
    expect(sent).toEqual([1, 2, 2, 3, 3])
    expect(server.letters[2]?.subject).toBe('2 unread messages: Mission Control')
    await later(2 * minute)
    expect(server.letters).toHaveLength(4)
  })

  test('leaves out what was read meanwhile, and does not come for nothing', async () => {
    await setPusher()
    const other = await createRoom(alice, { preset: 'public_chat', name: 'Elsewhere' })
    await join(bob, other)
    const seen = await say(alice, room, 'seen')
    await say(alice, room, 'unseen')
    await say(alice, other, 'there')
    await collected(3)
    await read(seen)
    await collected(2)
    await later(11 * minute)
    expect(server.letters.map(({ subject }) => subject)).toEqual(['2 unread messages: 2 rooms'])
    expect(server.letters[0]?.text).not.toContain('wrote: seen')

    await read(await say(alice, room, 'at once'))
    await vi.waitFor(async () => expect(await rows("SELECT 1 AS n FROM alarms WHERE name = 'push'")).toEqual([]), {
      timeout: 40_000,
    })
    expect(await rows('SELECT 1 AS n FROM push_queue')).toEqual([])
  })

  test('says of encrypted messages that they are, and of invites that they are', async () => {
    await setPusher()
    const path = `/rooms/${encodeURIComponent(room)}/send/m.room.encrypted/e${count}`
    await alice.put(path, { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'AwgAEnAC' })
    // Two in a room: encrypted messages ring.
    await collected(1)
    await invite(alice, await createRoom(alice, { name: 'Elsewhere' }), bob)
    await collected(2)
    await later(11 * minute)
    expect(server.letters[0]?.text).toContain('sent an encrypted message')
    expect(server.letters[0]?.text).toContain('invites you')
    expect(JSON.stringify(server.letters)).not.toContain('AwgAEnAC')
  })

  test('that nobody takes is tried again, and given up after days', async () => {
    await setPusher()
    server.works = false
    await say(alice, room, 'hello')
    await collected(1)
    await later(11 * minute)
    expect(await rows('SELECT failures AS n FROM pushers')).toEqual([{ n: 1 }])
    server.works = true
    await later(minute)
    expect(server.letters).toHaveLength(1)
    expect(await rows('SELECT failures AS n FROM pushers')).toEqual([{ n: 0 }])
    server.works = false
    await say(alice, room, 'again')
    await collected(1)
    await later(4 * 24 * hour)
    expect(await rows('SELECT 1 AS n FROM push_queue')).toEqual([])
  })

  test('does not come to an address that is not the user’s any more', async () => {
    await setPusher()
    await say(alice, room, 'hello')
    await collected(1)
    await env.DB.prepare('UPDATE threepids SET user_id = ? WHERE address = ?').bind(alice.userId, address).run()
    await later(11 * minute)
    expect(server.letters).toEqual([])
    expect(await pushersOf(bob)).toEqual([])
  })

  test('does not disturb other pushers: nothing but messages is queued for it', async () => {
    await setPusher()
    await read(await say(alice, room, 'one'))
    await vi.waitFor(async () => expect(await rows("SELECT 1 AS n FROM alarms WHERE name = 'push'")).toEqual([]), {
      timeout: 40_000,
    })
    expect(await rows('SELECT 1 AS n FROM push_queue')).toEqual([])
  })
})

describe('the link of a letter', () => {
  async function linkOfLetter(): Promise<string> {
    await setPusher()
    await say(alice, room, 'hello')
    await collected(1)
    await later(11 * minute)
    const [letter] = server.letters
    const link = letter?.text.match(/^http:\S+unsubscribe\S+$/m)?.[0] ?? ''
    expect(link).toBe(letter?.unsubscribe)
    expect(linkIn(letter)).toContain('matrix.to')
    const { pathname, search } = new URL(link)
    return pathname + search
  }

  test('shows a page with a button, and ends nothing before that is pressed', async () => {
    const link = await linkOfLetter()
    const shown = await server.send('GET', link)
    expect(shown).toMatchObject({ status: 200 })
    expect(shown.text).toContain(address)
    expect(await pushersOf(bob)).toHaveLength(1)
    expect(await server.send('POST', link, new URLSearchParams())).toMatchObject({ status: 200 })
    expect(await pushersOf(bob)).toEqual([])
    expect((await server.send('POST', link)).status).toBe(404)
  })

  test('ends them by one click of a mail program', async () => {
    const link = await linkOfLetter()
    expect((await server.send('POST', link, 'List-Unsubscribe=One-Click')).status).toBe(200)
    expect(await pushersOf(bob)).toEqual([])
  })

  test('stays good when the pusher is set again', async () => {
    const link = await linkOfLetter()
    await setPusher({ lang: 'de' })
    expect((await server.send('POST', link)).status).toBe(200)
  })

  test('is not to be guessed, and makes no objects for strangers', async () => {
    await setPusher()
    for (const query of [
      '',
      `?user=${bob.userId}`,
      `?user=${bob.userId}&token=x`,
      '?user=@nobody:test.local&token=x',
    ]) {
      expect((await server.send('POST', `/_hearth/email/unsubscribe${query}`)).status).toBe(404)
    }
    expect(await pushersOf(bob)).toHaveLength(1)
  })
})

describe('a pusher of this kind', () => {
  const refused = { status: 400, body: { errcode: 'M_INVALID_PARAM' } }

  test('is for an address that the user has proven to be theirs', async () => {
    expect(await setPusher({ pushkey: 'else@example.org' })).toMatchObject(refused)
    expect(await setPusher({ pushkey: 'no address' })).toMatchObject(refused)
    expect(await setPusher({}, alice)).toMatchObject(refused)
    expect(await setPusher({ app_id: 'org.example' })).toMatchObject(refused)
    expect((await setPusher()).status).toBe(200)
  })

  test('is refused where there is no mail', async () => {
    expect(await bob.post('/pushers/set', pusherOf())).toMatchObject(refused)
  })

  test('ends with the address', async () => {
    await setPusher()
    const body = { medium: 'email', address }
    expect((await server.send('POST', '/account/3pid/delete', body, bob.accessToken)).status).toBe(200)
    expect(await pushersOf(bob)).toEqual([])
  })
})
