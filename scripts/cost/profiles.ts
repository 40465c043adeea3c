/** How much people do in a day: assumptions, each of them named. Pure. */

/** How often an operation of the walk (walk.ts) happens in a day. */
export interface Profile {
  readonly name: string
  readonly perDay: Readonly<Record<string, number>>
}

interface Habits {
  readonly people: number
  readonly devices: number
  /** Messages that one person sends in a day. */
  readonly sent: number
  /** Messages that come from other servers in a day, in all rooms. */
  readonly received: number
}

/** A client asks again after 30 seconds. */
const pollsADay = 86_400 / 30
/** The share of the day in which a device has the app open, or stays connected. */
const awake = 0.5

function profile(name: string, { people, devices, sent, received }: Habits): Profile {
  const all = people * devices
  const messages = people * sent
  return {
    name,
    perDay: {
      'send a message': messages,
      'receive a message by federation': received,
      // Everything that is said reaches each device by an answer of its own.
      'sync, one message': (messages + received) * devices,
      'sync, nothing in 30 s': all * pollsADay * awake,
      'first sync': all * 0.1,
      'sliding sync, first': all,
      typing: messages,
      'read receipt': people * Math.min(200, sent + received),
      'send to devices': people * 20,
      'upload 50 one-time keys': all * 0.2,
      'claim a one-time key': all,
      'query keys': all * 2,
      'upload a picture': people * 3,
      'download a picture': people * 20,
      'push a notification': messages + received * 0.5,
      'sign in': all * 0.05,
      'create a room': people * 0.1,
      'join a room': people * 0.1,
      'join a room by federation': people * 0.1,
    },
  }
}

export const profiles: readonly Profile[] = [
  profile('one person, two devices', { people: 1, devices: 2, sent: 100, received: 1000 }),
  profile('a family of 5', { people: 5, devices: 2, sent: 60, received: 3000 }),
  profile('100 people', { people: 100, devices: 2, sent: 50, received: 30_000 }),
]
