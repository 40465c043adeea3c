/** Looks at a homeserver as clients and other servers do. The same for `npm run doctor` and the administrators' page. */
import { parseServerName } from '#protocol/identifiers/server-name.ts'

import { type ClientSide, examineClientSide } from './client-side.ts'
import { bad } from './findings.ts'
import { examineServerSide } from './server-side.ts'
import type { Surroundings } from './surroundings.ts'

/** `baseUrl`: client API to look at where no well-known file names one. */
export async function examineOutside(name: string, world: Surroundings, baseUrl?: string): Promise<ClientSide> {
  const parsed = parseServerName(name)
  if (!parsed) {
    const next = 'give the part behind the colon in @you:example.org'
    return { findings: [bad('Name', `${JSON.stringify(name)} is not a server name`, next)], base: undefined }
  }
  const outside = await examineServerSide(parsed, world)
  const { findings, base } = await examineClientSide(parsed, world, baseUrl)
  return { findings: [...outside, ...findings], base }
}
