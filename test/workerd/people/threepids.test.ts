/** E-mail addresses of accounts. Spec: client-server-api/#adding-account-administrative-contact-information. */
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, clientWith, passwordAuth, registerUser, type User } from '../client.ts'
import { letterTo, linkIn, type MailServer, serverWithMail } from './mailbox.ts'

let alice: User
let bob: User
let server: MailServer

beforeAll(async () => {
  alice = await registerUser('mail-alice')
  bob = await registerUser('mail-bob')
  server = serverWithMail()
})

const ask = (purpose: 'register' | 'account/3pid' | 'account/password', body: unknown) =>
  server.send<{ sid: string }>('POST', `/${purpose}/email/requestToken`, body)

/** Gives a user an address, as a client does. */
async function addAddress(user: User, email: string, secret = 'secret') {
  const { body } = await ask('account/3pid', letterTo(email, { client_secret: secret }))
  await server.confirm()
  const auth = passwordAuth(user)
  return server.send('POST', '/account/3pid/add', { sid: body.sid, client_secret: secret, auth }, user.accessToken)
}

const addressesOf = async (user: User) => {
  const { body } = await user.get<{ threepids: { medium: string; address: string; validated_at: number }[] }>(
    '/account/3pid',
  )
  return body.threepids.map(({ medium, address }) => `${medium} ${address}`)
}

