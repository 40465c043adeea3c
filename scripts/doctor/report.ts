/** The whole examination, as lines for the terminal. */
import { examineClientSide } from './client-side.ts'
import { bad, type Finding, linesOf } from './findings.ts'
import { examineInside } from './inside.ts'
import { examineServerSide } from './server-side.ts'
import type { Surroundings } from './surroundings.ts'
import { parseServerName } from '../../worker/protocol/identifiers/server-name.ts'

export interface Looking {
  /** Client API to look at where no well-known file names one. */
  readonly baseUrl?: string | undefined
  /** Access token of an administrator: what the server stands on is looked at, too. */
  readonly token?: string | undefined
}

export async function examine(name: string, world: Surroundings, { baseUrl, token }: Looking = {}): Promise<Finding[]> {
  const parsed = parseServerName(name)
  if (!parsed) {
    const next = 'give the part behind the colon in @you:example.org'
    return [bad('Name', `${JSON.stringify(name)} is not a server name`, next)]
  }
  const outside = await examineServerSide(parsed, world)
  const { findings, base } = await examineClientSide(parsed, world, baseUrl)
  const inside = token === undefined || base === undefined ? [] : await examineInside(base, token, world)
  return [...outside, ...findings, ...inside]
}

export interface Report {
  readonly lines: readonly string[]
  /** Nothing is bad; doubts do not count. */
  readonly well: boolean
}

export async function doctorLines(name: string, world: Surroundings, looking: Looking = {}): Promise<Report> {
  const findings = await examine(name, world, looking)
  const faults = findings.filter(({ state }) => state === 'bad').length
  const sum =
    faults === 0 ? `${name} is well.` : `${name}: ${faults} ${faults === 1 ? 'thing is' : 'things are'} wrong.`
  return { lines: [...findings.flatMap(linesOf), sum], well: faults === 0 }
}
