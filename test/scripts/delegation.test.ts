import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

import { configurationOf } from '../../scripts/deploy/configuration.ts'
import { knownMigrations } from '../../scripts/deploy/known-migrations.ts'
import { publicUrlFault, serverNameFault } from '../../scripts/deploy/names.ts'
import { delegationOf, delegationSteps } from '../../scripts/delegation/delegation.ts'

describe('server names for ever', () => {
  test.each(['fox.example', 'my-fox.co.uk', 'xn--fx-yka.example', 'matrix.fox.example'])('%s is good', (name) => {
    expect(serverNameFault(name)).toBeUndefined()
  })
  test.each([
    ['', 'not a Matrix server name'],
    ['fox', 'no dot'],
    ['Fox.example', 'capital letters'],
    ['https://fox.example', 'web address'],
    ['@me:fox.example', 'behind the colon'],
    ['fox.example:8448', 'has a port'],
    ['fox_den.example', 'not a Matrix server name'],
    ['fuchs\u00fc.example', 'not a Matrix server name'],
    ['192.0.2.1', 'is an address'],
    ['[2001:db8::1]', 'is an address'],
    ['999.1.1.1', 'not a Matrix server name'],
    ['fox..example', 'no domain'],
    ['-fox.example', 'no domain'],
    ['fox.example.', 'no domain'],
    ['fox.1', 'no domain'],
    ['example.org', 'nobody'],
    ['matrix.localhost', 'nobody'],
    ['fox.workers.dev', "Cloudflare's"],
    [`${'a.'.repeat(120)}example`, 'too long'],
    ["fox.example' OR 1=1 --", 'not a Matrix server name'],
  ])('%s is refused', (name, why) => {
    expect(serverNameFault(name)).toContain(why)
  })
  test.each([
    ['http://matrix.fox.example', 'https://'],
    ['matrix.fox.example', 'https://'],
    ['https://matrix.fox.example:8448', 'no port'],
    ['https://matrix.fox.example/matrix', 'a host alone'],
    ['https://192.0.2.1', 'in a domain of yours'],
    ['https://matrix.example.org', 'nobody'],
  ])('the address %s is refused', (url, why) => {
    expect(publicUrlFault(url)).toContain(why)
  })
})

describe('what is to be added', () => {
  test('where the name is the address: nothing', () => {
    expect(delegationOf('fox.example', 'https://fox.example').direct).toBe(true)
    expect(delegationSteps('fox.example', 'https://fox.example')).toEqual([])
  })

  test('else both files, as the documentation has them', () => {
    const steps = delegationSteps('example.org', 'https://matrix.example.org')
    const guide = readFileSync('docs/delegation.md', 'utf8')
    for (const { url, body } of delegationOf('example.org', 'https://matrix.example.org').files) {
      expect(steps).toContain(`  ${url}`)
      expect(steps).toContain(`      ${body}`)
      expect(guide).toContain(`\`${url}\``)
      expect(guide).toContain(`return 200 '${body}';`)
      expect(steps).toContain(`    return 200 '${body}';`)
    }
  })
})

describe('the configuration of a deployment', () => {
  const raw = { name: 'hearth', main: 'worker/index.ts', keep_vars: true, vars: { REGISTRATION: 'closed' }, rules: [] }
  const target = {
    worker: 'den',
    serverName: 'fox.example',
    publicUrl: 'https://matrix.fox.example',
    databaseId: 'id',
    routes: [{ pattern: 'fox.example/.well-known/matrix/*', zone: 'fox.example' }],
  }
  test("has this account's names and IDs, and what the owner has set", () => {
    expect(configurationOf(raw, target, '../..')).toMatchObject({
      name: 'den',
      main: '../../worker/index.ts',
      workers_dev: false,
      vars: { REGISTRATION: 'closed', SERVER_NAME: 'fox.example', PUBLIC_URL: 'https://matrix.fox.example' },
      d1_databases: [{ binding: 'DB', database_name: 'den', database_id: 'id' }],
      r2_buckets: [{ binding: 'MEDIA', bucket_name: 'den-media' }],
      routes: [
        { pattern: 'matrix.fox.example', custom_domain: true },
        { pattern: 'fox.example/.well-known/matrix/*', zone_name: 'fox.example' },
      ],
    })
  })
  test('an address under workers.dev is no custom domain', () => {
    const there = { ...target, publicUrl: 'https://den.fox.workers.dev', routes: [] }
    expect(configurationOf(raw, there, '../..')).toMatchObject({ workers_dev: true, routes: [] })
  })
  test('a plain wrangler deploy finds database and bucket by name, and leaves the names of the server alone', () => {
    const toml = readFileSync('wrangler.toml', 'utf8')
    expect(toml).toMatch(/^keep_vars = true$/m)
    expect(toml).not.toMatch(/^(?:SERVER_NAME|PUBLIC_URL|database_id) =/m)
    expect(readFileSync('.dev.vars.example', 'utf8')).toMatch(/^SERVER_NAME=/m)
  })
})

test('the list of migrations is that of the Worker', () => {
  const known = knownMigrations()
  const index = readFileSync('d1-migrations/index.ts', 'utf8')
  expect(known.map(({ name }) => name)).toEqual([...index.matchAll(/name: '(\w+)'/g)].map(([, name]) => name))
  expect(known[0]?.sql).toContain('CREATE TABLE')
})

test(
  'npm run deploy -- --dry-run: with the real wrangler, without account and network',
  { timeout: 120_000 },
  async () => {
    const offline = { CLOUDFLARE_API_TOKEN: '', HTTPS_PROXY: 'http://127.0.0.1:9', HTTP_PROXY: 'http://127.0.0.1:9' }
    const rehearsed = await deploy(['--dry-run', '--server-name', 'example.org'], offline)
    expect(rehearsed.printed).toMatch(/dist\/deploy\/bundle: \d{3,4} KiB gzipped/)
    expect(rehearsed.printed).toContain('{"m.server":"matrix.example.org:443"}')
    expect(rehearsed.code).toBe(0)
    const wrong = await deploy(['--dry-run', '--server-name', 'Fox.example'], offline)
    expect(wrong).toMatchObject({ code: 2, printed: expect.stringContaining('capital letters') })
  },
)

test('and in earnest without a login: one sentence and a way on', { timeout: 120_000 }, async () => {
  const home = mkdtempSync(join(tmpdir(), 'hearth-test-'))
  const nowhere = { CLOUDFLARE_API_TOKEN: '', HOME: home, XDG_CONFIG_HOME: home, CI: '1' }
  const { code, printed } = await deploy(['--server-name', 'fox.example', '--yes'], nowhere)
  rmSync(home, { recursive: true })
  expect(printed).toMatch(/^hearth: you are not logged in to Cloudflare\n {2}→ npx wrangler login/)
  expect(code).toBe(2)
})

function deploy(args: string[], env: Record<string, string>): Promise<{ code: unknown; printed: string }> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env } }
    execFile(process.execPath, ['scripts/deploy.ts', ...args], options, (error, output, errors) =>
      resolve({ code: error?.code ?? 0, printed: output + errors }),
    )
  })
}
