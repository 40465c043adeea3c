/** What other servers cost: taking their events in, joining their rooms, and telling them ours while some are dead. */
import type { ServerResponse } from 'node:http'

import { parsePdu } from '../../../worker/protocol/events/event-format.ts'
import { rulesOf } from '../../../worker/protocol/room-versions/rules.ts'
import { isObject, type JsonObject } from '../../../worker/protocol/json/json.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { type Client, fieldOf, newClient, sendMessage } from '../client.ts'
import { type FabricatedRoom, fabricateRoom } from '../foreign/fabricated-room.ts'
import { askAs, type ForeignRequest, type ForeignServer, ForeignServers } from '../foreign/foreign-server.ts'
import { measure, measureUse, type Row } from '../measure.ts'
import { memoryOf } from '../process-tree.ts'
import { type Bench, serverName, type Target } from '../setting.ts'

/** How long the last of the living servers is waited for, in ms. */
const patience = 180_000

/** The rooms by ID, and how many events arrived at each server. */
export interface Abroad {
  readonly servers: ForeignServers
  readonly home: ForeignServer
  readonly rooms: Map<string, FabricatedRoom>
  readonly arrived: Map<string, number>
  /** Nobody is told a state, but with a join. */
  isSilent: boolean
  /** Called with each transaction. */
  onArrival: () => void
}

/** Events of another server, taken in. */
export const inbound = (bench: Bench) => traveller(bench, takingIn)
/** Rooms of other servers, entered. */
export const joins = (bench: Bench) => traveller(bench, entering)
/** Our events, told to others. */
export const outbound = (bench: Bench) => traveller(bench, telling)

async function* traveller(
  bench: Bench,
  part: (bench: Bench, abroad: Abroad, client: Client) => AsyncGenerator<Row>,
): AsyncGenerator<Row> {
  const abroad = await goAbroad()
  try {
    yield* part(bench, abroad, await newClient(bench.server.url, `traveller${(travellers += 1)}`))
  } finally {
    abroad.servers.end()
  }
}

let travellers = 0

async function* entering(bench: Bench, abroad: Abroad): AsyncGenerator<Row> {
  for (const size of bench.sizes.joins) yield await joining(bench, abroad, size)
}

export async function goAbroad(): Promise<Abroad> {
  const rooms = new Map<string, FabricatedRoom>()
  const arrived = new Map<string, number>()
  const servers = new ForeignServers((asked, response) => answer(abroad, asked, response))
  const abroad: Abroad = {
    servers,
    home: await servers.start(),
    rooms,
    arrived,
    isSilent: false,
    onArrival: () => undefined,
  }
  return abroad
}

async function answer(abroad: Abroad, { method, url, server, body }: ForeignRequest, response: ServerResponse) {
  const [kind = '', roomId = '', last = ''] = url.pathname.split('/').slice(4).map(decodeURIComponent)
  const room = abroad.rooms.get(roomId)
  if (kind === 'make_join' && room) return { room_version: '11', event: room.template(last) }
  if (kind === 'send_join' && room) {
    const event: unknown = JSON.parse((await body()).toString())
    const rules = rulesOf('11')
    const parsed = rules && parsePdu(rules, event, nodeCrypto)
    if (!parsed?.ok) return undefined
    room.goOnFrom(parsed.pdu.json, parsed.pdu.event_id)
    const isPartial = url.searchParams.get('omit_members') === 'true'
    const more = isPartial ? { members_omitted: true, servers_in_room: [server.name] } : { members_omitted: false }
    const head = { origin: server.name, event: parsed.pdu.json, ...more }
    await writeState(response, head, 'state', isPartial ? room.core : room)
    return 'answered'
  }
  if (kind.startsWith('state') && abroad.isSilent) return undefined
  if (kind === 'state_ids' && room) return { pdu_ids: [...room.stateIds], auth_chain_ids: [...room.authChainIds] }
  if (kind === 'state' && room) {
    await writeState(response, {}, 'pdus', room)
    return 'answered'
  }
  // The event before the join: a membership.
  if (kind === 'event') return { origin: server.name, pdus: eventsOf(abroad, roomId) }
  if (kind === 'send' && method === 'PUT') {
    const transaction: unknown = JSON.parse((await body()).toString())
    const pdus = fieldOf(transaction, 'pdus')
    const count = Array.isArray(pdus) ? pdus.length : 0
    abroad.arrived.set(server.name, (abroad.arrived.get(server.name) ?? 0) + count)
    abroad.onArrival()
    return { pdus: {} }
  }
  return undefined
}

/** An event of the state by its ID, which stands where a path of a room has the room's. */
function eventsOf({ rooms }: Abroad, eventId: string): JsonObject[] {
  for (const { state, stateIds } of rooms.values()) {
    const json = state[stateIds.findIndex((id) => id === eventId)]
    if (json !== undefined) return [JSON.parse(json)]
  }
  return []
}

async function writeState(
  response: ServerResponse,
  head: JsonObject,
  name: 'state' | 'pdus',
  room: FabricatedRoom['core'],
): Promise<void> {
  const write = async (text: string) => {
    if (!response.write(text)) await new Promise((resolve) => response.once('drain', resolve))
  }
  const list = async (events: readonly string[]) => {
    for (let at = 0; at < events.length; at += 500) {
      await write((at === 0 ? '' : ',') + events.slice(at, at + 500).join(','))
    }
  }
  response.writeHead(200, { 'Content-Type': 'application/json' })
  const fields = JSON.stringify(head).slice(1, -1)
  await write(`{${fields}${fields === '' ? '' : ','}"${name}":[`)
  await list(room.state)
  await write('],"auth_chain":[')
  await list(room.authChain)
  response.end(']}')
}

