/** A new password and a new account by mail. Spec: client-server-api/#password-management, #email-based-identity--homeserver. */
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, login, passwordAuth, registerUser, type User } from '../client.ts'
import { letterTo, serverWithMail } from './mailbox.ts'

interface Unfinished {
  session: string
  flows: { stages: string[] }[]
  errcode?: string
  params: object
  completed?: string[]
}

const server = serverWithMail()
const email = 'reset@example.org'
let carol: User
let mallory: User

async function giveAddress(user: User, address: string) {
  const { body } = await server.send<{ sid: string }>('POST', '/account/3pid/email/requestToken', letterTo(address))
  await server.confirm()
  const proof = { sid: body.sid, client_secret: 'secret', auth: passwordAuth(user) }
  expect(await server.send('POST', '/account/3pid/add', proof, user.accessToken)).toMatchObject({ status: 200 })
}

beforeAll(async () => {
  carol = await registerUser('reset-carol')
  mallory = await registerUser('reset-mallory')
  await giveAddress(carol, email)
  await giveAddress(mallory, 'mallory@example.org')
})

let secrets = 0
async function prove(address: string, purpose = 'account/password') {
  const client_secret = `secret.${++secrets}`
  const path = `/${purpose}/email/requestToken`
  const { body } = await server.send<{ sid: string }>('POST', path, letterTo(address, { client_secret }))
  return { sid: body.sid, client_secret }
}
const stage = (threepid_creds: unknown, session?: string) => ({
  type: 'm.login.email.identity',
  threepid_creds,
  session,
})
const reset = (new_password: string, auth?: unknown, token?: string, more = {}) =>
  server.send<Unfinished>('POST', '/account/password', { new_password, auth, ...more }, token)
const isPassword = async (user: User, password: string) => {
  const identifier = { type: 'm.id.user', user: user.userId }
  return (await anonymous.post('/login', { type: 'm.login.password', identifier, password })).status === 200
}

