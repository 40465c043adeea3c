/** The whole examination, as lines for the terminal. */
import { examineClientSide } from './client-side.ts'
import { bad, type Finding, linesOf } from './findings.ts'
import { examineServerSide } from './server-side.ts'
import type { Surroundings } from './surroundings.ts'
import { parseServerName } from '../../worker/protocol/identifiers/server-name.ts'

export async function examine(name: string, world: Surroundings, baseUrl?: string): Promise<Finding[]> {
  const parsed = parseServerName(name)
  if (!parsed)
    return [
      bad('Name', `${JSON.stringify(name)} is not a server name`, 'give the part behind the colon in @you:example.org'),
    ]
  return [...(await examineServerSide(parsed, world)), ...(await examineClientSide(parsed, world, baseUrl))]
}

export interface Report {
  readonly lines: readonly string[]
  /** Nothing is bad; doubts do not count. */
  readonly well: boolean
}

export async function doctorLines(name: string, world: Surroundings, baseUrl?: string): Promise<Report> {
  const findings = await examine(name, world, baseUrl)
  const faults = findings.filter(({ state }) => state === 'bad').length
  const sum =
    faults === 0 ? `${name} is well.` : `${name}: ${faults} ${faults === 1 ? 'thing is' : 'things are'} wrong.`
  return { lines: [...findings.flatMap(linesOf), sum], well: faults === 0 }
}
