/** What the interop stories say about people on two servers: few words for what a client does and what it sees. */
import { expect, inject, vi } from 'vitest'

import { type Client, fieldOf, listIn, newClient, sendMessage, text } from '../../scripts/bench/client.ts'
import type { Server } from './setup/servers.ts'

export { createRoom, fieldOf, listIn, text } from '../../scripts/bench/client.ts'

export interface Person extends Client {
  readonly server: Server
  readonly localpart: string
}

/** Room versions and sides: each story is told for all of them. */
export const everyWay = (['10', '11', '12'] as const).flatMap((version) => [
  { version, of: 'Hearth' as const, from: 'Synapse' as const },
  { version, of: 'Synapse' as const, from: 'Hearth' as const },
])

export const told = 'version $version, a room of $of joined from $from'

/** How long to ask again for what must come true; an answer ends the wait. */
export const patience = { timeout: 30_000, interval: 50 }

export function server(kind: Server['kind']): Server {
  return kind === 'Hearth' ? inject('hearth') : inject('synapse')
}

let people = 0
const run = Date.now().toString(36)

/** A new account; the name is only a beginning. */
export async function person(kind: Server['kind'], name: string): Promise<Person> {
  const home = server(kind)
  const localpart = `${name}-${run}-${people++}`
  const client = await newClient(home.base, localpart)
  return { ...client, server: home, localpart }
}

/** See `setup/servers.ts`. */
export async function wire(command: string): Promise<void> {
  const answer = await fetch(`${inject('switchboard')}/${command}`, { method: 'POST' })
  if (!answer.ok) throw new Error(`the switchboard cannot ${command}`)
}

/** The wire is cut while `work` is done. */
export async function whileCut<T>(work: () => Promise<T>): Promise<T> {
  await wire('cut')
  try {
    return await work()
  } finally {
    await wire('heal')
  }
}

export const inRoom = (roomId: string, path: string) => `/rooms/${encodeURIComponent(roomId)}${path}`

/** Joins, with the help of a server that is in the room. */
export async function join(who: Person, roomId: string, over: Person): Promise<void> {
  const { name } = over.server
  await who.call('POST', `/join/${encodeURIComponent(roomId)}?server_name=${name}&via=${name}`, {})
}

export async function knock(who: Person, roomId: string, over: Person): Promise<void> {
  const { name } = over.server
  await who.call('POST', `/knock/${encodeURIComponent(roomId)}?server_name=${name}&via=${name}`, {})
}

/** `invite`, `kick`, `ban` or `unban`. */
export async function treat(who: Person, how: string, roomId: string, whom: Person): Promise<void> {
  await who.call('POST', inRoom(roomId, `/${how}`), { user_id: whom.userId })
}

export async function leave(who: Person, roomId: string): Promise<void> {
  await who.call('POST', inRoom(roomId, '/leave'), {})
}

/** The server refuses, in whatever words. */
export async function forbidden(what: Promise<unknown>): Promise<void> {
  const message = await what.then(
    () => 'done',
    (error: unknown) => String(error),
  )
  expect(message).toContain(': 403 ')
}

export async function setState(who: Person, roomId: string, type: string, content: object, key = ''): Promise<string> {
  const path = inRoom(roomId, `/state/${type}/${encodeURIComponent(key)}`)
  return text((await who.call('PUT', path, content)).json, 'event_id')
}

export async function stateOf(who: Person, roomId: string, type: string, key = ''): Promise<unknown> {
  return (await who.call('GET', inRoom(roomId, `/state/${type}/${encodeURIComponent(key)}`))).json
}

/** A membership as `who` sees it; `none` where there is none. */
export async function membership(who: Person, roomId: string, of: Person): Promise<unknown> {
  const content = await stateOf(who, roomId, 'm.room.member', of.userId).catch((error: unknown) => {
    if (!String(error).includes('404')) throw error
    return { membership: 'none' }
  })
  return fieldOf(content, 'membership')
}

