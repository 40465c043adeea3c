/**
 * Joins that are told without members: the room is there at once, its members come afterwards, and what was judged without
 * them is judged anew. Spec: server-server-api/#put_matrixfederationv2send_joinroomideventid, MSC3902.
 */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { roomObject, rows, user } from '../room/rooms.ts'
import { at, ok, refused, say } from '../rooms/rooms.ts'
import { slide, type SlidBody } from '../sliding-sync/sliding.ts'
import { otherServer, serversAnswer, signedBy } from './other-server.ts'
import { lazy, PartialRoom } from './partial-room.ts'

interface Synced {
  readonly next_batch: string
  readonly device_lists?: { readonly changed?: readonly string[] }
  readonly rooms?: {
    readonly join?: Readonly<Record<string, Shown>>
    readonly leave?: Readonly<Record<string, Shown>>
  }
}
interface Event {
  readonly event_id: string
  readonly type: string
  readonly state_key?: string
  readonly sender: string
}
interface Shown {
  readonly state: { readonly events: readonly Event[] }
  readonly timeline: { readonly events: readonly Event[]; readonly limited: boolean }
}

let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('partial-alice')
  bob = await registerUser('partial-bob')
})
afterEach(() => void vi.restoreAllMocks())

let servers = 0
async function farRoom(): Promise<PartialRoom> {
  const room = new PartialRoom(await otherServer(`partial${(servers += 1)}.test:8448`))
  room.add({ type: 'm.room.name', stateKey: '', content: { name: 'Far away' } })
  room.member('derek')
  room.member('elsie')
  return room
}

function objectOf(far: PartialRoom) {
  const roomId = parseRoomId(far.roomId)
  if (!roomId) throw new TypeError(far.roomId)
  return roomObject(roomId)
}

async function sync(who: User, since?: string, filter?: string): Promise<Synced> {
  const query = [
    ...(since === undefined ? [] : [`since=${since}`]),
    ...(filter === undefined ? [] : [`filter=${filter}`]),
  ]
  return ok(who.get<Synced>(`/sync?${query.join('&')}`))
}

const inRoom = (synced: Synced, { roomId }: PartialRoom) => synced.rooms?.join?.[roomId]
const membersIn = (shown: Shown | undefined) =>
  (shown?.state.events ?? []).flatMap(({ type, state_key }) => (type === 'm.room.member' ? [state_key] : []))
const said = (shown: Shown | undefined) => (shown?.timeline.events ?? []).map(({ event_id }) => event_id)

/** Until the members are known. */
async function whole(far: PartialRoom, who: User): Promise<void> {
  far.open()
  await vi.waitFor(async () => expect(await who.get(at(far.roomId, '/members'))).toMatchObject({ status: 200 }), 30_000)
}