describe('adding an address', () => {
  test('a letter is sent, its link confirmed, the address added with the password', async () => {
    const { status, body } = await ask('account/3pid', letterTo('Alice.One@Example.org'))
    expect({ status, body }).toEqual({ status: 200, body: { sid: expect.any(String) } })
    const letter = server.letters.at(-1)
    expect(letter).toMatchObject({ to: 'alice.one@example.org', from: 'Hearth <hearth@test.local>' })
    expect(letter?.html).toContain(linkIn(letter))
    const proof = { sid: body.sid, client_secret: 'secret' }
    const early = await server.send(
      'POST',
      '/account/3pid/add',
      { ...proof, auth: passwordAuth(alice) },
      alice.accessToken,
    )
    expect(early).toMatchObject({ status: 400, body: { errcode: 'M_THREEPID_AUTH_FAILED' } })
    expect(await server.confirm()).toMatchObject({ status: 200 })

    const asked = await server.send('POST', '/account/3pid/add', proof, alice.accessToken)
    expect(asked).toMatchObject({ status: 401, body: { flows: [{ stages: ['m.login.password'] }] } })
    const wrongSecret = { sid: body.sid, client_secret: 'other', auth: passwordAuth(alice) }
    expect(await server.send('POST', '/account/3pid/add', wrongSecret, alice.accessToken)).toMatchObject({
      status: 400,
      body: { errcode: 'M_THREEPID_AUTH_FAILED' },
    })
    const added = await server.send(
      'POST',
      '/account/3pid/add',
      { ...proof, auth: passwordAuth(alice) },
      alice.accessToken,
    )
    expect(added).toMatchObject({ status: 200, body: {} })
    expect(await addressesOf(alice)).toEqual(['email alice.one@example.org'])
    // The proof is used up.
    const again = await server.send('POST', '/account/3pid/add', { ...proof, auth: passwordAuth(bob) }, bob.accessToken)
    expect(again).toMatchObject({ status: 400, body: { errcode: 'M_THREEPID_AUTH_FAILED' } })
  })

  test('the deprecated path does the same, and wants the password too', async () => {
    const { body } = await ask('account/3pid', letterTo('alice.two@example.org'))
    await server.confirm()
    const three_pid_creds = { sid: body.sid, client_secret: 'secret', id_server: 'x', id_access_token: 'x' }
    const asked = await server.send('POST', '/account/3pid', { three_pid_creds }, alice.accessToken)
    expect(asked.status).toBe(401)
    const auth = passwordAuth(alice)
    expect(await server.send('POST', '/account/3pid', { three_pid_creds, auth }, alice.accessToken)).toMatchObject({
      status: 200,
    })
    expect(await addressesOf(alice)).toContain('email alice.two@example.org')
  })

  test('opening the link alone confirms nothing; the page runs nothing and leaks nothing', async () => {
    const { body } = await ask(
      'account/3pid',
      letterTo('bob.page@example.org', { next_link: 'https://a.example/"><b>' }),
    )
    const { pathname, search } = new URL(linkIn(server.letters.at(-1)))
    const page = await server.send('GET', pathname + search)
    expect(page.status).toBe(200)
    expect(page.headers.get('Content-Security-Policy')).toContain("default-src 'none'")
    expect(page.headers.get('Content-Security-Policy')).toContain("frame-ancestors 'none'")
    expect(page.headers.get('Referrer-Policy')).toBe('no-referrer')
    expect(page.headers.get('Cache-Control')).toBe('no-store')
    expect(page.text).toContain('bob.page@example.org')
    expect(page.text).toContain('width=device-width')
    const proof = { sid: body.sid, client_secret: 'secret', auth: passwordAuth(bob) }
    expect(await server.send('POST', '/account/3pid/add', proof, bob.accessToken)).toMatchObject({ status: 400 })
    const confirmed = await server.confirm()
    expect(confirmed.text).toContain('https://a.example/&quot;&gt;&lt;b&gt;')
    expect(confirmed.text).not.toContain('<b>')
  })

  test.each(['', '?token=', '?token=made-up'])('a link that nobody was sent does not work: %j', async (query) => {
    expect(await server.send('GET', `/_hearth/email/confirm${query}`)).toMatchObject({ status: 404 })
    expect(await server.send('POST', '/_hearth/email/confirm', query.slice(1))).toMatchObject({ status: 404 })
  })

  test('a link ends with its hour, and so does what it proved', async () => {
    const { body } = await ask('account/3pid', letterTo('bob.late@example.org'))
    await server.confirm()
    await env.DB.prepare('UPDATE email_sessions SET expires_at = 1 WHERE sid = ?').bind(body.sid).run()
    const proof = { sid: body.sid, client_secret: 'secret', auth: passwordAuth(bob) }
    expect(await server.send('POST', '/account/3pid/add', proof, bob.accessToken)).toMatchObject({ status: 400 })
    expect(await server.confirm()).toMatchObject({ status: 404 })
  })

  test('an address belongs to one account', async () => {
    expect(await addAddress(alice, 'one.owner@example.org')).toMatchObject({ status: 200 })
    const open = serverWithMail({ HIDE_KNOWN_ADDRESSES: 'off' })
    const refused = await open.send('POST', '/account/3pid/email/requestToken', letterTo('ONE.owner@example.org'))
    expect(refused).toMatchObject({ status: 400, body: { errcode: 'M_THREEPID_IN_USE' } })
    // Both had asked before either added it.
    const { body } = await ask('account/3pid', letterTo('race@example.org', { client_secret: 'bobs' }))
    await server.confirm()
    await addAddress(alice, 'race@example.org', 'alices')
    const proof = { sid: body.sid, client_secret: 'bobs', auth: passwordAuth(bob) }
    expect(await server.send('POST', '/account/3pid/add', proof, bob.accessToken)).toMatchObject({
      status: 400,
      body: { errcode: 'M_THREEPID_IN_USE' },
    })
  })

  test('nothing that opens something is stored in clear', async () => {
    await ask('account/3pid', letterTo('clear@example.org', { client_secret: 'client-secret-in-clear' }))
    const token = new URL(linkIn(server.letters.at(-1))).searchParams.get('token') ?? ''
    const { results } = await env.DB.prepare('SELECT * FROM email_sessions').all()
    expect(JSON.stringify(results)).toContain('clear@example.org')
    expect(JSON.stringify(results)).not.toContain('client-secret-in-clear')
    expect(token).not.toBe('')
    expect(JSON.stringify(results)).not.toContain(token)
  })
})

