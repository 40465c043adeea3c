/** Another server, for tests: it asks ours with its signature, and answers what ours asks it. */
import type { JsonObject } from '#protocol/json/json.ts'
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'
import { canonicalJsonLoose } from '#protocol/json/canonical-json.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { type RoomVersion, roomVersions, rulesOf } from '#protocol/room-versions/rules.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { env } from 'cloudflare:workers'
import { expect, vi } from 'vitest'

import { authorization } from '../../../worker/federation-client/signed-fetch.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { type Answer, anonymous, send } from '../client.ts'

export function nameOf(text: string): ServerName {
  const name = parseServerName(text)
  if (!name) throw new TypeError(text)
  return name
}
const here = nameOf(env.SERVER_NAME)

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly body: JsonObject | undefined
}
/** What a server answers: JSON, a response, or nothing at all for what it does not know. */
export type Reply = (asked: Asked) => object | undefined | Promise<object | undefined>

export interface OtherServer {
  readonly name: ServerName
  readonly identity: { readonly serverName: ServerName; readonly key: ReturnType<typeof signingKeyOf> }
  /** Asks our server, signed. A path that begins with /_ is whole, any other is one of /_matrix/federation/v1. */
  ask<Body = JsonObject>(method: 'GET' | 'PUT' | 'POST', path: string, body?: JsonObject): Promise<Answer<Body>>
}

/** A server whose key ours knows. With a port in its name nobody looks for it elsewhere. */
export async function otherServer(text: string): Promise<OtherServer> {
  const name = nameOf(text)
  const seed = new TextEncoder().encode(text.padEnd(32, '.').slice(0, 32))
  const key = signingKeyOf('ed25519:k', seed)
  // The tables are made by the first request.
  await anonymous.get('/_matrix/client/versions')
  const values = [name, key.keyId, encodeBase64Unpadded(key.publicKey), Date.now() + 3_600_000, 0, Date.now()]
  await env.DB.prepare(
    'INSERT OR REPLACE INTO remote_server_keys(server_name, key_id, public_key, valid_until_ts, expired, fetched_at) VALUES (?, ?, ?, ?, ?, ?)',
  )
    .bind(...values)
    .run()
  return {
    name,
    identity: { serverName: name, key },
    ask: (method, path, body) => {
      const whole = path.startsWith('/_') ? path : `/_matrix/federation/v1${path}`
      const request = { destination: here, method, path: whole, ...(body ? { body } : {}) }
      const header = authorization(request, { serverName: name, key, crypto: nodeCrypto })
      return send(method, whole, body && canonicalJsonLoose(body), { Authorization: header })
    },
  }
}

/** From now on these servers answer; all others cannot be reached. Gives the list of what they are asked, as it grows. */
export function serversAnswer(servers: Readonly<Record<string, Reply>>): string[] {
  const asked: string[] = []
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const request = new Request(input, init)
    const url = new URL(request.url)
    const text = await request.text()
    asked.push(`${request.method} ${url.host}${decodeURIComponent(url.pathname)}`)
    const reply = Object.hasOwn(servers, url.host) ? servers[url.host] : undefined
    if (!reply) throw new TypeError('nothing listens there')
    const body = text === '' ? undefined : JSON.parse(text)
    const path = decodeURIComponent(url.pathname)
    const answer = await reply({ method: request.method, path, query: url.searchParams, body })
    if (answer instanceof Response) return answer
    return answer
      ? Response.json(answer)
      : Response.json({ errcode: 'M_UNRECOGNIZED', error: 'not here' }, { status: 404 })
  })
  return asked
}

/** What that server makes of a template: an event with hash and signature. */
export function signedBy({ identity }: OtherServer, version: RoomVersion, template: JsonObject) {
  const rules = rulesOf(version)
  if (!rules) throw new TypeError(version)
  const parsed = parsePdu(rules, signEvent(rules, template, identity.serverName, identity.key, nodeCrypto), nodeCrypto)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.pdu
}

/** Joins a user of that server to a room of ours. */
export async function joinOver(server: OtherServer, userId: string, roomId: string): Promise<Pdu> {
  const [id, member] = [encodeURIComponent(roomId), encodeURIComponent(userId)]
  const versions = roomVersions.map((version) => `ver=${version}`).join('&')
  const made = await server.ask<{ room_version: RoomVersion; event: JsonObject }>(
    'GET',
    `/make_join/${id}/${member}?${versions}`,
  )
  expect(made).toMatchObject({ status: 200 })
  const pdu = signedBy(server, made.body.room_version, made.body.event)
  const path = `/_matrix/federation/v2/send_join/${id}/${encodeURIComponent(pdu.event_id)}`
  expect(await server.ask('PUT', path, pdu.json)).toMatchObject({ status: 200 })
  return pdu
}