describe('a forgotten password', () => {
  test('is set anew by whoever reads the mail, and every device is signed out', async () => {
    const device = await login(carol)
    const creds = await prove(email)
    const begun = await reset('carol’s new password')
    expect(begun).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.email.identity'] }] } })
    const early = await reset('carol’s new password', stage(creds, begun.body.session))
    expect(early).toMatchObject({ status: 401, body: { errcode: 'M_UNAUTHORIZED', session: begun.body.session } })
    expect((await server.confirm()).status).toBe(200)
    const done = await reset('carol’s new password', stage(creds, begun.body.session))
    expect(done).toMatchObject({ status: 200, body: {} })
    expect(await isPassword(carol, 'carol’s new password')).toBe(true)
    expect(await isPassword(carol, carol.password)).toBe(false)
    expect(await device.get('/account/whoami')).toMatchObject({ status: 401 })
    // One proof, one password.
    expect(await reset('and another one', stage(creds))).toMatchObject({ status: 401 })
    expect(await isPassword(carol, 'and another one')).toBe(false)
  })

  test('devices stay where the client says so', async () => {
    const device = await login({ ...carol, password: 'carol’s new password' })
    const creds = await prove(email)
    await server.confirm()
    expect(await reset(carol.password, stage(creds), undefined, { logout_devices: false })).toMatchObject({
      status: 200,
    })
    expect(await device.get('/account/whoami')).toMatchObject({ status: 200 })
  })

  test('a proof for something else sets no password', async () => {
    const creds = await prove('fresh@example.org', 'account/3pid')
    await server.confirm()
    expect(await reset('a password', stage(creds))).toMatchObject({ status: 401, body: { errcode: 'M_UNAUTHORIZED' } })
  })

  test("one's own address sets nobody else's password", async () => {
    const creds = await prove('mallory@example.org')
    await server.confirm()
    const answer = await reset('stolen password', stage(creds), carol.accessToken)
    // The token ended with the reset above; a fresh one is hers.
    expect(answer.status).toBe(401)
    const again = await login(carol)
    expect(await reset('stolen password', stage(creds), again.accessToken)).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    })
    expect(await isPassword(carol, 'stolen password')).toBe(false)
  })

  test('an address of nobody looks like one of somebody, and is sent nothing', async () => {
    const before = server.letters.length
    const path = '/account/password/email/requestToken'
    const unknown = await server.send('POST', path, letterTo('unknown@example.org'))
    expect(unknown).toMatchObject({ status: 200, body: { sid: expect.any(String) } })
    const same = await server.send('POST', path, letterTo('unknown@example.org'))
    expect(same.body).toEqual(unknown.body)
    expect(server.letters).toHaveLength(before)
    const open = serverWithMail({ HIDE_KNOWN_ADDRESSES: 'off' })
    expect(await open.send('POST', path, letterTo('unknown@example.org'))).toMatchObject({
      status: 400,
      body: { errcode: 'M_THREEPID_NOT_FOUND' },
    })
  })

  test.each([
    [undefined, 'M_MISSING_PARAM'],
    ['x', 'M_BAD_JSON'],
    [{}, 'M_MISSING_PARAM'],
    [{ sid: 1, client_secret: 2 }, 'M_MISSING_PARAM'],
  ])('credentials %j are %s', async (creds, errcode) => {
    expect(await reset('a password', stage(creds))).toMatchObject({ status: 400, body: { errcode } })
  })

  test.each([
    { sid: 'made-up', client_secret: 'made-up' },
    { sid: '', client_secret: '' },
  ])('credentials %j prove nothing', async (creds) => {
    expect(await reset('a password', stage(creds))).toMatchObject({ status: 401, body: { errcode: 'M_UNAUTHORIZED' } })
  })

  test('without mail, only who is signed in sets a password', async () => {
    expect(await anonymous.post('/account/password', { new_password: 'a password' })).toMatchObject({
      status: 401,
      body: { errcode: 'M_MISSING_TOKEN' },
    })
  })

  test('an account that ended gives its address back', async () => {
    const dave = await registerUser('reset-dave')
    await giveAddress(dave, 'dave@example.org')
    await dave.post('/account/deactivate', { auth: passwordAuth(dave) })
    const open = serverWithMail({ HIDE_KNOWN_ADDRESSES: 'off' })
    const path = '/account/password/email/requestToken'
    expect(await open.send('POST', path, letterTo('dave@example.org'))).toMatchObject({ status: 400 })
    await giveAddress(mallory, 'dave@example.org')
  })
})

