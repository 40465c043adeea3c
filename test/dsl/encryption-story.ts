/**
 * Encryption as people meet it, on whatever servers: two users with two devices each, verified by emoji, an encrypted room, a
 * member who comes later, servers that die, a link that is cut, devices that are added and removed, a backup restored on a
 * fresh device, a dehydrated device that heard what no client did. What was said is read by every device.
 */
import { type MatrixClient, Preset } from 'matrix-js-sdk'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import {
  bodiesOf,
  cryptoOf,
  decryptAgain,
  newDevice,
  type Person,
  register,
  setUpKeys,
  unreadable,
  verify,
  within,
} from './encrypting-client.ts'

const patience = { timeout: 60_000, interval: 100 }

/** The servers of a story: Alice is on the first, Bob and Carol are on the last, which may be the same. */
export interface Homes {
  /** Where clients reach them. */
  readonly first: string
  readonly last: string
  /** Kills a server without a word; starts it again where it was. */
  kill(base: string): Promise<unknown>
  start(base: string): Promise<unknown>
  /** Does something while neither server can reach the other, where there are two. */
  readonly whileCut?: <T>(work: () => Promise<T>) => Promise<T>
  end(): Promise<unknown>
}

interface Step {
  readonly timeout: number
  /** Whether it can be told of these servers. */
  readonly tells?: () => boolean
  readonly work: () => Promise<void>
}