describe('attempts', () => {
  test('the same attempt sends one letter and gives one session, a later one sends another', async () => {
    const before = server.letters.length
    const first = await ask('account/3pid', letterTo('attempts@example.org'))
    const same = await ask('account/3pid', letterTo('attempts@example.org'))
    expect(same.body.sid).toBe(first.body.sid)
    expect(server.letters.length - before).toBe(1)
    const old = linkIn(server.letters.at(-1))
    const next = await ask('account/3pid', letterTo('attempts@example.org', { send_attempt: 2 }))
    expect(next.body.sid).toBe(first.body.sid)
    expect(server.letters.length - before).toBe(2)
    // The newest letter is the one that counts.
    const { pathname, search } = new URL(old)
    expect(await server.send('GET', pathname + search)).toMatchObject({ status: 404 })
    const other = await ask('account/3pid', letterTo('attempts@example.org', { client_secret: 'another' }))
    expect(other.body.sid).not.toBe(first.body.sid)
  })

  test('of many at once, one sends', async () => {
    const before = server.letters.length
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => ask('account/3pid', letterTo('parallel@example.org'))),
    )
    expect(new Set(answers.map(({ body }) => body.sid)).size).toBe(1)
    expect(server.letters.length - before).toBe(1)
  })

  test('an attempt whose letter could not be sent may be made again', async () => {
    const open = serverWithMail({ HIDE_KNOWN_ADDRESSES: 'off' })
    open.works = false
    const path = '/account/3pid/email/requestToken'
    expect(await open.send('POST', path, letterTo('broken@example.org'))).toMatchObject({ status: 502 })
    open.works = true
    expect(await open.send('POST', path, letterTo('broken@example.org'))).toMatchObject({ status: 200 })
    expect(open.letters).toHaveLength(1)
  })

  test('nobody gets letters without end', async () => {
    for (let attempt = 1; attempt <= 10; attempt++) {
      expect((await ask('register', letterTo('flood@example.org', { send_attempt: attempt }))).status).toBe(200)
    }
    const more = await ask('register', letterTo('flood@example.org', { client_secret: 'fresh' }))
    expect(more).toMatchObject({ status: 429, body: { errcode: 'M_LIMIT_EXCEEDED' } })
    expect(Number(more.headers.get('Retry-After'))).toBeGreaterThan(0)
    const limited = serverWithMail({ RATE_LIMITS: 'on' })
    let last = 200
    for (let count = 0; count < 12 && last === 200; count++) {
      last = (await limited.send('POST', '/register/email/requestToken', letterTo(`flood${count}@example.org`))).status
    }
    expect(last).toBe(429)
  })
})

describe('removing an address', () => {
  test('it is gone, and nothing was bound elsewhere', async () => {
    await addAddress(bob, 'bob.gone@example.org')
    const address = { medium: 'email', address: 'BOB.gone@example.org' }
    const mallory = await alice.post('/account/3pid/delete', address)
    expect(mallory).toMatchObject({ status: 200, body: { id_server_unbind_result: 'no-support' } })
    expect(await addressesOf(bob)).toContain('email bob.gone@example.org')
    expect(await bob.post('/account/3pid/delete', address)).toMatchObject({ status: 200 })
    expect(await addressesOf(bob)).not.toContain('email bob.gone@example.org')
    expect(await bob.post('/account/3pid/unbind', address)).toMatchObject({
      status: 200,
      body: { id_server_unbind_result: 'no-support' },
    })
  })
})

