/**
 * Who sees what: each visibility, each way in which somebody comes and goes, each way to read.
 * Spec: client-server-api/#room-history-visibility. Nobody may see by one way what another hides (CVE-2021-39163).
 */
import { describe, expect, it } from 'vitest'
import { bob, carol, makeRoom, say, type TestRoom } from '../room/rooms.ts'
import {
  change,
  contentsOf,
  device,
  eventIdOf,
  eventsOf,
  granted,
  pages,
  setState,
  setVisibility,
  slice,
  texts,
} from './reading.ts'

const visibilities = ['joined', 'invited', 'shared', 'world_readable'] as const
type Visibility = (typeof visibilities)[number]
type Seen = Readonly<Record<Visibility, string>>

/** At each number Carol says it, and Alice makes it the topic. */
interface Story {
  readonly steps: string
  readonly history: Seen
  /** The timeline of an initial sync with everything in it. Absent: the room is not in the answer. */
  readonly timeline?: Partial<Seen>
  readonly section: 'join' | 'leave' | 'invite'
  /** The topic of the state that the reader may have; only world_readable rooms show it to those never joined. */
  readonly topic: string
  readonly mayAsk: boolean
}

const stories: Readonly<Record<string, Story>> = {
  joins: {
    steps: '1 join 2',
    history: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2' },
    timeline: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2' },
    section: 'join',
    topic: '2',
    mayAsk: true,
  },
  'is invited and joins': {
    steps: '1 invite 2 join 3',
    history: { joined: '3', invited: '2 3', shared: '1 2 3', world_readable: '1 2 3' },
    timeline: { joined: '3', invited: '2 3', shared: '1 2 3', world_readable: '1 2 3' },
    section: 'join',
    topic: '3',
    mayAsk: true,
  },
  leaves: {
    steps: '1 join 2 leave 3',
    history: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2 3' },
    timeline: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2' },
    section: 'leave',
    topic: '2',
    mayAsk: true,
  },
  'is kicked': {
    steps: '1 join 2 kick 3',
    history: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2 3' },
    timeline: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2' },
    section: 'leave',
    topic: '2',
    mayAsk: true,
  },
  'is banned': {
    steps: '1 join 2 ban 3',
    history: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2 3' },
    timeline: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2' },
    section: 'leave',
    topic: '2',
    mayAsk: true,
  },
  'leaves, is banned and unbanned': {
    steps: '1 join 2 leave 3 ban 4 unban 5',
    history: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2 3 4 5' },
    timeline: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2' },
    section: 'leave',
    topic: '2',
    mayAsk: true,
  },
  'leaves and is invited again': {
    steps: '1 join 2 leave 3 invite 4',
    history: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2 3 4' },
    section: 'invite',
    topic: '2',
    mayAsk: true,
  },
  'leaves, is invited again and rejects that': {
    steps: '1 join 2 leave 3 invite 4 reject 5',
    history: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2 3 4 5' },
    timeline: { joined: '2', invited: '2', shared: '1 2', world_readable: '1 2' },
    section: 'leave',
    topic: '2',
    mayAsk: true,
  },
  'comes back': {
    steps: '1 join 2 leave 3 join 4',
    history: { joined: '2 4', invited: '2 4', shared: '1 2 3 4', world_readable: '1 2 3 4' },
    timeline: { joined: '2 4', invited: '2 4', shared: '1 2 3 4', world_readable: '1 2 3 4' },
    section: 'join',
    topic: '4',
    mayAsk: true,
  },
  'is invited': {
    steps: '1 invite 2',
    history: { joined: '', invited: '', shared: '', world_readable: '1 2' },
    section: 'invite',
    topic: '2',
    mayAsk: false,
  },
  'rejects an invite': {
    steps: '1 invite 2 reject 3',
    history: { joined: '', invited: '', shared: '', world_readable: '1 2 3' },
    timeline: { joined: '', invited: '', shared: '', world_readable: '' },
    section: 'leave',
    topic: '3',
    mayAsk: false,
  },
  'is banned without ever having been there': {
    steps: '1 ban 2',
    history: { joined: '', invited: '', shared: '', world_readable: '1 2' },
    // Anybody may know of the ban there, and so may he.
    timeline: { world_readable: '' },
    topic: '2',
    section: 'leave',
    mayAsk: false,
  },
  'never had to do with it': {
    steps: '1',
    history: { joined: '', invited: '', shared: '', world_readable: '1' },
    section: 'leave',
    topic: '1',
    mayAsk: false,
  },
  'leaves and forgets it': {
    steps: '1 join 2 leave 3 forget 4',
    history: { joined: '', invited: '', shared: '', world_readable: '1 2 3 4' },
    section: 'leave',
    topic: '4',
    mayAsk: false,
  },
}

