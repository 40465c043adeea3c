/**
 * Completes joins that were told without members (partial-state.ts): fetches the whole state, judges anew what came meanwhile,
 * and wakes who waits for that. Goes on by the room's alarm until it is done, whatever happens to the object in between: over
 * the server joined over first, then over any that is in the room.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'

import type { Env } from '../../../worker/env.ts'
import type { AlarmScheduler } from '../../shared/alarm-scheduler.ts'
import type { PartialJoin } from '../partial-state.ts'
import type { Room } from '../room.ts'
import { finishReplay, replaySome } from './replay.ts'
import { dropWork, fetchWhole, type Step } from './whole-state.ts'

/** Between two steps: others get a word in. Milliseconds, as all of these. */
const breath = 10
const firstPause = 5_000
const longestPause = 3_600_000
/** Servers that are asked right after each other. */
const firstServers = 4
const shortPause = 500
/** A run that this object does not survive is taken up again after this. */
const safetyNet = 2_000
/** Events judged anew in one turn, and such turns in one run. */
const replayedAtOnce = 100
const maxTurns = 30
/** When nobody of ours is in the room any more, nobody waits for it for ever. */
const maxTriesForNobody = 20

export interface CompletionDeps {
  readonly env: Env
  /** Called in the turn in which the members became known. `newcomers`: servers in the room that had not been told of. */
  readonly completed: (changedMembers: readonly UserId[], newcomers: readonly ServerName[], from: number) => void
}

export class JoinCompleter {
  readonly #room: Room
  readonly #alarms: AlarmScheduler<'complete'>
  readonly #deps: CompletionDeps
  readonly #waiting = new Set<() => void>()
  #running: Promise<void> | undefined

  constructor(room: Room, alarms: AlarmScheduler<'complete'>, deps: CompletionDeps) {
    this.#room = room
    this.#alarms = alarms
    this.#deps = deps
  }

  /** A join lacks members, or waits to be completed: call it in the turn that stored the join. */
  begin(now: number): void {
    this.#room.reader.partial.forgetTries()
    this.#alarms.reset('complete', now)
  }

  /** Goes on, unless that is under way. `now` is in milliseconds since 1970. */
  goOn(now: number): Promise<void> {
    this.#alarms.reset('complete', now + safetyNet)
    this.#running ??= this.#run()
      .catch((error: unknown) => {
        console.error('a join could not be completed', error)
        for (const { nid } of this.#room.reader.partial.joins()) this.#room.reader.partial.noteTry(nid)
        this.#pause()
      })
      .finally(() => {
        this.#running = undefined
      })
    return this.#running
  }

  /** True once all members are known; false when they are not after so many milliseconds. */
  async whenWhole(patience: number): Promise<boolean> {
    const { reader } = this.#room
    if (!reader.isKnown() || !reader.partial.isOpen) return true
    // However often that was in vain: somebody waits.
    this.#alarms.ensure('complete', Date.now() + firstPause)
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, patience)
      this.#waiting.add(wake)
    })
    return !reader.isKnown() || !reader.partial.isOpen
  }

  /** A run ends after a step that was much work: the next one is the alarm's, and has a time limit of its own. */
  async #run(): Promise<void> {
    const { partial } = this.#room.reader
    for (let isLittle = true; isLittle && partial.isOpen;) {
      const join = partial.joins().find(({ wholeGroup }) => wholeGroup === undefined)
      const step = join ? await this.#fetch(join) : await this.#replay()
      if (step === 'failed') return this.#pause()
      isLittle = step !== 'more'
    }
    if (partial.isOpen) this.#alarms.reset('complete', Date.now() + breath)
    else this.#end()
  }

  async #fetch(join: PartialJoin): Promise<Step> {
    const server = this.#serverFor(join)
    const step = server === undefined ? 'failed' : await fetchWhole(this.#room, this.#deps.env, join, server)
    if (step !== 'failed') return step
    this.#room.transactor.turn(() => {
      dropWork(this.#room)
      this.#room.reader.partial.noteTry(join.nid)
      return { ok: true }
    })
    return step
  }

  #serverFor({ server, servers, tries }: PartialJoin): ServerName | undefined {
    const names = [...new Set([server, ...servers, ...this.#room.reader.joinedServers()])]
    const others = names.filter((name) => name !== this.#room.serverName)
    return others[tries % others.length]
  }

  async #replay(): Promise<Step> {
    const { transactor } = this.#room
    for (let turns = 0; turns < maxTurns; turns++) {
      const { isMore } = transactor.turn(() => ({ ok: true, isMore: replaySome(this.#room, replayedAtOnce) }))
      if (!isMore) return this.#finish()
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
    return 'more'
  }

  #finish(): Step {
    return this.#room.transactor.turn((): { ok: true; step: Step } => {
      const { reader } = this.#room
      const [told, from] = [reader.partial.servers, reader.partial.span?.from ?? 0]
      const changed = finishReplay(this.#room)
      // Events came in between.
      if (!changed) return { ok: true, step: 'next' }
      const newcomers = [...reader.joinedServers()].filter((name) => name !== reader.serverName && !told.has(name))
      this.#deps.completed(changed, newcomers, from)
      return { ok: true, step: 'done' }
    }).step
  }

  #pause(): void {
    const { partial } = this.#room.reader
    const tries = Math.max(0, ...partial.joins().map((join) => join.tries))
    if (tries >= maxTriesForNobody && this.#room.reader.localJoined().size === 0) return this.#end()
    const long = Math.min(firstPause * 2 ** Math.min(Math.max(tries - firstServers, 0), 20), longestPause)
    this.#alarms.reset('complete', Date.now() + (tries < firstServers ? shortPause : long))
  }

  #end(): void {
    this.#alarms.cancel('complete')
    for (const wake of this.#waiting) wake()
  }
}
