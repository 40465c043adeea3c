/** Push rules over HTTP: how they are read, made, moved and taken away, and what is refused. */
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { aMoment, createRoom, join, long, sync } from '../sync/syncing.ts'

interface Rule {
  readonly rule_id: string
  readonly enabled: boolean
  readonly default: boolean
  readonly actions: readonly unknown[]
  readonly pattern?: string
  readonly conditions?: readonly unknown[]
}
type Rules = Readonly<Record<'override' | 'content' | 'postcontent' | 'room' | 'sender' | 'underride', readonly Rule[]>>

let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('rules-alice')
  bob = await registerUser('rules-bob')
})

const at = (kind: string, ruleId: string, part = '') =>
  `/pushrules/global/${kind}/${encodeURIComponent(ruleId)}${part && `/${part}`}`
async function all(user: User): Promise<Rules> {
  const { status, body } = await user.get<{ global: Rules }>('/pushrules/')
  expect(status).toBe(200)
  return body.global
}
const idsOf = (rules: readonly Rule[]) => rules.map(({ rule_id }) => rule_id)
async function put(user: User, kind: string, ruleId: string, body: object, place = ''): Promise<void> {
  expect(await user.put(`${at(kind, ruleId)}${place}`, body)).toMatchObject({ status: 200, body: {} })
}