describe('a join without members', () => {
  test('shows the room at once to clients that load members lazily, and later to all, whole', async () => {
    const far = await farRoom()
    const [early, lazyEarly] = [(await sync(alice)).next_batch, (await sync(alice, undefined, lazy)).next_batch]
    await far.joinedBy(alice)
    const shown = inRoom(await sync(alice, lazyEarly, lazy), far)
    expect(shown).toBeDefined()
    expect(membersIn(shown)).not.toContain(far.who('derek'))
    const eager = await sync(alice, early)
    expect(inRoom(eager, far)).toBeUndefined()
    expect(inRoom(await sync(alice), far)).toBeUndefined()
    await whole(far, alice)
    const now = inRoom(await sync(alice, eager.next_batch), far)
    expect(membersIn(now)).toEqual(expect.arrayContaining([far.creator, far.who('derek'), far.who('elsie')]))
    expect(membersIn(inRoom(await sync(alice), far))).toContain(far.who('derek'))
    expect(membersIn(inRoom(await sync(alice, early), far))).toContain(far.who('derek'))
    expect(far.told).toContain('state_ids')
    expect(await rows(objectOf(far), 'SELECT * FROM provisional')).toEqual([])
  })

  test('lets people talk: who speaks is shown, with their membership', async () => {
    const far = await farRoom()
    await far.joinedBy(alice)
    const before = await sync(alice, undefined, lazy)
    const mine = await say(alice, far.roomId, 'hello')
    const theirs = far.add({
      type: 'm.room.message',
      sender: far.who('derek'),
      content: { msgtype: 'm.text', body: 'hi' },
    })
    await far.deliver(theirs)
    const shown = await vi.waitFor(async () => {
      const now = inRoom(await sync(alice, before.next_batch, lazy), far)
      expect(said(now)).toEqual(expect.arrayContaining([mine, theirs.event_id]))
      return now
    }, 30_000)
    expect(membersIn(shown)).toContain(far.who('derek'))
    const eager = await sync(alice)
    await whole(far, alice)
    // One that loads members lazily is not told thousands of whom it has heard nothing.
    const later = inRoom(await sync(alice, before.next_batch, lazy), far)
    expect(membersIn(later)).not.toContain(far.who('elsie'))
    expect(said(inRoom(await sync(alice, eager.next_batch), far))).toEqual(
      expect.arrayContaining([mine, theirs.event_id]),
    )
  })

  test('is told of the devices of those who are there, once they are known', async () => {
    const far = await farRoom()
    await far.joinedBy(alice)
    const before = await sync(alice, undefined, lazy)
    await whole(far, alice)
    const after = await sync(alice, before.next_batch, lazy)
    expect(after.device_lists?.changed).toEqual(expect.arrayContaining([far.who('elsie')]))
  })

  test('is shown over sliding sync at once, and its members as each client wishes', async () => {
    const far = await farRoom()
    await far.joinedBy(alice)
    const wish = (key: string) => ({
      conn_id: key,
      room_subscriptions: { [far.roomId]: { required_state: [['m.room.member', key]], timeline_limit: 5 } },
    })
    const members = (body: SlidBody) => (body.rooms[far.roomId]?.required_state ?? []).map(({ state_key }) => state_key)
    const [few, all] = [await slide(alice, wish('$LAZY')), await slide(alice, wish('*'))]
    expect(members(few)).toContain(alice.userId)
    expect(members(all)).not.toContain(far.who('elsie'))
    await whole(far, alice)
    const news = far.add({
      type: 'm.room.message',
      sender: far.who('derek'),
      content: { msgtype: 'm.text', body: '.' },
    })
    await far.deliver(news)
    const [later, now] = await vi.waitFor(async () => {
      const answers = [
        await slide(alice, wish('$LAZY'), { pos: few.pos }),
        await slide(alice, wish('*'), { pos: all.pos }),
      ] as const
      for (const { rooms } of answers) {
        expect(rooms[far.roomId]?.timeline?.map(({ event_id }) => event_id)).toContain(news.event_id)
      }
      return answers
    }, 30_000)
    expect(members(later)).toContain(far.who('derek'))
    expect(members(later)).not.toContain(far.who('elsie'))
    expect(members(now)).toEqual(expect.arrayContaining([far.who('derek'), far.who('elsie')]))
    expect(now.rooms[far.roomId]?.joined_count).toBe(4)
  })

  test('makes those wait who ask for all members, and others who would come in', async () => {
    const far = await farRoom()
    await far.joinedBy(alice)
    const waiting = Promise.all([
      ok(alice.get<{ chunk: Event[] }>(at(far.roomId, '/members'))),
      ok(alice.get<{ joined: Record<string, object> }>(at(far.roomId, '/joined_members'))),
      alice.post(at(far.roomId, '/invite'), { user_id: bob.userId }),
    ])
    const first = await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 300, 'waits'))])
    expect(first).toBe('waits')
    const path = `/make_join/${encodeURIComponent(far.roomId)}/${encodeURIComponent(far.who('new'))}?ver=11`
    expect(await far.server.ask('GET', path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    // A second user of ours comes in by the word of who knows all members.
    await ok(bob.post(`/join/${encodeURIComponent(far.roomId)}`))
    expect(inRoom(await sync(bob, undefined, lazy), far)).toBeDefined()
    far.open()
    const [members, joined] = await waiting
    expect(members.chunk.map(({ state_key }) => state_key)).toContain(far.who('elsie'))
    expect(Object.keys(joined.joined)).toContain(far.who('derek'))
  })

  test('may be left and come back to, before all are known and after others spoke', async () => {
    const far = await farRoom()
    await far.joinedBy(alice)
    await ok(alice.post(at(far.roomId, '/leave')))
    const left = await sync(alice, undefined, lazy)
    expect(inRoom(left, far)).toBeUndefined()
    // Nobody of ours is there to hear that.
    const missed = far.say('they are gone')
    await ok(alice.post(`/join/${encodeURIComponent(far.roomId)}`))
    expect(inRoom(await sync(alice, left.next_batch, lazy), far)).toBeDefined()
    const mine = await say(alice, far.roomId, 'I am back')
    await whole(far, alice)
    const now = inRoom(await sync(alice), far)
    expect(said(now)).toContain(mine)
    expect(membersIn(now)).toEqual(expect.arrayContaining([far.creator, far.who('derek'), far.who('elsie')]))
    expect(await rows(objectOf(far), 'SELECT * FROM partial_joins')).toEqual([])
    const history = await ok(alice.get<{ chunk: Event[] }>(at(far.roomId, '/messages?dir=b&limit=50')))
    expect(history.chunk.map(({ event_id }) => event_id)).toContain(missed.event_id)
  })

  test('succeeds though it cites members who were left out', async () => {
    const far = await farRoom()
    const carol = await registerUser('partial-carol')
    far.member('', 'ban', far.creator, carol.userId)
    far.member('', 'leave', far.creator, carol.userId)
    await far.joinedBy(carol)
    expect(far.told).toContain('event_auth')
    await whole(far, carol)
    expect(membersIn(inRoom(await sync(carol), far))).toContain(far.who('elsie'))
  })

  test('lets a server that it learns of late have what was said meanwhile', async () => {
    const far = await farRoom()
    const absent = await otherServer(`absent${servers}.test:8448`)
    const zoe = user(`@zoe:${absent.name}`)
    const draft = far.build({ type: 'm.room.member', stateKey: zoe, sender: zoe, content: { membership: 'join' } })
    const { hashes: _, signatures: __, ...template } = draft.json
    far.place(signedBy(absent, '11', template))
    await far.joinedBy(alice)
    const heard: string[] = []
    serversAnswer({
      [far.server.name]: (asked) => far.answer(asked),
      [absent.name]: ({ body }) => {
        const pdus = body?.['pdus']
        for (const pdu of Array.isArray(pdus) ? pdus : []) heard.push(JSON.stringify(pdu))
        return { pdus: {} }
      },
    })
    await say(alice, far.roomId, 'can everybody hear me?')
    expect(heard).toEqual([])
    await whole(far, alice)
    await vi.waitFor(() => expect(heard.join()).toContain('can everybody hear me?'), 30_000)
  })

  test('asks others when the first server gives nothing, and goes on for as long as it takes', async () => {
    const far = await farRoom()
    far.servers = ['silent.test:8448', far.server.name]
    far.isDown = true
    far.open()
    await far.joinedBy(alice)
    await vi.waitFor(() => expect(far.told).toContain('state_ids'), 30_000)
    const mine = await say(alice, far.roomId, 'still here')
    far.isDown = false
    await vi.waitFor(async () => {
      expect(await rows(objectOf(far), 'SELECT to_pos FROM partial_span WHERE to_pos IS NOT NULL')).toHaveLength(1)
    }, 60_000)
    expect(said(inRoom(await sync(alice), far))).toContain(mine)
  }, 90_000)
})

