/**
 * The story of encryption (test/dsl/encryption-story.ts) on one server of ours, and with a user on each of two.
 *
 * HEARTH_MESSAGES=1000 makes it a long run: every message is read by every device, with three restarts on the way.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'

import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'
import { type Homes, tellEncryptionStory } from '../dsl/encryption-story.ts'
import { openLink } from '../interop/setup/link.ts'

const tls = join(import.meta.dirname, '../fixtures/tls')
const messages = Number(process.env['HEARTH_MESSAGES'] ?? 30)

interface Home {
  readonly base: string
  readonly link: Awaited<ReturnType<typeof openLink>>
  server: BackgroundServer
  start(): Promise<BackgroundServer>
}

async function home(folder: string, label: string): Promise<Home> {
  const [port, federation, named] = [await freePort(), await freePort(), await freePort()]
  const options = [
    `--server-name=127.0.0.1:${named}`,
    `--port=${port}`,
    `--federation-port=${federation}`,
    `--tls-cert=${join(tls, 'server.pem')}`,
    `--tls-key=${join(tls, 'server.key')}`,
    `--ca=${join(tls, 'ca.pem')}`,
    `--data=${join(folder, label)}`,
    '--rate-limits=off',
    '--allow-private-addresses=on',
  ]
  const link = await openLink(named, federation)
  const start = () => startInBackground('scripts/serve.ts', options)
  return { base: `http://127.0.0.1:${port}`, link, server: await start(), start }
}

async function open(count: number): Promise<Homes> {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
  const homes = await Promise.all(Array.from({ length: count }, (_, index) => home(folder, `home${index}`)))
  const at = (base: string) => {
    const found = homes.find((each) => each.base === base)
    if (!found) throw new TypeError(`nobody lives at ${base}`)
    return found
  }
  const [first, last] = [homes[0]?.base ?? '', homes.at(-1)?.base ?? '']
  return {
    first,
    last,
    kill: (base) => at(base).server.end('SIGKILL'),
    start: async (base) => {
      at(base).server = await at(base).start()
    },
    ...(count > 1 && {
      whileCut: async (work) => {
        for (const { link } of homes) link.cut()
        try {
          return await work()
        } finally {
          for (const { link } of homes) link.heal()
        }
      },
    }),
    end: async () => {
      await Promise.all(homes.map(({ server }) => server.end('SIGTERM')))
      for (const { link } of homes) link.close()
      rmSync(folder, { recursive: true })
    },
  }
}

describe.each([
  ['one server', 1],
  ['two servers', 2],
] as const)('on %s', (_, count) => {
  tellEncryptionStory(() => open(count), messages)
})