describe('registration with an address', () => {
  const strict = { REGISTRATION_EMAIL: 'required' }
  const inStrict = serverWithMail(strict)
  const register = (body: object) => inStrict.send<Unfinished>('POST', '/register', body)

  async function proveThere(address: string) {
    const client_secret = `secret.${++secrets}`
    const path = '/register/email/requestToken'
    const { body } = await inStrict.send<{ sid: string }>('POST', path, letterTo(address, { client_secret }))
    return { sid: body.sid, client_secret }
  }

  test('needs one that was confirmed, and the account has it', async () => {
    const wanted = { username: 'mail-erin', password: "erin's password" }
    const begun = await register(wanted)
    expect(begun).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.email.identity'] }] } })
    expect(await register({ ...wanted, auth: { type: 'm.login.dummy' } })).toMatchObject({ status: 401 })
    const creds = await proveThere('erin@example.org')
    const early = await register({ ...wanted, auth: stage(creds, begun.body.session) })
    expect(early).toMatchObject({ status: 401, body: { errcode: 'M_UNAUTHORIZED' } })
    await inStrict.confirm()
    const done = await register({ ...wanted, auth: stage(creds, begun.body.session) })
    expect(done).toMatchObject({ status: 200, body: { user_id: '@mail-erin:test.local' } })
    const { access_token } = done.body as unknown as { access_token: string }
    const { body } = await inStrict.send<{ threepids: { address: string }[] }>(
      'GET',
      '/account/3pid',
      undefined,
      access_token,
    )
    expect(body.threepids.map(({ address }) => address)).toEqual(['erin@example.org'])
    // The proof made one account.
    const again = { username: 'mail-erin-two', password: 'a password', auth: stage(creds) }
    expect(await register(again)).toMatchObject({ status: 401 })
  })

  test('with an address that has an account, the owner of the address is told, and nobody else', async () => {
    const before = inStrict.letters.length
    const creds = await proveThere('erin@example.org')
    expect(creds.sid).toEqual(expect.any(String))
    const letter = inStrict.letters.at(-1)
    expect(inStrict.letters).toHaveLength(before + 1)
    expect(letter).toMatchObject({ to: 'erin@example.org' })
    expect(letter?.text).not.toContain('http')
  })

  test('two who prove the same address: one gets the account', async () => {
    const [one, two] = [await proveThere('both@example.org'), await proveThere('both@example.org')]
    await inStrict.confirm()
    inStrict.letters.pop()
    await inStrict.confirm()
    const attempt = (username: string, creds: unknown) =>
      register({ username, password: 'a password', auth: stage(creds) })
    const answers = [await attempt('mail-both-one', one), await attempt('mail-both-two', two)]
    expect(answers.map(({ status }) => status)).toEqual([200, 400])
    expect(answers[1]).toMatchObject({ body: { errcode: 'M_THREEPID_IN_USE' } })
    expect(await anonymous.get('/register/available?username=mail-both-two')).toMatchObject({ status: 200 })
  })

  test('a closed server sends nothing', async () => {
    const closed = serverWithMail({ REGISTRATION: 'closed' })
    expect(await closed.send('POST', '/register/email/requestToken', letterTo('x@example.org'))).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    })
    expect(closed.letters).toHaveLength(0)
  })
})

describe('terms', () => {
  const policies = { terms: { version: '1.2', en: { name: 'Terms <here>', url: 'https://example.org/terms' } } }
  const withTerms = serverWithMail({ REGISTRATION_TERMS: JSON.stringify(policies), REGISTRATION_EMAIL: 'required' })

  test('are shown, accepted, and their version kept', async () => {
    const wanted = { username: 'terms-frank', password: 'a password' }
    const begun = await withTerms.send<Unfinished>('POST', '/register', wanted)
    expect(begun).toMatchObject({
      status: 401,
      body: {
        flows: [{ stages: ['m.login.terms', 'm.login.email.identity'] }],
        params: { 'm.login.terms': { policies } },
      },
    })
    const { session } = begun.body
    const page = await withTerms.send('GET', `/auth/m.login.terms/fallback/web?session=${session}`)
    expect(page.text).toContain('Terms &lt;here&gt;')
    const accepted = { ...wanted, auth: { type: 'm.login.terms', session } }
    expect(await withTerms.send('POST', '/register', accepted)).toMatchObject({
      status: 401,
      body: { completed: ['m.login.terms'] },
    })
    const path = '/register/email/requestToken'
    const { body } = await withTerms.send<{ sid: string }>('POST', path, letterTo('frank@example.org'))
    await withTerms.confirm()
    const auth = stage({ sid: body.sid, client_secret: 'secret' }, session)
    expect(await withTerms.send('POST', '/register', { ...wanted, auth })).toMatchObject({ status: 200 })
    const { env } = await import('cloudflare:workers')
    const row = await env.DB.prepare(
      "SELECT accepted_terms FROM users WHERE user_id = '@terms-frank:test.local'",
    ).first()
    expect(row).toEqual({ accepted_terms: '{"terms":"1.2"}' })
  })

  test('do not let anybody in elsewhere', async () => {
    const auth = { type: 'm.login.terms' }
    expect(await mallory.post('/account/deactivate', { auth })).toMatchObject({ status: 401 })
  })
})
