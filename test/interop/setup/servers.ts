/**
 * Starts one Hearth and one Synapse with a link before each, once for all files of the suite, and gives the tests their
 * addresses and a switchboard to cut the link and to kill a server. Set INTEROP_KEEP=1 to keep what they wrote.
 */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

import { freePort, startInBackground } from '../../../scripts/serve/start-in-background.ts'
import { makeCertificates } from '../../scripts/certificates.ts'
import { installSynapse } from './install-synapse.ts'
import { openLink } from './link.ts'
import { startSynapse } from './synapse.ts'

export interface Server {
  readonly kind: 'Hearth' | 'Synapse'
  /** The server's name in Matrix. */
  readonly name: string
  /** Where clients reach it. */
  readonly base: string
}

declare module 'vitest' {
  interface ProvidedContext {
    hearth: Server
    synapse: Server
    /** File of the authority that both trust, PEM. */
    ca: string
    /** POST here `/cut`, `/heal`, `/kill-Hearth`, `/start-Hearth`, `/kill-Synapse` or `/start-Synapse`. */
    switchboard: string
  }
}

interface Site {
  readonly server: Server
  readonly port: number
  readonly federationPort: number
  readonly folder: string
  readonly link: Awaited<ReturnType<typeof openLink>>
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const python = await installSynapse()
  const folder = mkdtempSync(join(tmpdir(), 'hearth-interop-'))
  const { authority, server } = makeCertificates()
  const [ca, cert, key] = ['ca.pem', 'server.pem', 'server.key'].map((name) => join(folder, name))
  if (!ca || !cert || !key) throw new Error('three names')
  writeFileSync(ca, authority.cert)
  writeFileSync(cert, server.cert)
  writeFileSync(key, server.key)
  const hearth = await siteIn(folder, 'Hearth')
  const synapse = await siteIn(folder, 'Synapse')

  const startHearth = () =>
    startInBackground('scripts/serve.ts', [
      `--server-name=${hearth.server.name}`,
      `--port=${hearth.port}`,
      `--federation-port=${hearth.federationPort}`,
      `--tls-cert=${cert}`,
      `--tls-key=${key}`,
      `--ca=${ca}`,
      `--data=${join(hearth.folder, 'data')}`,
      '--rate-limits=off',
      '--allow-private-addresses=on',
      '--public-rooms-over-federation=on',
    ])
  const { name } = synapse.server
  const startOther = () => startSynapse({ ...synapse, name, python, cert, key, ca })
  let ours = await startHearth()
  let theirs = await startOther().catch(async (error: unknown) => {
    await ours.end('SIGKILL')
    throw error
  })

  const links = [hearth.link, synapse.link]
  const commands: Record<string, () => Promise<unknown> | void> = {
    '/cut': () => links.forEach((link) => link.cut()),
    '/heal': () => links.forEach((link) => link.heal()),
    '/kill-Hearth': () => ours.end('SIGKILL'),
    '/start-Hearth': async () => (ours = await startHearth()),
    '/kill-Synapse': () => theirs.kill(),
    '/start-Synapse': async () => (theirs = await startOther()),
  }
  const switchboard = createServer((request, response) => {
    const answer = (status: number) => response.writeHead(status).end()
    void Promise.resolve(commands[request.url ?? '']?.()).then(
      () => answer(200),
      () => answer(500),
    )
  }).listen(0, '127.0.0.1')
  await once(switchboard, 'listening')
  const address = switchboard.address()
  project.provide('hearth', hearth.server)
  project.provide('synapse', synapse.server)
  project.provide('ca', ca)
  project.provide('switchboard', `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`)

  return async () => {
    switchboard.close()
    await Promise.all([ours.end('SIGTERM'), theirs.kill()])
    links.forEach((link) => link.close())
    if (process.env['INTEROP_KEEP']) {
      writeFileSync(join(hearth.folder, 'output.log'), ours.output())
      console.log(`Kept: ${folder}`)
    } else rmSync(folder, { recursive: true })
  }
}

async function siteIn(folder: string, kind: Server['kind']): Promise<Site> {
  const [port, federationPort, named] = [await freePort(), await freePort(), await freePort()]
  const own = join(folder, kind.toLowerCase())
  mkdirSync(own)
  return {
    server: { kind, name: `127.0.0.1:${named}`, base: `http://127.0.0.1:${port}` },
    port,
    federationPort,
    folder: own,
    link: await openLink(named, federationPort),
  }
}