describe('signing in by address', () => {
  beforeAll(async () => {
    await addAddress(alice, 'signin@example.org')
  })
  const login = (identifier: unknown, password: string) =>
    anonymous.post('/login', { type: 'm.login.password', identifier, password })

  test.each([
    { type: 'm.id.thirdparty', medium: 'email', address: 'signin@example.org' },
    { type: 'm.id.thirdparty', medium: 'email', address: 'SIGNIN@EXAMPLE.ORG' },
    { medium: 'email', address: 'signin@example.org' },
  ])('%j', async (identifier) => {
    expect(await login(identifier, alice.password)).toMatchObject({ status: 200, body: { user_id: alice.userId } })
    expect(await login(identifier, 'wrong')).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
  })

  test('as old clients write it', async () => {
    const body = { type: 'm.login.password', medium: 'email', address: 'signin@example.org', password: alice.password }
    expect(await anonymous.post('/login', body)).toMatchObject({ status: 200 })
  })

  test('an address that nobody has is answered as a wrong password is', async () => {
    const known = await login({ type: 'm.id.thirdparty', medium: 'email', address: 'signin@example.org' }, 'wrong')
    for (const identifier of [
      { type: 'm.id.thirdparty', medium: 'email', address: 'nobody@example.org' },
      { type: 'm.id.thirdparty', medium: 'email', address: 'no address' },
      { type: 'm.id.thirdparty', medium: 'msisdn', address: '123' },
      { type: 'm.id.phone', country: 'GB', phone: '123' },
    ]) {
      expect(await login(identifier, 'wrong')).toMatchObject({ status: known.status, body: known.body })
    }
  })

  test('the password approves what is asked for by address too', async () => {
    const identifier = { type: 'm.id.thirdparty', medium: 'email', address: 'signin@example.org' }
    const { body } = await ask('account/3pid', letterTo('signin2@example.org'))
    await server.confirm()
    const auth = { type: 'm.login.password', identifier, password: alice.password }
    const proof = { sid: body.sid, client_secret: 'secret', auth }
    expect(await server.send('POST', '/account/3pid/add', proof, alice.accessToken)).toMatchObject({ status: 200 })
    expect(await server.send('POST', '/account/3pid/add', proof, bob.accessToken)).toMatchObject({ status: 403 })
  })
})