describe('what was judged without members', () => {
  test('is taken back where the whole state forbids it', async () => {
    const far = await farRoom()
    // Derek was banned before we came, and nobody told us.
    const old = [...far.events.values()].find(({ pdu }) => pdu.state_key === far.who('derek'))?.pdu
    if (!old) throw new Error('derek was never there')
    const ban = far.member('derek', 'ban', far.creator)
    await far.joinedBy(alice)
    const before = await sync(alice, undefined, lazy)
    const rules = {
      type: 'm.room.message',
      sender: far.who('derek'),
      content: { msgtype: 'm.text', body: 'I am here' },
    }
    const bad = far.build(rules)
    const stale = far.rebuilt(bad, (ids) => ids.map((id) => (id === ban.event_id ? old.event_id : id)))
    far.place(stale)
    const fine = far.say('a word')
    await far.deliver(stale, fine)
    const shown = await vi.waitFor(async () => {
      const now = inRoom(await sync(alice, before.next_batch, lazy), far)
      expect(said(now)).toContain(fine.event_id)
      return now
    }, 30_000)
    expect(said(shown)).toContain(stale.event_id)
    await whole(far, alice)
    const path = at(far.roomId, `/event/${encodeURIComponent(stale.event_id)}`)
    expect(await alice.get(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    const now = inRoom(await sync(alice), far)
    expect(said(now)).toContain(fine.event_id)
    expect(said(now)).not.toContain(stale.event_id)
    const derek = await ok(
      alice.get<{ membership: string }>(at(far.roomId, `/state/m.room.member/${far.who('derek')}`)),
    )
    expect(derek.membership).toBe('ban')
  })

  test('a kick by one who had no business to kick is undone, and who was kicked is heard', async () => {
    const far = await farRoom()
    const power = { users: { [far.creator]: 100, [far.who('derek')]: 50 } }
    far.add({ type: 'm.room.power_levels', stateKey: '', content: power })
    const joinOf = (name: string) =>
      [...far.events.values()].find(({ pdu }) => pdu.state_key === far.who(name))?.pdu.event_id
    const [derek, elsie] = [joinOf('derek'), joinOf('elsie')]
    if (!derek || !elsie) throw new Error('nobody was ever there')
    const ban = far.member('derek', 'ban', far.creator)
    await far.joinedBy(alice)
    const before = await sync(alice, undefined, lazy)
    const wish = { type: 'm.room.member', stateKey: far.who('elsie'), sender: far.who('derek') }
    const kick = far.rebuilt(far.build({ ...wish, content: { membership: 'leave' } }), (ids) =>
      ids.map((id) => (id === ban.event_id ? derek : id)),
    )
    far.place(kick)
    const text = { type: 'm.room.message', sender: far.who('elsie'), content: { msgtype: 'm.text', body: 'not so' } }
    const protest = far.rebuilt(far.build(text), (ids) => ids.map((id) => (id === kick.event_id ? elsie : id)))
    far.place(protest)
    await far.deliver(kick, protest)
    const shown = await vi.waitFor(async () => {
      const now = inRoom(await sync(alice, before.next_batch, lazy), far)
      expect(said(now)).toContain(kick.event_id)
      return now
    }, 30_000)
    expect(said(shown)).not.toContain(protest.event_id)
    const heard = await sync(alice, before.next_batch, lazy)
    await whole(far, alice)
    const path = at(far.roomId, `/event/${encodeURIComponent(kick.event_id)}`)
    expect(await alice.get(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    const now = inRoom(await sync(alice, heard.next_batch, lazy), far)
    expect(said(now)).toContain(protest.event_id)
    // The client held that she had left.
    expect(now?.state.events.map(({ event_id }) => event_id)).toContain(elsie)
    const place = at(far.roomId, `/state/m.room.member/${far.who('elsie')}`)
    expect((await ok(alice.get<{ membership: string }>(place))).membership).toBe('join')
  })
})
