/** The wire is cut and both sides go on: afterwards nothing is lost and both have the same state. */
import { beforeAll, describe, expect, test, vi } from 'vitest'

import {
  agree,
  at,
  bodies,
  bothHeard,
  createRoom,
  everyWay,
  fieldOf,
  hears,
  join,
  membership,
  patience,
  type Person,
  person,
  say,
  sees,
  setState,
  stateOf,
  told,
  treat,
  whileCut,
  wire,
} from './people.ts'

describe.each(everyWay)(told, ({ version, of, from }) => {
  let alice: Person
  let dave: Person
  let bob: Person
  let carol: Person
  let roomId: string

  beforeAll(async () => {
    ;[alice, dave] = [await person(of, 'alice'), await person(of, 'dave')]
    ;[bob, carol] = [await person(from, 'bob'), await person(from, 'carol')]
    const levels = { events: { 'm.room.topic': 0, 'org.example.part': 0 } }
    const body = { preset: 'public_chat', room_version: version, power_level_content_override: levels }
    roomId = await createRoom(alice, body)
    for (const guest of [bob, carol, dave]) await join(guest, roomId, alice)
    for (const guest of [bob, carol, dave]) await sees(alice, roomId, guest, 'join')
    await sees(bob, roomId, dave, 'join')
    await setPower(bob, 50)
  })

  async function setPower(who: Person, level: number): Promise<void> {
    const levels = await stateOf(alice, roomId, 'm.room.power_levels')
    const users = { ...Object(fieldOf(levels, 'users')), [who.userId]: level }
    await setState(alice, roomId, 'm.room.power_levels', { ...Object(levels), users })
    await vi.waitFor(async () => {
      for (const reader of [alice, bob]) {
        expect(at(await stateOf(reader, roomId, 'm.room.power_levels'), 'users', who.userId)).toBe(level)
      }
    }, patience)
  }

  /** Both have all of this, and the same state. */
  async function healed(...said: string[]): Promise<void> {
    await bothHeard(roomId, alice, bob)
    for (const reader of [alice, bob]) {
      await vi.waitFor(async () => {
        expect(await bodies(reader, roomId)).toEqual(expect.arrayContaining(said))
      }, patience)
    }
    await agree(roomId, alice, bob)
  }

  test('both talk and set the same state', async () => {
    const said = await whileCut(async () => {
      const words: string[] = []
      for (let round = 0; round < 10; round++) {
        for (const who of [alice, bob, carol, dave]) {
          const word = `${who.localpart} alone ${round}`
          await say(who, roomId, word)
          if (round % 5 === 4) await setState(who, roomId, 'm.room.topic', { topic: word })
          if (round % 5 === 2) await setState(who, roomId, 'org.example.part', { word }, String(round))
          words.push(word)
        }
      }
      return words
    })
    await healed(...said)
  })

  test('one fork after the other, before the last is mended', async () => {
    const said: string[] = []
    for (let round = 0; round < 4; round++) {
      await whileCut(async () => {
        for (const who of [alice, bob]) {
          const word = `${who.localpart} in fork ${round}`
          await setState(who, roomId, 'org.example.part', { word }, 'fork')
          await say(who, roomId, word)
          said.push(word)
        }
      })
      await say(round % 2 === 0 ? alice : bob, roomId, `between ${round}`)
      said.push(`between ${round}`)
    }
    await healed(...said)
  })

  test('one is demoted and another banned while they act', async () => {
    await whileCut(async () => {
      const levels = await stateOf(alice, roomId, 'm.room.power_levels')
      const users = { ...Object(fieldOf(levels, 'users')), [bob.userId]: 0 }
      await treat(alice, 'ban', roomId, carol)
      await setState(alice, roomId, 'm.room.power_levels', { ...Object(levels), users })
      await setState(alice, roomId, 'm.room.topic', { topic: 'of alice' })
      await treat(bob, 'kick', roomId, dave)
      await setState(bob, roomId, 'm.room.name', { name: 'of bob' })
      await setState(carol, roomId, 'm.room.topic', { topic: 'of carol' })
      await say(bob, roomId, 'demoted, and does not know')
    })
    await healed('demoted, and does not know')
    expect(await membership(bob, roomId, carol)).toBe('ban')
    const levels = await stateOf(bob, roomId, 'm.room.power_levels')
    expect(at(levels, 'users', bob.userId)).toBe(0)
    expect(await stateOf(bob, roomId, 'm.room.topic')).toMatchObject({ topic: 'of alice' })
  })

  test('a third comes in by one side, and one leaves on the other', async () => {
    const erin = await person(from, 'erin')
    await whileCut(async () => {
      await erin.call('POST', `/join/${encodeURIComponent(roomId)}`, {})
      await say(erin, roomId, 'here I am')
      await say(alice, roomId, 'nobody there')
      await setState(alice, roomId, 'm.room.name', { name: 'quiet' })
    })
    await healed('here I am', 'nobody there')
    expect(await membership(alice, roomId, erin)).toBe('join')
    await setPower(erin, 50)
    await setState(erin, roomId, 'm.room.name', { name: 'of erin' })
    await agree(roomId, alice, bob)
  })
})

describe.each([
  { killed: 'Hearth', other: 'Synapse' },
  { killed: 'Synapse', other: 'Hearth' },
] as const)('$killed is killed', ({ killed, other }) => {
  test('and misses nothing of what was said meanwhile', async () => {
    const alice = await person(other, 'alice')
    const bob = await person(killed, 'bob')
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId, alice)
    await say(bob, roomId, 'I was here')
    await hears(alice, roomId, 'I was here')
    await wire(`kill-${killed}`)
    const said = Array.from({ length: 30 }, (_, index) => `while you were away ${index}`)
    await say(alice, roomId, ...said)
    await setState(alice, roomId, 'm.room.name', { name: 'away' })
    await wire(`start-${killed}`)
    await vi.waitFor(async () => expect(await bodies(bob, roomId)).toEqual(['I was here', ...said]), patience)
    await say(bob, roomId, 'back')
    await hears(alice, roomId, 'back')
    await agree(roomId, alice, bob)
  })
  test('and the other as well, while a fork was not sent: they find out what they miss', async () => {
    const [alice, dave] = [await person(other, 'alice'), await person(other, 'dave')]
    const bob = await person(killed, 'bob')
    const roomId = await createRoom(alice, {
      preset: 'public_chat',
      power_level_content_override: { state_default: 0 },
    })
    await join(bob, roomId, alice)
    await join(dave, roomId, alice)
    await sees(bob, roomId, dave, 'join')
    const said = await whileCut(async () => {
      const words: string[] = []
      for (let round = 0; round < 35; round++) {
        for (const who of [alice, bob, dave]) {
          const word = `${who.localpart} forgotten ${round}`
          await say(who, roomId, word)
          if (round % 10 === 0) await setState(who, roomId, 'org.example.part', { word }, String(round))
          words.push(word)
        }
      }
      await wire(`kill-${killed}`)
      await wire(`kill-${other}`)
      await wire(`start-${killed}`)
      await wire(`start-${other}`)
      return words
    })
    await bothHeard(roomId, alice, bob)
    for (const reader of [alice, bob]) {
      await vi.waitFor(async () => {
        expect(await bodies(reader, roomId)).toEqual(expect.arrayContaining(said))
      }, patience)
    }
    await agree(roomId, alice, bob)
  })
})
