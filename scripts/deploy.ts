/** `npm run deploy`: from a clone to one's own homeserver at Cloudflare. The course itself is deploy/wizard.ts. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { gzipSync } from 'node:zlib'

import { experimental_readRawConfig } from 'wrangler'

import {
  complain,
  describeOptions,
  messageOf,
  oneOf,
  type OptionSpec,
  type OptionValues,
  parseCommandLine,
} from './command-line.ts'
import { delegationSteps } from './delegation/delegation.ts'
import { DeployError } from './deploy/account.ts'
import { checkSettings } from './deploy/check-settings.ts'
import { configurationOf, type Target } from './deploy/configuration.ts'
import { failureOf } from './deploy/failures.ts'
import { knownMigrations } from './deploy/known-migrations.ts'
import { publicUrlFault, serverNameFault } from './deploy/names.ts'
import { wake } from './deploy/wake.ts'
import { deployServer, type World } from './deploy/wizard.ts'
import { realWrangler, wranglerFor } from './deploy/wrangler.ts'
import { doctorLines } from './doctor/report.ts'
import { realSurroundings } from './doctor/surroundings.ts'
import { firstAccountLink } from './register/first-account-link.ts'
import { isObject, type JsonObject, own } from '../worker/protocol/json/json.ts'
import type { SettingVariables } from '../worker/setting-variables.ts'

const table = {
  'server-name': { value: 'NAME', help: 'the part behind the colon in @you:NAME; for ever' },
  'public-url': {
    value: 'URL',
    help: 'where the Worker answers; https://matrix.NAME unless given',
    check: publicUrlFault,
  },
  worker: {
    value: 'NAME',
    help: 'name of the Worker and its database in the account; another one for a second server',
    fallback: 'hearth',
    check: (name) => (/^[a-z0-9][a-z0-9-]{0,50}$/.test(name) ? undefined : 'must be of a-z, 0-9 and -'),
  },
  apex: {
    value: 'route|elsewhere',
    help: 'who serves two files at the server name: the Worker by a route in a zone of this account, or another web server',
    check: oneOf('route', 'elsewhere'),
  },
  account: { value: 'ID', help: 'which account of this login', env: 'CLOUDFLARE_ACCOUNT_ID' },
  'new-signing-key': { help: 'the secret SIGNING_KEY is lost: end that key and have the Worker make one' },
  yes: { help: 'ask nothing: for scripts' },
  'dry-run': { help: 'bundle and check everything, send nothing; needs neither account nor network' },
} satisfies Record<string, OptionSpec>

const help = `Deploys the homeserver to Cloudflare, and finishes what an earlier run left unfinished.

  npm run deploy -- --dry-run --server-name example.org
  npm run deploy
  npm run deploy -- --server-name fox.example --public-url https://matrix.fox.example --apex elsewhere --yes

${describeOptions(table)}

Other settings stand in wrangler.toml.
`

const outputFolder = 'dist/deploy'

process.chdir(join(import.meta.dirname, '..'))
const line = parseCommandLine(table, process.argv.slice(2), { env: process.env })
if (!line.ok) complain(line.message)
else if (line.help) console.log(help)
else {
  try {
    await (line.options['dry-run'] === 'on' ? rehearse(line.options) : deploy(line.options))
  } catch (error) {
    if (!(error instanceof DeployError)) throw error
    complain(error.message)
  }
}

async function deploy(options: OptionValues<typeof table>): Promise<void> {
  const name = options['server-name']
  const fault = name === undefined ? undefined : serverNameFault(name)
  if (fault !== undefined) complain(`--server-name ${fault}: ${JSON.stringify(name)}`)
  const raw = readConfiguration()
  const wrangler = wranglerFor(options)
  const yes = options.yes === 'on'
  const apex = options.apex === 'route' || options.apex === 'elsewhere' ? options.apex : undefined
  const world: World = {
    wrangler,
    migrations: knownMigrations(),
    say: (text) => console.log(text),
    ask: (question, fallback) => (yes || !process.stdin.isTTY ? Promise.resolve(undefined) : ask(question, fallback)),
    complaints: ({ serverName, publicUrl }) =>
      checkSettings({ ...variablesIn(raw), SERVER_NAME: serverName, PUBLIC_URL: publicUrl }),
    writeConfiguration: (target) => writeConfiguration(raw, target),
    wake: (publicUrl) => wake(publicUrl),
    firstAccountLink: linkOnceKnown,
    async examine(serverName) {
      const { lines } = await doctorLines(serverName, realSurroundings({}))
      for (const text of lines) console.log(text)
    },
    newSecret: () => randomBytes(24).toString('base64url'),
    now: Date.now,
  }
  const { account, worker } = options
  const newSigningKey = options['new-signing-key'] === 'on'
  const names = { serverName: name, publicUrl: options['public-url'] }
  await deployServer({ worker, account, apex, newSigningKey, yes, ...names }, world)
}

/** A new secret takes some seconds to reach every place where the Worker runs: a refusal is asked again. */
async function linkOnceKnown(publicUrl: string, secret: string): Promise<string | undefined> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await firstAccountLink(publicUrl, secret)
    if (outcome.ok) return outcome.link
    if (outcome.reason === 'has_admin') return undefined
    if (attempt === 6) throw new DeployError({ what: outcome.message, next: 'npm run deploy again, in a minute' })
    await new Promise((resolve) => setTimeout(resolve, 5000))
  }
}

