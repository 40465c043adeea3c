/**
 * What people do in the rooms, at random: talk, set state, change who may do what, come and go, put each other out and let
 * each other in. Much of it is refused, as it would be; what is not has an event ID, and that is a promise.
 */
import { fieldOf } from '../../scripts/bench/client.ts'
import type { Dice } from './dice.ts'
import type { Asked } from './http.ts'
import type { Person } from './sites.ts'

/** An event that somebody was given the ID of. */
export interface Promised {
  readonly roomId: string
  readonly eventId: string
  readonly server: string
}

const weights = {
  talk: 30,
  burst: 1,
  topic: 5,
  name: 4,
  part: 8,
  power: 5,
  kick: 3,
  ban: 3,
  unban: 5,
  invite: 4,
  join: 14,
  leave: 3,
  redact: 4,
  joinRule: 2,
  limit: 1,
} as const

/** Messages of one burst: more than a server sends another at once. */
const burst = 60

export class Crowd {
  readonly promised: Promised[] = []
  refused = 0
  unanswered = 0
  readonly #people: readonly Person[]
  readonly #rooms: readonly string[]
  readonly #dice: Dice
  #serial = 0

  constructor(people: readonly Person[], rooms: readonly string[], dice: Dice) {
    this.#people = people
    this.#rooms = rooms
    this.#dice = dice
  }

  /** Chooses somebody and something to do, and does it. The choice is made at once, whatever comes of it. */
  act(): Promise<unknown> {
    const dice = this.#dice
    const up = this.#people.filter(({ site }) => site.isUp())
    if (up.length === 0) return Promise.resolve()
    const [who, whom, roomId] = [dice.of(up), dice.of(this.#people), dice.of(this.#rooms)]
    const serial = (this.#serial += 1)
    const what = dice.weighted(weights)
    switch (what) {
      case 'talk':
        return this.say(who, roomId, `word ${serial}`)
      case 'burst':
        return this.#burst(who, roomId, serial)
      case 'topic':
        return this.#set(who, roomId, 'm.room.topic', { topic: `topic ${serial}` })
      case 'name':
        return this.#set(who, roomId, 'm.room.name', { name: `name ${serial}` })
      case 'part':
        return this.#set(who, roomId, 'org.example.part', { serial }, `part${dice.below(4)}`)
      case 'power':
        return this.#setPower(who, roomId, (levels) => ({
          ...levels,
          users: { ...Object(levels['users']), [whom.userId]: dice.of([0, 50, 50, 100]) },
        }))
      case 'limit':
        return this.#setPower(who, roomId, (levels) => ({
          ...levels,
          state_default: dice.of([0, 50]),
          invite: dice.of([0, 50]),
        }))
      case 'joinRule':
        return this.#set(who, roomId, 'm.room.join_rules', this.#joinRule())
      case 'kick':
      case 'ban':
      case 'unban':
      case 'invite':
        return this.#treat(who, what, roomId, whom)
      case 'join':
        return this.join(who, roomId)
      case 'leave':
        return this.#ask(who, 'POST', `/rooms/${encodeURIComponent(roomId)}/leave`, {})
      case 'redact': {
        const event = this.promised.length === 0 ? undefined : dice.of(this.promised)
        if (!event) return Promise.resolve()
        const place = `${encodeURIComponent(event.roomId)}/redact/${encodeURIComponent(event.eventId)}`
        return this.#promise(who, event.roomId, 'PUT', `/rooms/${place}/r${serial}`, {})
      }
    }
  }

  say(who: Person, roomId: string, body: string): Promise<void> {
    const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/t${(this.#serial += 1)}`
    return this.#promise(who, roomId, 'PUT', path, { msgtype: 'm.text', body })
  }

  join(who: Person, roomId: string): Promise<Asked> {
    const servers = [...new Set(this.#people.map(({ site }) => site.name))]
    const query = servers.map((name) => `via=${encodeURIComponent(name)}`).join('&')
    return this.#ask(who, 'POST', `/join/${encodeURIComponent(roomId)}?${query}`, {})
  }

  #joinRule(): object {
    const rule = this.#dice.of(['public', 'public', 'invite', 'knock', 'restricted'])
    if (rule !== 'restricted') return { join_rule: rule }
    return { join_rule: rule, allow: [{ type: 'm.room_membership', room_id: this.#dice.of(this.#rooms) }] }
  }

  async #burst(who: Person, roomId: string, serial: number): Promise<void> {
    for (let number = 0; number < burst; number++) await this.say(who, roomId, `burst ${serial} ${number}`)
  }

  #set(who: Person, roomId: string, type: string, content: object, key = ''): Promise<void> {
    const path = `/rooms/${encodeURIComponent(roomId)}/state/${type}/${encodeURIComponent(key)}`
    return this.#promise(who, roomId, 'PUT', path, content)
  }

  async #setPower(who: Person, roomId: string, change: (levels: Record<string, unknown>) => object): Promise<void> {
    const path = `/rooms/${encodeURIComponent(roomId)}/state/m.room.power_levels/`
    const { status, body } = await who.ask('GET', path)
    if (status === 200) return this.#set(who, roomId, 'm.room.power_levels', change(Object(body)))
    this.#count(status)
  }

  #treat(who: Person, how: string, roomId: string, whom: Person): Promise<Asked> {
    return this.#ask(who, 'POST', `/rooms/${encodeURIComponent(roomId)}/${how}`, { user_id: whom.userId })
  }

  async #promise(who: Person, roomId: string, method: string, path: string, body: object): Promise<void> {
    const answer = await this.#ask(who, method, path, body)
    const eventId = answer.status === 200 ? fieldOf(answer.body, 'event_id') : undefined
    if (typeof eventId === 'string') this.promised.push({ roomId, eventId, server: who.site.name })
  }

  async #ask(who: Person, method: string, path: string, body: object): Promise<Asked> {
    const answer = await who.ask(method, path, body)
    this.#count(answer.status)
    return answer
  }

  #count(status: number): void {
    if (status === 0 || status >= 500) this.unanswered++
    else if (status !== 200) this.refused++
  }
}