/** A fabricated room that this client has joined, and of which our server knows all members. */
export async function joined(abroad: Abroad, client: Client, room: FabricatedRoom): Promise<void> {
  await enter(abroad, client, room)
  await whole(client, room)
}

/** Asks to be let in, no more: who is there comes afterwards. */
export async function enter(abroad: Abroad, client: Client, room: FabricatedRoom): Promise<void> {
  abroad.rooms.set(room.roomId, room)
  await client.call('POST', `/join/${encodeURIComponent(room.roomId)}?server_name=${abroad.home.name}`, {})
}

/** Until all members are known: nobody is told who is banned before that. */
export async function whole(client: Client, { roomId }: FabricatedRoom): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await client.call('GET', `/rooms/${encodeURIComponent(roomId)}/members?membership=ban`)
      return
    } catch (error) {
      if (tries > 20) throw error
    }
  }
}

/** Tells our server of events in a transaction, none of which it may refuse. */
export async function tell(abroad: Abroad, { url }: Target, txnId: string, pdus: readonly JsonObject[]): Promise<void> {
  const ours = { base: url, destination: serverName }
  const content = { origin: abroad.home.name, origin_server_ts: 1, pdus }
  const said = await askAs(abroad.home, ours, 'PUT', `/_matrix/federation/v1/send/${txnId}`, content)
  const refused = Object.values(Object(fieldOf(said, 'pdus'))).filter((result) => isObject(result) && 'error' in result)
  if (refused.length > 0) throw new Error(`refused: ${JSON.stringify(refused[0])}`)
}

async function* takingIn({ server, sizes }: Bench, abroad: Abroad, client: Client): AsyncGenerator<Row> {
  const room = fabricateRoom([abroad.home], 1000)
  await joined(abroad, client, room)
  const batches = Array.from({ length: sizes.transactions }, () =>
    Array.from({ length: 50 }, (_, n) => room.send('m.room.message', { msgtype: 'm.text', body: `event ${n}` }).json),
  )
  const row = await measureUse(server, {
    name: 'transaction of 50 PDUs, room of 1,000',
    count: batches.length,
    run: async (n) => tell(abroad, server, `bench${n}`, batches[n] ?? []),
  })
  yield { ...row, note: `${(row.perSecond * 50).toFixed(0)} PDUs/s` }
}

async function joining({ server }: Bench, abroad: Abroad, size: number): Promise<Row> {
  const room = fabricateRoom([abroad.home], size)
  // Making it took so long that connections were closed meanwhile, which this process is still to hear of.
  await new Promise((resolve) => setTimeout(resolve, 500))
  const newcomer = await newClient(server.url, `newcomer${size}`)
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, memoryOf(server.pid))
  }, 250)
  let shown = 0
  const row = await measure({
    name: `join of a room of ${size} state events`,
    pid: server.pid,
    count: 1,
    run: async () => {
      const begun = performance.now()
      await enter(abroad, newcomer, room)
      const filter = JSON.stringify({ room: { state: { lazy_load_members: true } } })
      const { json } = await newcomer.call('GET', `/sync?timeout=0&filter=${encodeURIComponent(filter)}`)
      if (!JSON.stringify(json).includes(room.roomId)) throw new Error('the room is not in the first sync')
      shown = performance.now() - begun
      await whole(newcomer, room)
      return performance.now() - begun
    },
  })
  clearInterval(watch)
  abroad.rooms.delete(room.roomId)
  return { ...row, note: `${(shown / 1000).toFixed(1)} s until the first sync shows it, peak ${peak.toFixed(0)} MiB` }
}

async function* telling({ server, sizes }: Bench, abroad: Abroad, client: Client): AsyncGenerator<Row> {
  for (const destinations of [1, sizes.destinations]) {
    const dead = destinations === 1 ? 0 : Math.floor(destinations / 4)
    const all = [abroad.home]
    while (all.length < destinations) all.push(await abroad.servers.start())
    const room = fabricateRoom(all, destinations + 6)
    await joined(abroad, client, room)
    const living = all.slice(0, destinations - dead)
    for (const server of all.slice(living.length)) await abroad.servers.die(server)
    const count = Math.max(50, Math.floor(sizes.outbound / destinations))
    abroad.arrived.clear()
    const row = await measure({
      name: `events out to ${destinations} servers${dead === 0 ? '' : `, ${dead} of them dead`}`,
      pid: server.pid,
      count: 1,
      run: async () => {
        const isThere = () => living.every(({ name }) => (abroad.arrived.get(name) ?? 0) >= count)
        const told = new Promise<void>((resolve) => {
          abroad.onArrival = () => isThere() && resolve()
          setTimeout(resolve, patience).unref()
        })
        const senders = Array.from({ length: 8 }, async (_, sender) => {
          for (let n = sender; n < count; n += 8) await sendMessage(client, room.roomId, `outbound ${n}`)
        })
        await Promise.all([...senders, told])
      },
    })
    const told = living.map(({ name }) => Math.min(count, abroad.arrived.get(name) ?? 0))
    const perSecond = (row.perSecond * told.reduce((sum, each) => sum + each, 0)).toFixed(0)
    const complete = told.filter((each) => each === count).length
    yield { ...row, note: `${count} events, ${perSecond} told/s; ${complete} of ${living.length} have all` }
  }
}
