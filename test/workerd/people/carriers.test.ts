/** Who carries mail, and the settings that say so. */
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, test, vi } from 'vitest'

import type { Env } from '../../../worker/env.ts'
import { fillIn } from '../../../worker/mail/http-mail.ts'
import { confirmForAccount } from '../../../worker/mail/letters.ts'
import { mailerOf } from '../../../worker/mail/mail.ts'
import { settingsOf } from '../../../worker/settings.ts'

const letter = { to: 'alice@example.org', subject: 'Hi', text: 'Hello {{to}} "quoted"\n', html: '<p>Hello</p>' }
const withSettings = (more: Record<string, unknown>): Env => ({ ...env, MAIL_FROM: 'Hearth <h@test.local>', ...more })

afterEach(() => vi.restoreAllMocks())

describe('an HTTP API', () => {
  const answers = (status: number) =>
    vi.spyOn(globalThis, 'fetch').mockImplementation(async () => new Response('{}', { status }))
  const requestOf = (spy: ReturnType<typeof answers>) => {
    const [url, init] = spy.mock.calls[0] ?? []
    return {
      url,
      method: init?.method,
      headers: new Headers(init?.headers),
      body: JSON.parse(typeof init?.body === 'string' ? init.body : ''),
    }
  }

  test('is given a letter in the usual form, with the token as a bearer token', async () => {
    const spy = answers(202)
    const mailer = mailerOf(withSettings({ MAIL_URL: 'https://mail.example/send', MAIL_TOKEN: 'secret' }))
    expect(await mailer?.(letter)).toBe(true)
    const { url, method, headers, body } = requestOf(spy)
    expect({ url, method }).toEqual({ url: 'https://mail.example/send', method: 'POST' })
    expect(headers.get('Authorization')).toBe('Bearer secret')
    expect(body).toEqual({ from: 'Hearth <h@test.local>', ...letter })
  })

  test('is given the link to end letters that come by themselves, and nothing about it with others', async () => {
    const spy = answers(202)
    const form = {
      MAIL_BODY:
        '{"to":"{{to}}","headers":[{"n":"L","v":"<{{unsubscribe}}>"},{"n":"x","v":"y"}],"u":"{{unsubscribe}}"}',
    }
    const url = 'https://test.local/end'
    const sent: unknown[] = []
    for (const more of [{}, form]) {
      for (const each of [letter, { ...letter, unsubscribe: url }]) {
        expect(await mailerOf(withSettings({ MAIL_URL: 'https://mail.example/', ...more }))?.(each)).toBe(true)
        sent.push(requestOf(spy).body)
        spy.mockClear()
      }
    }
    const headers = { 'List-Unsubscribe': `<${url}>`, 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' }
    const other = { n: 'x', v: 'y' }
    expect(sent).toEqual([
      { from: 'Hearth <h@test.local>', ...letter },
      { from: 'Hearth <h@test.local>', ...letter, headers },
      { to: letter.to, headers: [other] },
      { to: letter.to, headers: [{ n: 'L', v: `<${url}>` }, other], u: url },
    ])
  })

  test("is given a letter in the owner's form, with the token where it wants it", async () => {
    const spy = answers(200)
    const template = '{"sender":{"email":"{{from}}"},"to":[{"email":"{{to}}"}],"n":1,"body":"x {{text}} {{unknown}}"}'
    const more = {
      MAIL_URL: 'https://mail.example/',
      MAIL_TOKEN: 't',
      MAIL_TOKEN_HEADER: 'api-key',
      MAIL_BODY: template,
    }
    expect(await mailerOf(withSettings(more))?.(letter)).toBe(true)
    const { headers, body } = requestOf(spy)
    expect(headers.get('api-key')).toBe('t')
    expect(headers.has('Authorization')).toBe(false)
    expect(body).toEqual({
      sender: { email: 'Hearth <h@test.local>' },
      to: [{ email: 'alice@example.org' }],
      n: 1,
      // What a letter holds is not a template.
      body: `x ${letter.text} {{unknown}}`,
    })
  })

  test.each([301, 400, 401, 429, 500])('that answers %i has not taken the letter', async (status) => {
    answers(status)
    vi.spyOn(console, 'error').mockImplementation(() => undefined)
    expect(await mailerOf(withSettings({ MAIL_URL: 'https://mail.example/' }))?.(letter)).toBe(false)
  })

  test('that cannot be reached has not taken the letter, and the log has no letter', async () => {
    vi.spyOn(globalThis, 'fetch').mockRejectedValue(new TypeError('network'))
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    expect(await mailerOf(withSettings({ MAIL_URL: 'https://mail.example/' }))?.(letter)).toBe(false)
    expect(JSON.stringify(log.mock.calls)).not.toContain('Hello')
  })
})

test("Cloudflare's binding is given name and address apart", async () => {
  const send = vi.fn(async () => ({ messageId: '1' }))
  expect(await mailerOf(withSettings({ EMAIL: { send } }))?.(letter)).toBe(true)
  expect(send).toHaveBeenCalledWith({ from: { email: 'h@test.local', name: 'Hearth' }, ...letter })
})

test('without a sender or a carrier there is no mail', () => {
  expect(mailerOf(withSettings({ MAIL_FROM: '' }))).toBeUndefined()
  expect(mailerOf(withSettings({}))).toBeUndefined()
})

test('values cannot change the form of a request', () => {
  expect(fillIn({ a: '{{x}}' }, { x: '","b":"{{x}}' })).toEqual({ a: '","b":"{{x}}' })
})

test('a letter is text and HTML that says the same, and escapes what it was given', () => {
  const { text, html } = confirmForAccount('<b>', 'https://x.example/?a=1&b="2"')
  expect(text).toContain('https://x.example/?a=1&b="2"')
  expect(html).toContain('href="https://x.example/?a=1&amp;b=&quot;2&quot;"')
  expect(html).not.toContain('<b>')
})

test.each([
  [{ MAIL_FROM: 'nobody' }, 'MAIL_FROM'],
  [{ MAIL_FROM: 'a@b\r\nBcc: c@d' }, 'MAIL_FROM'],
  [{ MAIL_FROM: 'Name <a@b' }, 'MAIL_FROM'],
  [{ MAIL_FROM: '', MAIL_URL: 'https://x.example' }, 'MAIL_FROM'],
  [{ MAIL_URL: 'ftp://x.example' }, 'MAIL_URL'],
  [{ MAIL_URL: 'x' }, 'MAIL_URL'],
  [{ MAIL_URL: 'https://x.example', MAIL_BODY: '{' }, 'MAIL_BODY'],
  [{ MAIL_URL: 'https://x.example', MAIL_BODY: '{"to":"{{to}}"' }, 'MAIL_BODY'],
  [{ MAIL_URL: 'https://x.example', MAIL_TOKEN_HEADER: 'a b' }, 'MAIL_TOKEN_HEADER'],
  [{ REGISTRATION_EMAIL: 'maybe' }, 'REGISTRATION_EMAIL'],
  [{ MAIL_FROM: '', REGISTRATION_EMAIL: 'required' }, 'REGISTRATION_EMAIL'],
  [{ HIDE_KNOWN_ADDRESSES: 'yes' }, 'HIDE_KNOWN_ADDRESSES'],
  ...[
    '{',
    '[]',
    '{}',
    '{"a":1}',
    '{"a":{"version":"1"}}',
    '{"a":{"version":1,"en":{"name":"x","url":"https://x"}}}',
    '{"a":{"version":"1","en":{"name":"x"}}}',
    '{"a":{"version":"1","en":{"name":"x","url":"javascript:x"}}}',
  ].map((text): [Record<string, string>, string] => [{ REGISTRATION_TERMS: text }, 'REGISTRATION_TERMS']),
])('%j is refused with one line that names the setting', (settings, name) => {
  expect(() => settingsOf(withSettings(settings))).toThrow(name)
})
