/**
 * One run of the partition test: three servers, wires that are cut and mended, servers that are killed and started, people
 * who go on meanwhile. When all is mended, everybody must come to the same, and nothing that was promised may be lost.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { text } from '../../scripts/bench/client.ts'
import { Crowd } from './actions.ts'
import { type Apart, countOf, faultsOf, type Numbers, whatKeepsThemApart } from './check.ts'
import { type Dice, diceOf } from './dice.ts'
import { type Site, type Sites, somebodyIn, startSites } from './sites.ts'

export interface Plan {
  readonly seed: number
  readonly rounds: number
  readonly keep?: boolean
  readonly say?: (line: string) => void
}

export interface Report extends Numbers {
  readonly faults: readonly string[]
  readonly promised: number
  /** Pairs of servers that became two rooms: see check.ts. */
  readonly parted: number
  readonly refused: number
  readonly unanswered: number
  readonly kills: number
  readonly cuts: number
  /** Until all agreed after the last wire was mended. */
  readonly healing: number
  readonly seconds: number
  readonly folder: string
}

const versions = ['12', '11', '10']
const people = 2
/** For everybody to come to the same after all is mended, in milliseconds. */
const patience = 600_000
/** For what lies in a hole to be fetched, which is left until there is no news, in milliseconds. */
const patienceForHoles = 180_000

export async function runPartition({ seed, rounds, keep = false, say = () => undefined }: Plan): Promise<Report> {
  const begun = performance.now()
  const dice = diceOf(seed)
  const sites = await startSites(['a', 'b', 'c'], people)
  try {
    const rooms = await makeRooms(sites)
    const everybody = sites.all.flatMap((site) => site.people)
    const crowd = new Crowd(everybody, rooms, dice)
    for (const roomId of rooms) for (const person of everybody) await crowd.join(person, roomId)
    const world = { sites, dice, crowd, cuts: 0, kills: 0 }
    for (let round = 1; round <= rounds; round++) {
      await playRound(world)
      if (round % 50 === 0) say(`round ${round}: ${crowd.promised.length} events`)
    }
    const mended = performance.now()
    sites.heal()
    for (const site of sites.all) if (!site.isUp()) await site.start()
    const apart = await comeTogether(sites, crowd, rooms)
    const healing = Math.round((performance.now() - mended) / 1000)
    const faults = [...apart.faults, ...(await lasting(() => faultsOf(sites, rooms, crowd.promised)))]
    const numbers = countOf(sites, rooms)
    const folder = await sites.end(keep)
    const { promised, refused, unanswered } = crowd
    const seconds = Math.round((performance.now() - begun) / 1000)
    const { cuts, kills } = world
    return {
      faults,
      promised: promised.length,
      parted: apart.parted,
      refused,
      unanswered,
      kills,
      cuts,
      healing,
      seconds,
      folder,
      ...numbers,
    }
  } catch (error) {
    say(`kept: ${await sites.end(true)}`)
    throw error
  }
}

/** One room of each server, of different versions, in which everybody may set state. */
async function makeRooms({ all }: Sites): Promise<string[]> {
  return Promise.all(
    all.map(async ({ people: [founder] }, index) => {
      if (!founder) throw new Error('nobody founds a room')
      const body = {
        preset: 'public_chat',
        room_version: versions[index % versions.length],
        power_level_content_override: { state_default: 0 },
      }
      return text((await founder.ask('POST', '/createRoom', body)).body, 'room_id')
    }),
  )
}

interface World {
  readonly sites: Sites
  readonly dice: Dice
  readonly crowd: Crowd
  cuts: number
  kills: number
}

/** Something happens to the wires or to a server, perhaps; some people act, some of them at the same time. */
async function playRound(world: World): Promise<void> {
  const { sites, dice, crowd } = world
  if (dice.chance(20)) changeWires(world)
  if (dice.chance(3)) {
    const site = dice.of(sites.all)
    const stays = dice.chance(50)
    // In the middle of what people do.
    const acting = [crowd.act(), crowd.act()]
    await sleep(dice.below(30))
    if (site.isUp()) {
      world.kills++
      await site.kill()
    }
    await Promise.all(acting)
    if (!stays) await site.start()
  }
  for (const site of sites.all) if (!site.isUp() && dice.chance(15)) await site.start()
  await Promise.all(Array.from({ length: 1 + dice.below(4) }, () => crowd.act()))
  if (dice.chance(30)) await sleep(dice.below(300))
}

function changeWires(world: World): void {
  const { sites, dice } = world
  const [one, other] = [dice.of(sites.all), dice.of(sites.all)]
  const change = dice.weighted({ heal: 4, cut: 4, alone: 2, oneWay: 1, deaf: 1, healOne: 3 })
  if (change === 'heal') return sites.heal()
  if (change !== 'healOne') world.cuts++
  if (change === 'alone') {
    for (const site of sites.all) if (site !== one) sites.set(one, site, 'cut')
    return
  }
  if (one === other) return
  const way = change === 'healOne' ? 'open' : change === 'deaf' ? 'deaf' : 'cut'
  sites.set(one, other, way, change === 'oneWay' || change === 'deaf')
}

/**
 * Life goes on: servers hear from each other, people say a word now and then. Until nothing keeps them apart; else what
 * does.
 */
async function comeTogether(sites: Sites, crowd: Crowd, rooms: readonly string[]): Promise<Apart> {
  const until = performance.now() + patience
  for (;;) {
    await getInTouch(sites.all)
    await sleep(1_000)
    for (const roomId of rooms) {
      for (const site of sites.all) {
        const speaker = await somebodyIn(site, roomId)
        if (speaker) await crowd.say(speaker, roomId, 'all is well')
        await sleep(300)
      }
    }
    let apart = await whatKeepsThemApart(sites, rooms)
    for (let look = 0; look < 10 && apart.faults.length > 0; look++) {
      await sleep(500)
      apart = await whatKeepsThemApart(sites, rooms)
    }
    if (apart.faults.length === 0 || performance.now() > until) return apart
  }
}

/** Faults that are still there after a while. */
async function lasting(look: () => Promise<string[]>): Promise<string[]> {
  const until = performance.now() + patienceForHoles
  for (;;) {
    const faults = await look()
    if (faults.length === 0 || performance.now() > until) return faults
    await sleep(5_000)
  }
}

/** Somebody looks at the profile of somebody on each other server: a request, and so a sign of life. */
async function getInTouch(sites: readonly Site[]): Promise<void> {
  for (const { people } of sites) {
    for (const other of sites.flatMap((site) => site.people.slice(0, 1))) {
      await people[0]?.ask('GET', `/profile/${encodeURIComponent(other.userId)}`)
    }
  }
}