describe('push rules', () => {
  test('are there from the start, the same by every way to them', async () => {
    const user = await registerUser('rules-newcomer')
    const rules = await all(user)
    expect(idsOf(rules.override).slice(0, 3)).toEqual([
      '.m.rule.master',
      '.m.rule.suppress_notices',
      '.m.rule.invite_for_me',
    ])
    expect(JSON.stringify(rules)).toContain(user.userId)
    expect((await user.get('/pushrules/global/')).body).toEqual(rules)
    expect((await user.get('/_matrix/client/r0/pushrules/')).body).toEqual({ global: rules })
    const { account_data: data } = await sync(user)
    expect(data?.events).toEqual([{ type: 'm.push_rules', content: { global: rules } }])
    const read = await user.get(`/user/${encodeURIComponent(user.userId)}/account_data/m.push_rules`)
    expect(read.body).toEqual({ global: rules })
  })

  test('of one’s own are made, changed, disabled and deleted', async () => {
    await put(alice, 'content', 'cake', { actions: ['notify', { set_tweak: 'sound', value: 'x' }], pattern: 'c*ke' })
    const cake: Rule = {
      rule_id: 'cake',
      default: false,
      enabled: true,
      actions: ['notify', { set_tweak: 'sound', value: 'x' }],
      pattern: 'c*ke',
    }
    expect((await alice.get(at('content', 'cake'))).body).toEqual(cake)
    expect((await alice.get(at('content', 'cake', 'enabled'))).body).toEqual({ enabled: true })
    expect((await alice.get(at('content', 'cake', 'actions'))).body).toEqual({ actions: cake.actions })
    expect((await all(alice)).content).toEqual([cake])

    expect((await alice.put(at('content', 'cake', 'enabled'), { enabled: false })).status).toBe(200)
    expect((await alice.put(at('content', 'cake', 'actions'), { actions: ['dont_notify'] })).status).toBe(200)
    expect((await alice.get(at('content', 'cake'))).body).toEqual({ ...cake, enabled: false, actions: ['dont_notify'] })
    expect((await all(bob)).content).toEqual([])

    expect(await alice.delete(at('content', 'cake'))).toMatchObject({ status: 200, body: {} })
    expect((await alice.get(at('content', 'cake'))).status).toBe(404)
    expect((await all(alice)).content).toEqual([])
  })

  test('stand where they were put: newest first, before or after another, all but the master rule below them', async () => {
    const user = await registerUser('rules-order')
    const body = { actions: [] }
    for (const id of ['one', 'two']) await put(user, 'override', id, body)
    await put(user, 'override', 'three', body, '?before=one')
    await put(user, 'override', 'four', body, '?after=one')
    const own = idsOf((await all(user)).override).slice(0, 6)
    expect(own).toEqual(['.m.rule.master', 'two', 'three', 'one', 'four', '.m.rule.suppress_notices'])
    await put(user, 'override', 'four', body, '?before=two')
    expect(idsOf((await all(user)).override).slice(1, 5)).toEqual(['four', 'two', 'three', 'one'])
  })

  test('that are predefined can be disabled and given other actions, and stay where they are', async () => {
    const before = idsOf((await all(bob)).underride)
    await bob.put(at('underride', '.m.rule.message', 'enabled'), { enabled: false })
    await bob.put(at('override', '.m.rule.tombstone', 'actions'), { actions: [] })
    expect((await bob.get(at('underride', '.m.rule.message', 'enabled'))).body).toEqual({ enabled: false })
    expect((await bob.get(at('override', '.m.rule.tombstone', 'actions'))).body).toEqual({ actions: [] })
    expect(idsOf((await all(bob)).underride)).toEqual(before)
    const refused = { status: 400, body: { errcode: 'M_INVALID_PARAM' } }
    expect(await bob.delete(at('underride', '.m.rule.message'))).toMatchObject(refused)
  })

  test('have IDs with any characters but slashes', async () => {
    for (const id of ['!room:server', '#x', 'a b%', '__proto__', 'constructor', 'ü']) {
      await put(alice, 'room', id, { actions: ['notify'] })
      expect((await alice.get(at('room', id))).body).toMatchObject({ rule_id: id })
      expect((await alice.delete(at('room', id))).status).toBe(200)
    }
  })

  test.each<[string, string, (user: User) => Promise<void>]>([
    ['added', 'one', (user) => put(user, 'room', '!foo:example.com', { actions: ['notify'] })],
    [
      'disabled',
      'two',
      async (user) => void (await user.put(at('override', '.m.rule.reaction', 'enabled'), { enabled: false })),
    ],
    [
      'given other actions',
      'three',
      async (user) => void (await user.put(at('override', '.m.rule.reaction', 'actions'), { actions: ['notify'] })),
    ],
  ])('wake a sync when one is %s', async (_, name, change) => {
    const user = await registerUser(`rules-wake-${name}`)
    const { next_batch: since } = await sync(user)
    const waiting = sync(user, { since, timeout: long })
    await aMoment()
    await change(user)
    const woken = await waiting
    expect(woken.account_data?.events).toEqual([{ type: 'm.push_rules', content: { global: await all(user) } }])
    expect(await sync(user, { since: woken.next_batch })).not.toHaveProperty('account_data')
  })

  test('are not told to a sync whose filter does not want them', async () => {
    expect(await sync(alice, { filter: { account_data: { not_types: ['m.push_rules'] } } })).not.toHaveProperty(
      'account_data',
    )
  })

  test('of a room follow those who have them to the room that replaces it', async () => {
    const room = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, room)
    for (const user of [alice, bob]) await put(user, 'room', room, { actions: [] })
    const upgrade = await alice.post<{ replacement_room: string }>(`/rooms/${encodeURIComponent(room)}/upgrade`, {
      new_version: '11',
    })
    expect(upgrade.status, upgrade.text).toBe(200)
    const { replacement_room: next } = upgrade.body
    expect(idsOf((await all(alice)).room)).toEqual([room, next])
    await join(bob, next)
    // Behind the answer.
    await expect.poll(async () => idsOf((await all(bob)).room)).toEqual([room, next])
  })
})

