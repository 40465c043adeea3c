/** What the doctor says of a server is what another homeserver meets there: Synapse is the other one. */
import { expect, inject, test } from 'vitest'

import { examine } from '../../scripts/doctor/report.ts'
import { realSurroundings } from '../../scripts/doctor/surroundings.ts'
import type { Finding } from '../../worker/doctor/findings.ts'
import { fieldOf, person, server, whileCut } from './people.ts'
import type { Server } from './setup/servers.ts'

const look = ({ name, base }: Server) => examine(name, realSurroundings({ ca: inject('ca') }), { baseUrl: base })
const faults = (findings: readonly Finding[]) => findings.filter(({ state }) => state === 'bad')
const about = (findings: readonly Finding[], what: string) => findings.find((finding) => finding.about === what)?.what

/** The keys of a server as another one fetched them: /_matrix/key/v2/query. */
async function keysBy(notary: Server, of: Server): Promise<unknown> {
  const { ask } = realSurroundings({ ca: inject('ca') })
  const reply = await ask({ url: `https://${notary.name}/_matrix/key/v2/query/${of.name}` })
  const [keys] = Object(fieldOf(reply.ok ? JSON.parse(reply.body) : {}, 'server_keys'))
  return keys
}

test('a server that is well: Synapse answers what is signed by the key that the doctor finds', async () => {
  const [hearth, alice, bob] = [server('Hearth'), await person('Hearth', 'alice'), await person('Synapse', 'bob')]
  // Our server asks Synapse, which fetches our key and checks the signature before it answers.
  await alice.call('GET', `/profile/${encodeURIComponent(bob.userId)}`)
  const findings = await look(hearth)
  expect(faults(findings)).toEqual([])
  expect(about(findings, 'Federation API')).toMatch(/ is Hearth /)
  const keys: unknown = await (await fetch(`${hearth.base}/_matrix/key/v2/server`)).json()
  const [keyId = 'none'] = Object.keys(Object(fieldOf(keys, 'verify_keys')))
  expect(about(findings, 'Signing keys')).toContain(`${keyId}, signed, good until`)
})

test('it says the same of Synapse, which it has never seen', async () => {
  const synapse = server('Synapse')
  const findings = await look(synapse)
  expect(faults(findings)).toEqual([])
  expect(about(findings, 'Federation API')).toMatch(/ is Synapse 1\./)
  const keys = await keysBy(server('Hearth'), synapse)
  const [keyId = ''] = Object.keys(Object(fieldOf(keys, 'verify_keys')))
  expect(about(findings, 'Signing keys')).toContain(keyId)
})

test('where Synapse meets nothing, the doctor meets nothing; and both when it is back', async () => {
  const [hearth, bob] = [server('Hearth'), await person('Synapse', 'bob')]
  const alice = await person('Hearth', 'alice')
  const profile = `/profile/${encodeURIComponent(alice.userId)}`
  await whileCut(async () => {
    const [fault, ...more] = faults(await look(hearth))
    expect(more).toEqual([])
    expect(fault).toMatchObject({ about: 'Federation API', what: expect.stringContaining('does not answer') })
    await expect(bob.call('GET', profile)).rejects.toThrow()
  })
  expect(faults(await look(hearth))).toEqual([])
  // Synapse waits before it asks again a server that did not answer; a request of that server ends the wait.
  await alice.call('GET', `/profile/${encodeURIComponent(bob.userId)}`)
  await expect.poll(() => bob.call('GET', profile).then(() => 'told', String), { timeout: 40_000 }).toBe('told')
})