async function tell(steps: string, visibility: Visibility): Promise<{ room: TestRoom; said: Map<string, string> }> {
  const room = await makeRoom('12', { preset: 'public_chat' })
  await setVisibility(room, visibility)
  await change(room, 'join', carol)
  const said = new Map<string, string>()
  for (const step of steps.split(' ')) {
    switch (step) {
      case 'join':
      case 'leave':
      case 'invite':
      case 'reject':
      case 'kick':
      case 'ban':
      case 'unban':
        await change(room, step, bob)
        break
      case 'forget':
        granted(await room.rpc.forget({ user: bob }))
        break
      default:
        said.set(step, await say(room, carol, step))
        await setState(room, 'm.room.topic', { topic: step })
    }
  }
  return { room, said }
}

const words = (list: string) => list.split(' ').filter((word) => word !== '')

describe.each(visibilities)('with %s history', (visibility) => {
  describe.each(Object.entries(stories))('Bob, who %s', (_, story) => {
    const mayAsk = story.mayAsk || visibility === 'world_readable'
    const expected = words(story.history[visibility])

    it('sees the same by every way to read events', async () => {
      const { room, said } = await tell(story.steps, visibility)
      for (const dir of ['b', 'f'] as const) {
        const asked = await room.rpc.messages({ reader: bob, dir, limit: 3 })
        if (!mayAsk) {
          expect(asked).toMatchObject({ ok: false, reason: 'not_in_room' })
          continue
        }
        const read = texts((await pages(room, bob, { dir, limit: 3 })).flat())
        expect(dir === 'b' ? read.toReversed() : read).toEqual(expected)
      }
      for (const [text, eventId] of said) {
        const request = { reader: bob, deviceId: device, eventId: eventIdOf(eventId), limit: 100 }
        const event = await room.rpc.event(request)
        const context = await room.rpc.context(request)
        if (!expected.includes(text)) {
          expect(event).toMatchObject({ ok: false, reason: 'unknown_event' })
          expect(context).toMatchObject({ ok: false, reason: 'unknown_event' })
          continue
        }
        expect(texts([granted(event).event])).toEqual([text])
        const { events_before, event: middle, events_after } = granted(context)
        expect(texts([...events_before.toReversed(), middle, ...events_after])).toEqual(expected)
      }
    })

    it('is told the same by sync, up to the leave', async () => {
      const { room } = await tell(story.steps, visibility)
      for (const useStateAfter of [false, true]) {
        const { section, room: told } = await slice(room, bob, { useStateAfter })
        const timeline = story.timeline?.[visibility]
        if (story.section === 'leave' && timeline === undefined) {
          expect(section).toBe('none')
          continue
        }
        expect(section).toBe(story.section)
        expect(texts(eventsOf(told, 'timeline'))).toEqual(words(timeline ?? ''))
        if (section === 'invite') continue
        const state = [...eventsOf(told, 'state'), ...eventsOf(told, 'state_after')]
        const topics = contentsOf([...state, ...eventsOf(told, 'timeline')], 'm.room.topic')
        // Never a topic from after the leave; the newest one that was there.
        expect(topics.at(-1)?.['topic']).toBe(story.mayAsk ? story.topic : undefined)
        expect(Math.max(0, ...topics.map(({ topic }) => Number(topic)))).toBeLessThanOrEqual(Number(story.topic))
      }
    })

    it('gets the state of now, of when he left, or none', async () => {
      const { room } = await tell(story.steps, visibility)
      const one = await room.rpc.stateEvent({ reader: bob, type: 'm.room.topic', stateKey: '' })
      const all = await room.rpc.stateEvents({ reader: bob })
      const members = await room.rpc.members({ reader: bob })
      if (!mayAsk) {
        for (const answer of [one, all, members]) expect(answer).toMatchObject({ ok: false, reason: 'not_in_room' })
        return
      }
      expect(granted(one).event.content).toEqual({ topic: story.topic })
      expect(contentsOf(granted(all).events, 'm.room.topic')).toEqual([{ topic: story.topic }])
      const isMember = contentsOf(granted(members).events, 'm.room.member').length
      expect(isMember).toBe(story.steps === '1' ? 2 : 3)
      const joined = await room.rpc.joinedMembers({ reader: bob })
      expect(joined.ok).toBe(story.section === 'join')
    })
  })
})
