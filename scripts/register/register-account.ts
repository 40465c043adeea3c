/**
 * Makes an account at a running server: with its shared secret, as Synapse's register_new_matrix_user does, or like any
 * client where registration is open or goes by token (spec: client-server-api/#account-registration).
 */
import { createHmac } from 'node:crypto'

export interface NewAccount {
  readonly username: string
  readonly password: string
  readonly admin: boolean
}

export type Outcome =
  | { readonly ok: true; readonly userId: string }
  | { readonly ok: false; readonly message: string; readonly code?: string }

/** Registers through `/_synapse/admin/v1/register`, which whoever knows the secret may call. */
export async function registerWithSecret(url: string, secret: string, account: NewAccount): Promise<Outcome> {
  const address = `${url}/_synapse/admin/v1/register`
  const asked = await call('GET', address)
  const nonce = field(asked.body, 'nonce')
  if (!asked.ok || nonce === undefined) return failure(asked)
  const { username, password, admin } = account
  const mac = createHmac('sha1', secret)
    .update([nonce, username, password, admin ? 'admin' : 'notadmin'].join('\0'))
    .digest('hex')
  return outcome(await call('POST', address, { nonce, username, password, admin, mac }))
}

/** Registers as a client does; `token` where the server wants a registration token. */
export async function registerAsClient(url: string, account: NewAccount, token?: string): Promise<Outcome> {
  const address = `${url}/_matrix/client/v3/register`
  const body = { username: account.username, password: account.password, inhibit_login: true }
  const asked = await call('POST', address, body)
  const session = field(asked.body, 'session')
  if (asked.status !== 401 || session === undefined) return outcome(asked)
  const stage = token === undefined ? { type: 'm.login.dummy' } : { type: 'm.login.registration_token', token }
  let answer = await call('POST', address, { ...body, auth: { ...stage, session } })
  // After the token, a flow may still ask for the stage that anybody passes.
  if (answer.status === 401 && token !== undefined && field(answer.body, 'errcode') === undefined) {
    answer = await call('POST', address, { ...body, auth: { type: 'm.login.dummy', session } })
  }
  return outcome(answer)
}

export interface Answer {
  readonly ok: boolean
  readonly status: number
  readonly body: unknown
}

/** Sends JSON; `body` of the answer is undefined where that is none. */
export async function call(method: string, address: string, body?: object): Promise<Answer> {
  const response = await fetch(address, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
  })
  const text = await response.text()
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    parsed = undefined
  }
  return { ok: response.ok, status: response.status, body: parsed }
}

function outcome(answer: Answer): Outcome {
  const userId = field(answer.body, 'user_id')
  return answer.ok && userId !== undefined ? { ok: true, userId } : failure(answer)
}

function failure(answer: Answer): Outcome {
  const code = field(answer.body, 'errcode')
  return { ok: false, message: failureText(answer), ...(code && { code }) }
}

/** Why the server refuses, for the person at the terminal. */
export function failureText({ status, body }: Answer): string {
  const message = field(body, 'error') ?? 'the server wants something else than this command can give'
  return `${message} (${[status, field(body, 'errcode')].filter(Boolean).join(' ')})`
}

/** A text of a JSON object. */
export function field(body: unknown, name: string): string | undefined {
  const value: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined
  return typeof value === 'string' ? value : undefined
}
