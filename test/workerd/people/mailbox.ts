/** A server that has a mailbox, and what lies in it. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'

import type { JsonObject } from '#protocol/json/json.ts'

import { createApp } from '../../../worker/app.ts'
import type { Env } from '../../../worker/env.ts'
import type { Letter } from '../../../worker/mail/letter.ts'
import { type Answer, serverUrl } from '../client.ts'

export interface MailServer {
  /** What was sent, oldest first. */
  readonly letters: (Letter & { from: string })[]
  /** Whether the carrier takes letters. */
  works: boolean
  readonly send: <Body = JsonObject>(
    method: string,
    path: string,
    body?: unknown,
    token?: string,
  ) => Promise<Answer<Body>>
  /** Opens the link of the newest letter and presses the button. */
  readonly confirm: () => Promise<Answer>
}

/** A server with these settings and a mailbox: same database, same objects as the one that `exports.default` is. */
export function serverWithMail(settings: Readonly<Record<string, unknown>> = {}): MailServer {
  const letters: (Letter & { from: string })[] = []
  const server = { letters, works: true, send, confirm }
  const mailbox = {
    fetch: async (_url: string, init: { body: string }) => {
      if (!server.works) return new Response('', { status: 503 })
      letters.push(JSON.parse(init.body))
      return new Response('')
    },
  }
  const theirs: Env = { ...env, MAIL_FROM: 'Hearth <hearth@test.local>', MAILBOX: mailbox, ...settings } as never

  async function send<Body = JsonObject>(
    method: string,
    path: string,
    body?: unknown,
    token?: string,
  ): Promise<Answer<Body>> {
    const context = createExecutionContext()
    const url = serverUrl + (/^\/[_.]/.test(path) ? path : `/_matrix/client/v3${path}`)
    const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` }
    const text = body instanceof URLSearchParams || typeof body === 'string' ? String(body) : JSON.stringify(body)
    const request = new Request(url, { method, headers, ...(body === undefined ? {} : { body: text }) })
    const response = await createApp().fetch(request, theirs, context)
    const answer = await response.text()
    await waitOnExecutionContext(context)
    const isJson = response.headers.get('Content-Type')?.includes('application/json') ?? false
    const parsed: Body = JSON.parse(isJson ? answer : 'null')
    return { status: response.status, body: parsed, text: answer, headers: response.headers }
  }

  async function confirm() {
    const link = linkIn(letters.at(-1))
    const { pathname, search, searchParams } = new URL(link)
    await send('GET', pathname + search)
    return send('POST', pathname, new URLSearchParams(searchParams))
  }
  return server
}

/** The link of a letter. */
export function linkIn(letter: Letter | undefined): string {
  const link = /^http\S+$/m.exec(letter?.text ?? '')?.[0]
  if (link === undefined) throw new Error('no letter with a link')
  return link
}

/** The body of a request for a letter. */
export function letterTo(email: string, more: Readonly<Record<string, unknown>> = {}) {
  return { client_secret: 'secret', email, send_attempt: 1, ...more }
}
