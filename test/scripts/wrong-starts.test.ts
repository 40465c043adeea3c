import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { freePort } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const occupied = createServer()
let port: number
beforeAll(async () => {
  port = await freePort()
  occupied.listen(port, '127.0.0.1')
  await once(occupied, 'listening')
  writeFileSync(join(folder, 'not-a-certificate'), 'hello\n')
})
afterAll(() => {
  occupied.close()
  rmSync(folder, { recursive: true })
})

const at = (name: string) => join(folder, name)

const wrong: [what: string, args: () => string[], message: () => string][] = [
  ['an unknown option', () => ['--prot', '80'], () => 'unknown option --prot; --help lists them'],
  ['a CA file that is not there', () => ['--ca', at('ca')], () => `${at('ca')} cannot be read`],
  ['a CA file without certificates', () => ['--ca', at('not-a-certificate')], () => 'holds no PEM certificate'],
  [
    'a certificate that is none',
    () => ['--federation-port=1', `--tls-cert=${at('not-a-certificate')}`, `--tls-key=${at('not-a-certificate')}`],
    () => 'are no certificate and its key in PEM',
  ],
  ['a data folder that is a file', () => ['--data', at('not-a-certificate')], () => 'cannot be used'],
  ['an occupied port', () => ['--port', String(port)], () => `port ${port} on 127.0.0.1 is in use by another program`],
  ['an address of another machine', () => ['--bind', '192.0.2.1'], () => 'cannot listen on 192.0.2.1:'],
]

test.concurrent.each(wrong)(
  '%s: one line and exit code 2',
  async (what, args, message) => {
    const data = at(what.replaceAll(' ', '-'))
    const { code, output, errors } = await run(args().includes('--data') ? args() : ['--data', data, ...args()])
    expect(code).toBe(2)
    expect(output).toBe('')
    expect(errors).toMatch(/^hearth: [^\n]+\n$/)
    expect(errors).toContain(message())
    // Whatever was wrong, the next start is not bound by it.
    expect(readdirSync(folder).includes(what.replaceAll(' ', '-')) ? readdirSync(data) : []).toEqual([])
  },
  30_000,
)

function run(args: string[]): Promise<{ code: unknown; output: string; errors: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['scripts/serve.ts', ...args], (error, output, errors) =>
      resolve({ code: error?.code ?? 0, output, errors }),
    )
  })
}
