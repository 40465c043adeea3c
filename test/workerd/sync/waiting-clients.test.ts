/**
 * The waiting design, whole: two hundred clients wait by HTTP, the user's object is evicted under them and runs no more, one
 * message comes, and every one of them gets it. By `/sync` and by sliding sync.
 */
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeAll, expect, test, vi } from 'vitest'

import { login, registerUser, type User } from '../client.ts'
import { messages, newest, slide } from '../sliding-sync/sliding.ts'
import { bodies, createRoom, join, say, sync } from './syncing.ts'

const [deviceCount, perDevice] = [25, 8]
const waitingCount = deviceCount * perDevice
const long = 60_000

let alice: User
let bob: User
let devices: User[]
let room: string

beforeAll(async () => {
  ;[alice, bob] = [await registerUser('many-alice'), await registerUser('many-bob')]
  devices = [bob]
  while (devices.length < deviceCount) devices.push(await login(bob))
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
}, 120_000)

const object = () => env.USER_SYNC.get(env.USER_SYNC.idFromName(bob.userId))
const marks = new WeakSet<object>()
const markObject = () => runInDurableObject(object(), (instance) => void marks.add(instance))
const isMarked = () => runInDurableObject(object(), (instance) => marks.has(instance))
const sockets = () => runInDurableObject(object(), (_, state) => state.getWebSockets().length)

/** Lets them wait, evicts the object, says something, and collects what they got. */
async function wake<T>(waiting: Promise<T>[], text: string): Promise<T[]> {
  await vi.waitFor(async () => expect(await sockets()).toBe(waitingCount), { timeout: long, interval: 50 })
  await markObject()
  await evictDurableObject(object(), { webSockets: 'hibernate' })
  const begun = performance.now()
  await say(alice, room, text)
  const answers = await Promise.all(waiting)
  console.log(`${answers.length} answered ${Math.round(performance.now() - begun)} ms after the message was sent`)
  // Whoever answered was another than the one they had come to.
  expect(await isMarked()).toBe(false)
  await vi.waitFor(async () => expect(await sockets()).toBe(0), { timeout: long, interval: 50 })
  return answers
}

test('by /sync', { timeout: 180_000 }, async () => {
  const { next_batch: since } = await sync(bob)
  const waiting = devices.flatMap((device) =>
    Array.from({ length: perDevice }, () => sync(device, { since, timeout: long })),
  )
  const answers = await wake(waiting, 'wake up')
  expect(answers).toHaveLength(waitingCount)
  for (const { rooms } of answers) expect(bodies(rooms?.join?.[room]?.timeline)).toEqual(['wake up'])
})

test('by sliding sync', { timeout: 180_000 }, async () => {
  const connections = devices.flatMap((device) =>
    Array.from({ length: perDevice }, (_, n) => ({ device, body: { ...newest(5), conn_id: `c${n}` } })),
  )
  const begun = await Promise.all(connections.map(({ device, body }) => slide(device, body)))
  const waiting = connections.map(({ device, body }, n) =>
    slide(device, body, { pos: begun[n]?.pos ?? '', timeout: long }),
  )
  const answers = await wake(waiting, 'you too')
  expect(answers).toHaveLength(waitingCount)
  for (const { rooms } of answers) expect(messages(rooms[room])).toEqual(['you too'])
})
