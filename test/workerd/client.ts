/** Clients for tests: people who talk to the Worker over HTTP, as any client would. */
import type { JsonObject } from '#protocol/json/json.ts'
import { exports } from 'cloudflare:workers'
import { expect } from 'vitest'

export const serverUrl = 'http://test.local'

export interface Answer<Body = JsonObject> {
  readonly status: number
  /** The answer's JSON; null when it is not JSON. */
  readonly body: Body
  readonly text: string
  readonly headers: Headers
}

/** `get<{ chunk: { event_id: string }[] }>(…)` says what the test expects to find. */
export interface Client {
  readonly get: <Body = JsonObject>(path: string) => Promise<Answer<Body>>
  readonly delete: <Body = JsonObject>(path: string, body?: unknown) => Promise<Answer<Body>>
  readonly put: <Body = JsonObject>(path: string, body?: unknown) => Promise<Answer<Body>>
  readonly post: <Body = JsonObject>(path: string, body?: unknown) => Promise<Answer<Body>>
}

export interface User extends Client {
  readonly userId: string
  readonly accessToken: string
  readonly deviceId: string
  readonly password: string
}

interface SignedIn {
  readonly user_id: string
  readonly access_token: string
  readonly device_id: string
}

/** Sends a request. A path that begins with /_ or /. is whole, any other is one of /_matrix/client/v3/. */
export async function send<Body = JsonObject>(
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer<Body>> {
  const url = serverUrl + (/^\/[_.]/.test(path) ? path : `/_matrix/client/v3${path}`)
  const sent = typeof body === 'string' ? body : JSON.stringify(body)
  const request = new Request(url, { method, headers, ...(body === undefined ? {} : { body: sent }) })
  const response = await exports.default.fetch(request)
  const text = await response.text()
  const isJson = response.headers.get('Content-Type')?.includes('application/json') ?? false
  const parsed: Body = JSON.parse(isJson ? text : 'null')
  return { status: response.status, body: parsed, text, headers: response.headers }
}

/** A client with this access token, or with none. A body that is a string is sent as it is. */
export function clientWith(accessToken?: string): Client {
  const headers: Record<string, string> = accessToken === undefined ? {} : { Authorization: `Bearer ${accessToken}` }
  return {
    get: (path) => send('GET', path, undefined, headers),
    delete: (path, body) => send('DELETE', path, body, headers),
    put: (path, body = {}) => send('PUT', path, body, headers),
    post: (path, body = {}) => send('POST', path, body, headers),
  }
}

export const anonymous = clientWith()

/** Makes an account by this localpart; its password is `<name>'s password`. */
export async function registerUser(name: string, more: Readonly<Record<string, unknown>> = {}): Promise<User> {
  const password = `${name}'s password`
  const auth = { type: 'm.login.dummy' }
  const wanted = { username: name, password, auth, ...more }
  const { status, body } = await anonymous.post<SignedIn>('/register', wanted)
  expect({ status, body }).toMatchObject({ status: 200 })
  return userOf(body, password)
}

/** Signs a user in on another device. */
export async function login(user: Pick<User, 'userId' | 'password'>, more: Readonly<Record<string, unknown>> = {}) {
  const identifier = { type: 'm.id.user', user: user.userId }
  const { status, body } = await anonymous.post<SignedIn>('/login', {
    type: 'm.login.password',
    identifier,
    password: user.password,
    ...more,
  })
  expect({ status, body }).toMatchObject({ status: 200 })
  return userOf(body, user.password)
}

/** The `auth` that passes a request for which the server wants the password once more. */
export function passwordAuth(user: User, session?: string) {
  const identifier = { type: 'm.id.user', user: user.userId }
  return {
    type: 'm.login.password',
    identifier,
    password: user.password,
    ...(session === undefined ? {} : { session }),
  }
}

function userOf(body: SignedIn, password: string): User {
  const { user_id: userId, access_token: accessToken, device_id: deviceId } = body
  return { ...clientWith(accessToken), userId, accessToken, deviceId, password }
}