describe('a bad request', () => {
  const good = { actions: ['notify'] }
  const [invalid, bad, missing, unknown] = ['M_INVALID_PARAM', 'M_BAD_JSON', 'M_MISSING_PARAM', 'M_UNKNOWN']
  test.each<[string, string, unknown, number, string | undefined]>([
    ['a kind that there is not', at('overrule', 'x'), good, 400, invalid],
    ['a kind from the prototype', at('constructor', 'x'), good, 400, invalid],
    ['an ID of the server’s', at('override', '.mine'), good, 400, invalid],
    ['a backslash in the ID', at('override', 'a\\b'), good, 400, invalid],
    ['a slash in the ID', at('override', 'a/b'), good, 400, invalid],
    ['a long ID', at('override', 'x'.repeat(256)), good, 400, invalid],
    ['no actions', at('override', 'x'), {}, 400, missing],
    ['actions that are no list', at('override', 'x'), { actions: 'notify' }, 400, bad],
    ['an action without a name', at('override', 'x'), { actions: [{ value: 'x' }] }, 400, bad],
    ['an action that is null', at('override', 'x'), { actions: [null] }, 400, bad],
    ['conditions that are no list', at('override', 'x'), { ...good, conditions: {} }, 400, bad],
    ['a condition without a kind', at('underride', 'x'), { ...good, conditions: [{}] }, 400, bad],
    ['no pattern', at('content', 'x'), good, 400, missing],
    ['a pattern that is no text', at('content', 'x'), { ...good, pattern: 7 }, 400, bad],
    ['an unknown neighbour', `${at('override', 'x')}?before=nobody`, good, 400, unknown],
    ['a predefined neighbour', `${at('override', 'x')}?after=.m.rule.master`, good, 400, unknown],
    ['enabling what there is not', at('override', 'x', 'enabled'), { enabled: true }, 404, 'M_NOT_FOUND'],
    ['actions of what there is not', at('override', 'x', 'actions'), good, 404, 'M_NOT_FOUND'],
    [
      'a predefined rule in another kind',
      at('content', '.m.rule.master', 'enabled'),
      { enabled: true },
      404,
      'M_NOT_FOUND',
    ],
    ['enabled that is missing', at('override', '.m.rule.master', 'enabled'), {}, 400, missing],
    ['enabled that is a word', at('override', '.m.rule.master', 'enabled'), { enabled: 'yes' }, 400, bad],
    ['actions that are missing', at('override', '.m.rule.master', 'actions'), {}, 400, missing],
    ['a body that is a list', at('override', 'x'), '[]', 400, bad],
    ['a body that is no JSON', at('override', 'x'), 'x', 400, 'M_NOT_JSON'],
    ['a huge body', at('override', 'x'), { ...good, more: 'x'.repeat(20_000) }, 413, undefined],
  ])('with %s is refused', async (_, path, body, status, errcode) => {
    const before = await all(alice)
    expect(await alice.put(path, body)).toMatchObject({ status, body: errcode === undefined ? {} : { errcode } })
    expect(await all(alice)).toEqual(before)
  })

  test('for what there is not is answered with 404', async () => {
    for (const path of [
      at('override', 'x'),
      at('overrule', 'x'),
      at('room', 'x', 'enabled'),
      at('room', 'x', 'actions'),
    ]) {
      expect(await alice.get(path)).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } })
    }
    expect(await alice.delete(at('override', 'x'))).toMatchObject({ status: 404, body: { errcode: 'M_NOT_FOUND' } })
    expect(await alice.delete(at('overrule', 'x'))).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } })
    expect((await alice.get('/pushrules/device/override/x')).status).toBe(404)
  })

  test('without a token gets nothing', async () => {
    expect((await anonymous.get('/pushrules/')).status).toBe(401)
    expect((await anonymous.put(at('override', 'x'), good)).status).toBe(401)
  })

  test('for ever more rules is refused before they are too many for one answer', async () => {
    const user = await registerUser('rules-hoarder')
    const body = { actions: ['notify', { set_tweak: 'x'.repeat(9_000) }] }
    const answers: number[] = []
    for (let n = 0; n < 10; n++) answers.push((await user.put(at('room', `r${n}`), body)).status)
    expect(answers).toEqual([200, 200, 200, 200, 200, 200, 200, 400, 400, 400])
    expect((await user.delete(at('room', 'r0'))).status).toBe(200)
    expect((await user.put(at('room', 'r9'), body)).status).toBe(200)
  })
})