/** Tells the story. `messages`: how many are said while servers die three times. */
export function tellEncryptionStory(open: () => Promise<Homes>, messages: number): void {
  const clients: MatrixClient[] = []
  const steps: Step[] = []
  let homes: Homes
  let people: { alice: Person; bob: Person; carol: Person }
  let alice: MatrixClient
  let alice2: MatrixClient
  let bob: MatrixClient
  let bob2: MatrixClient
  let roomId: string
  let said: string[] = []

  beforeAll(async () => {
    for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
      vi.spyOn(console, level).mockReturnValue()
    homes = await open()
    await begin()
  }, 60_000)
  afterAll(async () => {
    for (const client of clients) client.stopClient()
    await homes.end()
  }, 60_000)

  /** Nothing has happened yet, to people who are new on their servers. Who was there before stays, and says no more. */
  async function begin(): Promise<void> {
    said = []
    const run = Date.now().toString(36)
    people = {
      alice: { base: homes.first, name: `alice-${run}`, paper: {} },
      bob: { base: homes.last, name: `bob-${run}`, paper: {} },
      carol: { base: homes.last, name: `carol-${run}`, paper: {} },
    }
    for (const person of Object.values(people)) await register(person)
  }

  /** A step builds on those before it: where it is tried again, the story is told from its beginning. */
  function step(name: string, options: Omit<Step, 'work'>, work: Step['work']): void {
    const earlier = [...steps]
    const { tells = () => true } = options
    steps.push({ ...options, work })
    const timeout = steps.reduce((sum, each) => sum + each.timeout, 60_000)
    test(name, { timeout }, async ({ task, skip }) => {
      if (!tells()) return skip('not with one server')
      if ((task.result?.retryCount ?? 0) > 0) {
        await begin()
        for (const each of earlier) if (each.tells?.() !== false) await within(each.timeout, name, each.work())
      }
      await within(options.timeout, name, work())
    })
  }

  async function device(person: Person): Promise<MatrixClient> {
    const client = await newDevice(person)
    clients.push(client)
    return client
  }

  async function say(client: MatrixClient, body: string): Promise<void> {
    await client.sendTextMessage(roomId, body)
    said.push(body)
  }

  /** All these devices read everything that was said from `from` on; clients put what they sent themselves anywhere. */
  async function allRead(devices: readonly MatrixClient[], from = 0): Promise<void> {
    for (const client of devices) {
      const message = `what ${client.getSafeUserId()} reads at ${client.baseUrl}, device ${devices.indexOf(client) + 1}`
      await expect
        .poll(
          async () => {
            await decryptAgain(client, roomId)
            return bodiesOf(client, roomId)
              .slice(-(said.length - from))
              .toSorted()
          },
          { ...patience, message },
        )
        .toEqual(said.slice(from).toSorted())
    }
  }

  function stop(client: MatrixClient): void {
    client.stopClient()
    clients.splice(clients.indexOf(client), 1)
  }

  step('each sets up keys on a first device and verifies a second one by emoji', { timeout: 120_000 }, async () => {
    alice = await device(people.alice)
    await setUpKeys(alice, people.alice)
    bob = await device(people.bob)
    await setUpKeys(bob, people.bob)
    for (const [first, person] of [
      [alice, people.alice],
      [bob, people.bob],
    ] as const) {
      const second = await device(person)
      await verify(first, () => cryptoOf(second).requestOwnUserVerification())
      await expect.poll(() => cryptoOf(second).isCrossSigningReady(), patience).toBe(true)
      await expect.poll(() => cryptoOf(second).getSessionBackupPrivateKey(), patience).not.toBeNull()
      if (person === people.alice) alice2 = second
      else bob2 = second
    }
  })

  step('in an encrypted room everybody reads everything on every device', { timeout: 120_000 }, async () => {
    const made = await alice.createRoom({
      preset: Preset.TrustedPrivateChat,
      invite: [bob.getSafeUserId()],
      initial_state: [
        { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
        { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'shared' } },
      ],
    })
    roomId = made.room_id
    await expect.poll(() => bob.getRoom(roomId)?.getMyMembership(), patience).toBe('invite')
    await bob.joinRoom(roomId)
    for (const client of [alice, alice2, bob, bob2]) {
      await expect.poll(() => client.getRoom(roomId)?.getJoinedMemberCount(), patience).toBe(2)
    }
    await say(alice, 'hello, in private')
    await say(bob2, 'hello from my second device')
    await allRead([alice, alice2, bob, bob2])
  })

  step('Alice and Bob verify each other, which each other device sees', { timeout: 120_000 }, async () => {
    await verify(bob, () => cryptoOf(alice).requestVerificationDM(bob.getSafeUserId(), roomId))
    for (const [client, other] of [
      [alice, bob],
      [alice2, bob],
      [bob, alice],
      [bob2, alice],
    ] as const) {
      const status = async () => {
        const known = await cryptoOf(client).getUserVerificationStatus(other.getSafeUserId())
        return known.isCrossSigningVerified()
      }
      await expect.poll(status, patience).toBe(true)
    }
  })

  step('a third member reads from when they came', { timeout: 120_000 }, async () => {
    const carol = await device(people.carol)
    await alice.invite(roomId, carol.getSafeUserId())
    await expect.poll(() => carol.getRoom(roomId)?.getMyMembership(), patience).toBe('invite')
    await carol.joinRoom(roomId)
    for (const client of [alice, bob2]) {
      await expect.poll(() => client.getRoom(roomId)?.getJoinedMemberCount(), patience).toBe(3)
    }
    const from = said.length
    await say(alice, 'welcome Carol')
    await say(bob2, 'yes, welcome')
    await allRead([alice, alice2, bob, bob2])
    await allRead([carol], from)
    await carol.leave(roomId)
    for (const client of [alice, bob2]) {
      await expect.poll(() => client.getRoom(roomId)?.getJoinedMemberCount(), patience).toBe(2)
    }
    await say(alice, 'Carol must not read this')
    await allRead([alice, alice2, bob, bob2])
    stop(carol)
  })

  step('servers die and come back, and nothing becomes unreadable', { timeout: 900_000 }, async () => {
    const senders = [alice, bob, alice2, bob2]
    const restarts = [0.25, 0.5, 0.75].map((part) => Math.floor(messages * part))
    for (let index = 0; index < messages; index++) {
      const sender = senders[index % senders.length]
      if (restarts.includes(index)) {
        // With two servers, what the others say while one is down has to reach it later.
        const dying = restarts.indexOf(index) % 2 === 0 ? homes.first : homes.last
        await homes.kill(dying)
        const alive = senders.find((client) => client.baseUrl !== dying)
        if (alive) await say(alive, `while a server is down ${index}`)
        await homes.start(dying)
        // Clients wait ever longer before they try again; a gap of more than they ask for is nobody's loss.
        await say(alice, `everything is up again ${index}`)
        await allRead(senders)
      }
      if (sender) await say(sender, `message ${index}`)
    }
    await expect
      .poll(async () => {
        for (const client of senders) await decryptAgain(client, roomId)
        // What two servers said at the same moment has no one order.
        return senders.map((client) => bodiesOf(client, roomId).toSorted())
      }, patience)
      .toEqual(senders.map(() => said.toSorted()))
  })

  step(
    'what is said while the link is cut arrives, and a device that came meanwhile is one of them',
    { timeout: 180_000, tells: () => homes.whileCut !== undefined },
    async () => {
      const third = await homes.whileCut?.(async () => {
        await say(alice, 'into the dark')
        await say(bob2, 'in the dark too')
        const fresh = await device(people.bob)
        await verify(bob, () => cryptoOf(fresh).requestOwnUserVerification())
        return fresh
      })
      if (!third) throw new Error('there is one server')
      // Each says something from time to time; that is how servers find each other again.
      await expect
        .poll(
          async () => {
            await say(alice, `is there light? ${said.length}`)
            await say(bob, `light ${said.length}`)
            return [bodiesOf(bob, roomId), bodiesOf(alice, roomId)].map(
              (bodies) => bodies.includes('into the dark') && bodies.includes('in the dark too'),
            )
          },
          { ...patience, interval: 500 },
        )
        .toEqual([true, true])
      await allRead([alice, alice2, bob, bob2])
      const known = async () =>
        [...((await cryptoOf(alice).getUserDeviceInfo([bob.getSafeUserId()])).get(bob.getSafeUserId())?.keys() ?? [])]
          .length
      await expect.poll(known, patience).toBe(3)
      const from = said.length
      await say(alice, 'to the three of you')
      await allRead([alice, alice2, bob, bob2, third], from)
      await say(third, 'from the third')
      await allRead([alice, alice2, bob, bob2, third], from)
      await third.logout(true)
      stop(third)
      await expect.poll(known, patience).toBe(2)
      await say(alice, 'to the two of you')
      await allRead([alice, alice2, bob, bob2])
    },
  )

  step('a device that signed out reads no more; a fresh one restores the backup', { timeout: 120_000 }, async () => {
    await bob2.logout(true)
    stop(bob2)
    await say(alice, 'after Bob lost his telephone')
    await expect.poll(() => bodiesOf(bob, roomId).at(-1), patience).toBe('after Bob lost his telephone')
    const fresh = await device(people.bob)
    await expect.poll(() => bodiesOf(fresh, roomId).length, patience).toBeGreaterThan(0)
    expect(bodiesOf(fresh, roomId)).toContain(unreadable)
    await cryptoOf(fresh).loadSessionBackupPrivateKeyFromSecretStorage()
    await cryptoOf(fresh).checkKeyBackupAndEnable()
    // Clients back up with a delay: until everything is there.
    await expect
      .poll(async () => {
        await cryptoOf(fresh).restoreKeyBackup()
        await decryptAgain(fresh, roomId)
        return bodiesOf(fresh, roomId).filter((body) => body === unreadable).length
      }, patience)
      .toBe(0)
    expect(bodiesOf(fresh, roomId).length).toBeGreaterThan(Math.min(messages, 900))
    await verify(bob, () => cryptoOf(fresh).requestOwnUserVerification())
    bob2 = fresh
  })

  step('a dehydrated device hears what was said while no client was there', { timeout: 120_000 }, async () => {
    expect(await cryptoOf(bob).isDehydrationSupported()).toBe(true)
    await cryptoOf(bob).startDehydration({ createNewKey: true })
    const sleeping = async () => {
      const devices = await cryptoOf(alice).getUserDeviceInfo([bob.getSafeUserId()])
      return [...(devices.get(bob.getSafeUserId())?.values() ?? [])].filter(({ dehydrated }) => dehydrated).length
    }
    await expect.poll(sleeping, patience).toBe(1)
    for (const client of [bob, bob2]) {
      await client.logout(true)
      stop(client)
    }
    await say(alice, 'Bob has no device at all')
    const fresh = await device(people.bob)
    await expect.poll(() => fresh.getRoom(roomId)?.getMyMembership(), patience).toBe('join')
    expect(bodiesOf(fresh, roomId).at(-1)).toBe(unreadable)
    // With the paper key the device becomes one of Bob's, and may wake the dehydrated one.
    await expect.poll(() => cryptoOf(fresh).userHasCrossSigningKeys(undefined, true), patience).toBe(true)
    await cryptoOf(fresh).bootstrapCrossSigning({})
    await cryptoOf(fresh).startDehydration()
    await expect
      .poll(async () => {
        await decryptAgain(fresh, roomId)
        return bodiesOf(fresh, roomId).at(-1)
      }, patience)
      .toBe('Bob has no device at all')
  })
}