describe('bad input', () => {
  const bodies: [unknown, string][] = [
    [{}, 'M_MISSING_PARAM'],
    [letterTo('x@example.org', { client_secret: undefined }), 'M_MISSING_PARAM'],
    [letterTo('x@example.org', { client_secret: 'ä' }), 'M_BAD_JSON'],
    [letterTo('x@example.org', { client_secret: '' }), 'M_BAD_JSON'],
    [letterTo('x@example.org', { client_secret: 'x'.repeat(256) }), 'M_BAD_JSON'],
    [letterTo('x@example.org', { send_attempt: '1' }), 'M_BAD_JSON'],
    [letterTo('x@example.org', { send_attempt: 1.5 }), 'M_BAD_JSON'],
    [letterTo('x@example.org', { send_attempt: -1 }), 'M_BAD_JSON'],
    [letterTo('x@example.org', { send_attempt: 1e300 }), 'M_BAD_JSON'],
    [letterTo('x@example.org', { next_link: 'javascript:alert(1)' }), 'M_INVALID_PARAM'],
    [letterTo('x@example.org', { next_link: 'nowhere' }), 'M_INVALID_PARAM'],
    [letterTo('x@example.org', { next_link: 7 }), 'M_BAD_JSON'],
    [letterTo('x@example.org', { id_server: 'vector.im' }), 'M_SERVER_NOT_TRUSTED'],
    ...[
      '',
      'x',
      'x@',
      '@example.org',
      'x@y',
      'a b@example.org',
      'a@example.org\r\nBcc: b@example.org',
      'a@b@example.org',
      'a,b@example.org',
      '"a"@example.org',
      `${'x'.repeat(65)}@example.org`,
      `x@${'y.'.repeat(130)}org`,
      'x@exam\u202eple.org',
    ].map((email): [unknown, string] => [letterTo(email), 'M_INVALID_PARAM']),
    [{ client_secret: 's', email: 7, send_attempt: 1 }, 'M_BAD_JSON'],
    ['[]', 'M_BAD_JSON'],
    ['{', 'M_NOT_JSON'],
  ]
  test.each(['register', 'account/3pid', 'account/password'] as const)('%s/email/requestToken', async (purpose) => {
    const before = server.letters.length
    for (const [body, errcode] of bodies) {
      const answer = await ask(purpose, body)
      expect({ body, status: answer.status, errcode: answer.body }).toMatchObject({
        body,
        errcode: { errcode },
      })
      expect(answer.status).toBe(errcode === 'M_SERVER_NOT_TRUSTED' ? 403 : 400)
    }
    expect(server.letters).toHaveLength(before)
  })

  test.each(['register', 'account/3pid', 'account/password'])('%s/msisdn/requestToken: no phones', async (purpose) => {
    const body = { client_secret: 's', country: 'GB', phone_number: '07700900001', send_attempt: 1 }
    expect(await server.send('POST', `/${purpose}/msisdn/requestToken`, body)).toMatchObject({
      status: 400,
      body: { errcode: 'M_THREEPID_MEDIUM_NOT_SUPPORTED' },
    })
    expect(await server.send('POST', `/${purpose}/msisdn/requestToken`, {})).toMatchObject({
      body: { errcode: 'M_MISSING_PARAM' },
    })
  })

  test.each(['register', 'account/3pid', 'account/password'])('%s: a server without mail says so', async (purpose) => {
    expect(await anonymous.post(`/${purpose}/email/requestToken`, letterTo('x@example.org'))).toMatchObject({
      status: 400,
      body: { errcode: 'M_THREEPID_MEDIUM_NOT_SUPPORTED' },
    })
  })

  test('who asks for the addresses of an account', async () => {
    for (const path of [
      '/account/3pid',
      '/account/3pid/add',
      '/account/3pid/bind',
      '/account/3pid/delete',
      '/account/3pid/unbind',
    ]) {
      const ask = (token?: string) =>
        path === '/account/3pid' ? clientWith(token).get(path) : clientWith(token).post(path, { sid: 's' })
      expect(await ask()).toMatchObject({ status: 401, body: { errcode: 'M_MISSING_TOKEN' } })
      expect(await ask('wrong')).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
      const { body } = await anonymous.post<{ access_token: string }>('/register?kind=guest')
      expect(await ask(body.access_token)).toMatchObject({ body: { errcode: 'M_GUEST_ACCESS_FORBIDDEN' } })
    }
  })

  test.each([
    ['add', {}, 'M_MISSING_PARAM'],
    ['add', { sid: 1, client_secret: 's' }, 'M_BAD_JSON'],
    ['bind', {}, 'M_MISSING_PARAM'],
    ['bind', { client_secret: 's', id_server: 'x', id_access_token: 'x', sid: 's' }, 'M_SERVER_NOT_TRUSTED'],
    ['delete', { medium: 'email' }, 'M_MISSING_PARAM'],
    ['delete', { medium: 'pigeon', address: 'x' }, 'M_BAD_JSON'],
    ['delete', { medium: 'email', address: {} }, 'M_BAD_JSON'],
    ['unbind', { address: 'x' }, 'M_MISSING_PARAM'],
  ])('%s with %j is %s', async (what, body, errcode) => {
    const answer = await server.send('POST', `/account/3pid/${what}`, body, alice.accessToken)
    expect(answer).toMatchObject({ body: { errcode } })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.status).toBeLessThan(500)
  })
})

test('the capability says whether there is mail', async () => {
  const capabilities = { 'm.3pid_changes': { enabled: true } }
  expect(await server.send('GET', '/capabilities', undefined, alice.accessToken)).toMatchObject({
    body: { capabilities },
  })
  expect(await alice.get('/capabilities')).toMatchObject({
    body: { capabilities: { 'm.3pid_changes': { enabled: false } } },
  })
})