export async function sees(who: Person, roomId: string, of: Person, expected: string): Promise<void> {
  await vi.waitFor(async () => expect(await membership(who, roomId, of)).toBe(expected), patience)
}

/** All state as `who` sees it, sorted: `type|state_key|event_id`. */
export async function wholeState(who: Person, roomId: string): Promise<string[]> {
  const { json } = await who.call('GET', inRoom(roomId, '/state'))
  return (Array.isArray(json) ? json : [])
    .map((event) => ['type', 'state_key', 'event_id'].map((name) => String(fieldOf(event, name))).join('|'))
    .toSorted()
}

export async function agree(roomId: string, one: Person, other: Person): Promise<void> {
  await vi.waitFor(async () => expect(await wholeState(one, roomId)).toEqual(await wholeState(other, roomId)), patience)
}

/** Pages back to the beginning. Events of this type, oldest first. */
export async function history(who: Person, roomId: string, type = 'm.room.message'): Promise<unknown[]> {
  const events: unknown[] = []
  let from = ''
  for (;;) {
    const { json } = await who.call('GET', inRoom(roomId, `/messages?dir=b&limit=100${from}`))
    events.push(...listIn(json, 'chunk'))
    const end = fieldOf(json, 'end')
    if (typeof end !== 'string' || `&from=${end}` === from) break
    from = `&from=${encodeURIComponent(end)}`
  }
  return events.filter((event) => fieldOf(event, 'type') === type).toReversed()
}

/** What was said, oldest first. */
export async function bodies(who: Person, roomId: string): Promise<string[]> {
  const messages = await history(who, roomId)
  return messages.map((event) => String(fieldOf(fieldOf(event, 'content'), 'body')))
}

/** Says these, one after the other; resolves with the event IDs. */
export async function say(who: Person, roomId: string, ...words: string[]): Promise<string[]> {
  const ids: string[] = []
  for (const word of words) ids.push(await sendMessage(who, roomId, word))
  return ids
}

export async function hears(who: Person, roomId: string, word: string): Promise<void> {
  await vi.waitFor(async () => expect(await bodies(who, roomId)).toContain(word), patience)
}

/** They speak until each is heard by the other: a server tries one again that it could not reach when there is news for it. */
export async function bothHeard(roomId: string, one: Person, other: Person): Promise<void> {
  const words = [`${one.localpart} again ${people}`, `${other.localpart} again ${people++}`] as const
  await vi.waitFor(
    async () => {
      await say(one, roomId, words[0])
      await say(other, roomId, words[1])
      expect(await latest(one, roomId)).toContain(words[1])
      expect(await latest(other, roomId)).toContain(words[0])
    },
    { ...patience, interval: 250 },
  )
}

async function latest(who: Person, roomId: string): Promise<unknown[]> {
  const { json } = await who.call('GET', inRoom(roomId, '/messages?dir=b&limit=50'))
  return listAt(json, 'chunk').map((event) => at(event, 'content', 'body'))
}

/** The present position of a person's stream. */
export async function position(who: Person): Promise<string> {
  return text((await who.call('GET', '/sync?timeout=0')).json, 'next_batch')
}

/** Syncs on from a position until one answer has what is looked for, and returns that. */
export async function syncUntil<T>(who: Person, since: string, pick: (json: unknown) => T | undefined): Promise<T> {
  let position = since
  return vi.waitFor(async () => {
    const { json } = await who.call('GET', `/sync?timeout=1000&since=${encodeURIComponent(position)}`)
    position = text(json, 'next_batch')
    const found = pick(json)
    if (found === undefined) throw new Error(`nothing of the kind up to ${position}`)
    return found
  }, patience)
}

/** `at(json, 'rooms', 'invite')`: a field of a field. */
export function at(json: unknown, ...path: string[]): unknown {
  return path.reduce<unknown>(fieldOf, json)
}

/** A list at a path, empty where there is none. */
export function listAt(json: unknown, ...path: string[]): unknown[] {
  const found = at(json, ...path)
  return Array.isArray(found) ? found : []
}