/** Everything that can be tried without an account: names, settings, the bundle and its size. */
async function rehearse(options: OptionValues<typeof table>): Promise<void> {
  const serverName = options['server-name'] ?? 'example.org'
  // The documentation's own name may be rehearsed with.
  const fault = serverName === 'example.org' ? undefined : serverNameFault(serverName)
  if (fault !== undefined) complain(`--server-name ${fault}: ${JSON.stringify(serverName)}`)
  const publicUrl = options['public-url'] ?? `https://matrix.${serverName}`
  const raw = readConfiguration()
  const names = { SERVER_NAME: serverName, PUBLIC_URL: publicUrl }
  const complaints = checkSettings({ ...variablesIn(raw), ...names }, { rehearsal: true })
  if (complaints.length > 0) complain(complaints.join('\nhearth: '))
  const target = { worker: options.worker, serverName, publicUrl, databaseId: '00000000-0000-0000-0000-000000000000' }
  const config = writeConfiguration(raw, { ...target, routes: [] })
  const bundle = resolve(outputFolder, 'bundle')
  rmSync(bundle, { recursive: true, force: true })
  const ran = await realWrangler(undefined)(['deploy', '--config', config, '--dry-run', '--outdir', bundle])
  const failure = failureOf(ran)
  if (failure) throw new DeployError(failure)
  const steps = delegationSteps(serverName, publicUrl)
  if (options.apex !== 'route') for (const step of steps) console.log(step)
  console.log(sizeOf(bundle))
  console.log('Nothing was sent: this was a rehearsal.')
}

/** wrangler.toml as it stands. */
function readConfiguration(): JsonObject {
  try {
    const raw: unknown = JSON.parse(JSON.stringify(experimental_readRawConfig({ config: 'wrangler.toml' }).rawConfig))
    return isObject(raw) ? raw : complain('wrangler.toml is no table')
  } catch (error) {
    return complain(messageOf(error))
  }
}

function variablesIn(raw: JsonObject): SettingVariables {
  const vars = own(raw, 'vars')
  const texts = Object.entries(isObject(vars) ? vars : {}).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : JSON.stringify(value),
  ])
  return { SERVER_NAME: '', ...Object.fromEntries(texts) }
}

function writeConfiguration(raw: JsonObject, target: Target): string {
  mkdirSync(outputFolder, { recursive: true })
  const path = join(outputFolder, 'wrangler.json')
  writeFileSync(path, JSON.stringify(configurationOf(raw, target, '../..'), undefined, 2))
  return path
}

async function ask(question: string, fallback: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return (await lines.question(`${question}${fallback && ` [${fallback}]`}: `)).trim() || fallback
  } finally {
    lines.close()
  }
}

/** A Worker may have 3 MB gzipped on the free plan, 10 MB on the paid one (November 2026). */
function sizeOf(folder: string): string {
  const code = readdirSync(folder).filter((name) => /\.(js|wasm)$/.test(name))
  const bytes = code.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name))).length, 0)
  return `${relative('.', folder)}: ${(bytes / 1024).toFixed(0)} KiB gzipped, of 3072 KiB that the free plan allows`
}
