/**
 * Servers that mean no good, written by us: they sign with keys of their own, tell rooms as they like, and answer what they
 * want when they are asked. Their names have ports, so that finding them takes no lookup.
 */
import { type ServerName } from '#protocol/identifiers/server-name.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { canonicalJsonLoose } from '#protocol/json/canonical-json.ts'
import { isObject, type JsonObject, type JsonValue } from '#protocol/json/json.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { signJson } from '#protocol/signing/sign-json.ts'
import { env } from 'cloudflare:workers'
import { vi } from 'vitest'

import { authorization } from '../../../worker/federation-client/signed-fetch.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { keyOf, type RoomTimeline, timeline } from '../../dsl/room-timeline.ts'
import { user } from '../../dsl/users.ts'
import { send, type Answer } from '../client.ts'

export interface Asked {
  readonly method: string
  readonly url: URL
  readonly server: string
  readonly body: JsonObject
}
type Answering = (asked: Asked) => Response | Promise<Response> | undefined

/** By a part of the path, the answers of all servers. Keys are published by everybody; all else is not found. */
export function serversAnswer(answers: Readonly<Record<string, Answering>>): Asked[] {
  const log: Asked[] = []
  vi.restoreAllMocks()
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input.toString())
    const text = init?.body === undefined || init.body === null ? '{}' : await new Response(init.body).text()
    const body: unknown = JSON.parse(text)
    const asked = {
      method: init?.method ?? 'GET',
      url,
      server: url.host,
      body: isObject(body) ? body : {},
    }
    log.push(asked)
    for (const [part, answer] of Object.entries(answers)) {
      const response = url.pathname.includes(part) ? await answer(asked) : undefined
      if (response) return response
    }
    if (url.pathname.endsWith('/key/v2/server')) return Response.json(publishedKeys(url.host))
    return Response.json({ errcode: 'M_NOT_FOUND', error: 'nothing here' }, { status: 404 })
  })
  return log
}

/** What a server says of its keys, signed. */
export function publishedKeys(server: string, more: JsonObject = {}): JsonObject {
  const key = keyOf(server)
  const keys = {
    server_name: server,
    valid_until_ts: Date.now() + 86_400_000,
    verify_keys: { [key.keyId]: { key: encodeBase64Unpadded(key.publicKey) } },
    old_verify_keys: {},
    ...more,
  }
  return signJson(keys, server, key, nodeCrypto)
}

let servers = 0
/** A user of a server that nobody has met. */
export function stranger(name = 'mallory'): UserId {
  return user(`@${name}:evil${(servers += 1)}.test:8448`)
}

/** Another user of the same server. */
export const neighbour = (of: UserId, name: string): UserId => user(`@${name}:${serverNameOf(of)}`)

/** A room that began on a stranger's server, where anybody may join. */
export function strangeRoom(version: RoomVersion, creator = stranger()): { room: RoomTimeline; creator: UserId } {
  return { room: timeline(version).publicChat({ creator }), creator }
}

const roomFor = (room: RoomTimeline): JsonObject[] =>
  [...room.state.values()].map((id) => room.lookupAny(id)?.pdu.json ?? {})

/** What a resident server would answer to our join: template, state, auth chain. Each part may be said otherwise. */
export interface Resident {
  readonly template?: (event: JsonObject) => JsonObject
  readonly version?: string
  readonly state?: (honest: JsonObject[]) => unknown[]
  readonly authChain?: (honest: JsonObject[]) => unknown[]
  readonly more?: JsonObject
  readonly body?: (honest: JsonObject) => Response
}

/** Lets a server be resident in the room, truthfully but for what is said otherwise. */
export function residentOf(room: RoomTimeline, lies: Resident = {}): Record<string, Answering> {
  const make = (membership: string) => (asked: Asked) => {
    const sender = decodeURIComponent(asked.url.pathname.split('/').at(-1) ?? '')
    const draft = room.draft('m.room.member', sender, { membership }, user(sender)).json
    const { hashes: _, signatures: __, event_id: ___, ...event } = draft
    return Response.json({
      room_version: lies.version ?? room.rules.version,
      event: lies.template ? lies.template(event) : event,
    })
  }
  return {
    '/make_join/': make('join'),
    '/make_leave/': make('leave'),
    '/make_knock/': make('knock'),
    '/send_knock/': () => Response.json({ knock_room_state: [] }),
    '/send_leave/': () => Response.json({}),
    '/send_join/': ({ server, body }) => {
      const state = roomFor(room)
      const chain = room.events.map(({ pdu }) => pdu.json)
      const answer = {
        origin: server,
        event: body,
        state: lies.state ? lies.state(state) : state,
        auth_chain: lies.authChain ? lies.authChain(chain) : chain,
        ...lies.more,
      }
      const plain: JsonObject = JSON.parse(JSON.stringify(answer))
      return lies.body ? lies.body(plain) : Response.json(plain)
    },
  }
}

const here = serverNameOf(user(`@x:${env.SERVER_NAME}`))

/** A request of a server to ours, signed with its key, or with that of `signer` in its name. */
export function askAs<Body = JsonObject>(
  server: ServerName,
  method: 'GET' | 'PUT' | 'POST',
  path: string,
  body?: JsonObject,
  signer: ServerName = server,
): Promise<Answer<Body>> {
  const whole = path.startsWith('/_') ? path : `/_matrix/federation/v1${path}`
  const request = { destination: here, method, path: whole, ...(body ? { body } : {}) }
  const header = authorization(request, { serverName: server, key: keyOf(signer), crypto: nodeCrypto })
  return send<Body>(method, whole, body && canonicalJsonLoose(body), { Authorization: header })
}

let transactions = 0
/** A transaction; the answer's `pdus`. */
export async function transact(
  server: ServerName,
  { pdus = [], edus = [] }: { readonly pdus?: readonly JsonValue[]; readonly edus?: readonly JsonValue[] },
): Promise<Answer<{ pdus: Record<string, { error?: string }> }>> {
  const body = { origin: server, origin_server_ts: 1, pdus, edus }
  return askAs(server, 'PUT', `/send/h${(transactions += 1)}`, body)
}
