/** The list of notifications, which is made when somebody asks. */
import { beforeEach, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { createRoom, join, leave, say } from '../sync/syncing.ts'

interface Listed {
  readonly notifications: readonly {
    readonly room_id: string
    readonly read: boolean
    readonly ts: number
    readonly actions: readonly unknown[]
    readonly event: { readonly event_id: string; readonly content: { readonly body: string } }
  }[]
  readonly next_token?: string
}

let alice: User
let bob: User
let room: string
let count = 0
beforeEach(async () => {
  const name = `list-${(count += 1)}`
  ;[alice, bob] = [await registerUser(`${name}-alice`), await registerUser(`${name}-bob`)]
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
})

async function list(query: Record<string, string> = {}): Promise<Listed> {
  const { status, text, body } = await bob.get<Listed>(`/notifications?${new URLSearchParams(query).toString()}`)
  expect(status, text).toBe(200)
  return body
}
const bodiesOf = ({ notifications }: Listed) => notifications.map(({ event }) => event.content.body)

async function mention(body: string): Promise<string> {
  const content = { msgtype: 'm.text', body, 'm.mentions': { user_ids: [bob.userId] } }
  const path = `/rooms/${encodeURIComponent(room)}/send/m.room.message/${encodeURIComponent(body)}`
  return (await alice.put<{ event_id: string }>(path, content)).body.event_id
}

describe('the list', () => {
  test('has what rang in all rooms, newest first, with what the rules say, read or not', async () => {
    const other = await createRoom(alice, { preset: 'public_chat' })
    const quiet = await createRoom(alice, { preset: 'public_chat' })
    for (const each of [other, quiet]) await join(bob, each)
    await say(alice, room, 'one')
    const two = await say(alice, other, 'two')
    await say(bob, room, 'mine')
    const three = await mention('three')
    const listed = await list()
    expect(bodiesOf(listed)).toEqual(['three', 'two', 'one'])
    expect(listed.notifications).toMatchObject([
      {
        room_id: room,
        read: false,
        event: { event_id: three, room_id: room, sender: alice.userId },
        actions: ['notify', { set_tweak: 'sound', value: 'default' }, { set_tweak: 'highlight', value: true }],
      },
      { room_id: other, read: false, event: { event_id: two } },
      { room_id: room, read: true },
    ])
  })

  test('comes in pages', async () => {
    const said = ['1', '2', '3', '4', '5']
    for (const body of said) await say(alice, room, body)
    const pages: string[][] = []
    for (let from: string | undefined = ''; from !== undefined;) {
      const page: Listed = await list({ limit: '2', ...(from === '' ? {} : { from }) })
      pages.push(bodiesOf(page))
      from = page.next_token
    }
    expect(pages).toEqual([['5', '4'], ['3', '2'], ['1']])
  })

  test('has highlights only, if asked', async () => {
    await say(alice, room, 'plain')
    await mention('for you')
    await say(alice, room, 'plain again')
    expect(bodiesOf(await list({ only: 'highlight' }))).toEqual(['for you'])
  })

  test('has nothing of rooms that were left, and of users that are ignored', async () => {
    const carol = await registerUser(`list-carol-${count}`)
    await join(carol, room)
    await say(alice, room, 'from alice')
    await say(carol, room, 'from carol')
    const ignored = { ignored_users: { [carol.userId]: {} } }
    await bob.put(`/user/${bob.userId}/account_data/m.ignored_user_list`, ignored)
    expect(bodiesOf(await list())).toEqual(['from alice'])
    await leave(bob, room)
    expect(bodiesOf(await list())).toEqual([])
  })

  test('refuses tokens it did not give', async () => {
    for (const from of ['x', '12', '12_x', '_$a'])
      expect((await bob.get(`/notifications?from=${from}`)).status).toBe(400)
    expect((await bob.get('/notifications?limit=x')).status).toBe(400)
  })
})
