/** The whole examination, as lines for the terminal. */
import { examineOutside } from '../../worker/doctor/examine.ts'
import { type Finding, linesOf } from '../../worker/doctor/findings.ts'
import type { Surroundings } from '../../worker/doctor/surroundings.ts'
import { examineInside } from './inside.ts'

export interface Looking {
  /** Client API to look at where no well-known file names one. */
  readonly baseUrl?: string | undefined
  /** Access token of an administrator: what the server stands on is looked at, too. */
  readonly token?: string | undefined
}

export async function examine(name: string, world: Surroundings, { baseUrl, token }: Looking = {}): Promise<Finding[]> {
  const { findings, base } = await examineOutside(name, world, baseUrl)
  return token === undefined || base === undefined
    ? [...findings]
    : [...findings, ...(await examineInside(base, token, world))]
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
