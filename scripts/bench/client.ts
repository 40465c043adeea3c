/** The least of a Matrix client that a benchmark needs. Keeps its connections open; any error ends the benchmark. */
import { Agent, request } from 'node:http'

export interface Client {
  readonly userId: string
  readonly deviceId: string
  readonly accessToken: string
  call(method: string, path: string, body?: object): Promise<Answer>
}

export interface Answer {
  readonly bytes: number
  readonly json: unknown
}

const agent = new Agent({ keepAlive: true, maxSockets: Infinity })

const password = 'the password of all'

/** Registers an account and returns a client signed in to it. */
export async function newClient(base: string, username: string): Promise<Client> {
  const auth = { type: 'm.login.dummy' }
  return clientOf(
    base,
    await send(base, 'POST', '/_matrix/client/v3/register', undefined, { username, password, auth }),
  )
}

/** An account without a name or a password. */
export async function newGuest(base: string): Promise<Client> {
  return clientOf(base, await send(base, 'POST', '/_matrix/client/v3/register?kind=guest', undefined, {}))
}

/** Signs in to an account that `newClient` made. */
export async function signIn(base: string, username: string): Promise<Client> {
  const body = { type: 'm.login.password', identifier: { type: 'm.id.user', user: username }, password }
  return clientOf(base, await send(base, 'POST', '/_matrix/client/v3/login', undefined, body))
}

function clientOf(base: string, { json }: Answer): Client {
  const token = text(json, 'access_token')
  return {
    userId: text(json, 'user_id'),
    deviceId: text(json, 'device_id'),
    accessToken: token,
    call: (method, path, body) => send(base, method, `/_matrix/client/v3${path}`, token, body),
  }
}

/** A request of a client to a path that is not below `/_matrix/client/v3`. */
export function wholePath(base: string, client: Client, method: string, path: string, body?: object): Promise<Answer> {
  return send(base, method, path, client.accessToken, body)
}

/** A request to a server that is no homeserver. */
export function plain(
  base: string,
  method: string,
  path: string,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return send(base, method, path, undefined, body, headers)
}

export async function createRoom(client: Client, body: object = { preset: 'public_chat' }): Promise<string> {
  return text((await client.call('POST', '/createRoom', body)).json, 'room_id')
}

let transaction = 0

export async function sendMessage(client: Client, roomId: string, body: string): Promise<string> {
  const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/bench${transaction++}`
  return text((await client.call('PUT', path, { msgtype: 'm.text', body })).json, 'event_id')
}

/** A field of an answer, whatever it may be. */
export function fieldOf(json: unknown, name: string): unknown {
  return typeof json === 'object' && json !== null ? Reflect.get(json, name) : undefined
}

/** A field of an answer that must be a list. */
export function listIn(json: unknown, name: string): unknown[] {
  const value = fieldOf(json, name)
  if (!Array.isArray(value)) throw new Error(`the answer has no list ${name}: ${JSON.stringify(json)}`)
  return value
}

/** A field of an answer that must be text. */
export function text(json: unknown, name: string): string {
  const value = fieldOf(json, name)
  if (typeof value !== 'string') throw new Error(`the answer has no ${name}: ${JSON.stringify(json)}`)
  return value
}

function send(
  base: string,
  method: string,
  path: string,
  token?: string,
  body?: object,
  more: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      `${base}${path}`,
      {
        agent,
        method,
        headers: {
          ...more,
          ...(token !== undefined && { Authorization: `Bearer ${token}` }),
          ...(body && { 'Content-Type': 'application/json' }),
        },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const bytes = Buffer.concat(chunks)
          if (response.statusCode === 200) resolve({ bytes: bytes.length, json: JSON.parse(bytes.toString()) })
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${bytes.toString()}`))
        })
      },
    )
    sent.on('error', reject)
    sent.end(body && JSON.stringify(body))
  })
}
