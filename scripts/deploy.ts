/** `npm run deploy`: sends the Worker to Cloudflare with wrangler, after looking at its settings. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

import { unstable_readConfig } from 'wrangler'

import {
  complain,
  describeOptions,
  isBaseUrl,
  messageOf,
  type OptionSpec,
  type OptionValues,
  parseCommandLine,
} from './command-line.ts'
import type { SettingVariables } from '../worker/setting-variables.ts'
import { checkSettings } from './deploy/check-settings.ts'

const table = {
  'server-name': { value: 'NAME', help: 'in place of SERVER_NAME in wrangler.toml; the same at every deployment' },
  'public-url': { value: 'URL', help: 'in place of PUBLIC_URL in wrangler.toml', check: isBaseUrl },
  'dry-run': { help: 'bundle and check everything, send nothing; needs neither account nor network' },
} satisfies Record<string, OptionSpec>

const help = `Deploys the homeserver to Cloudflare: wrangler deploy, after a look at the settings in wrangler.toml.

  npm run deploy -- --dry-run
  npm run deploy

${describeOptions(table)}

Before the first time: npx wrangler login
After it, for the first account:
  npx wrangler secret put REGISTRATION_SHARED_SECRET
  npm run register -- NAME --admin --url PUBLIC_URL --secret SECRET
`

const outputFolder = 'dist/deploy'

process.chdir(join(import.meta.dirname, '..'))
const line = parseCommandLine(table, process.argv.slice(2))
if (!line.ok) complain(line.message)
else if (line.help) console.log(help)
else deploy(line.options)

function deploy(options: OptionValues<typeof table>): void {
  const rehearsal = options['dry-run'] === 'on'
  const overrides = {
    ...(options['server-name'] && { SERVER_NAME: options['server-name'] }),
    ...(options['public-url'] && { PUBLIC_URL: options['public-url'] }),
  }
  const variables = readVariables()
  const complaints = checkSettings({ ...variables, ...overrides }, { rehearsal })
  if (complaints.length > 0) complain(complaints.join('\nhearth: '))

  const args = ['deploy', ...Object.entries(overrides).flatMap(([name, value]) => ['--var', `${name}:${value}`])]
  if (rehearsal) args.push('--dry-run', '--outdir', outputFolder)
  const { status, error } = spawnSync(join('node_modules', '.bin', 'wrangler'), args, {
    stdio: 'inherit',
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false' },
  })
  if (error) complain(`wrangler cannot be started: ${error.message}; npm install puts it there`)
  if (status !== 0) process.exit(status ?? 1)
  if (rehearsal) reportSize()
}

/** [vars] of wrangler.toml. */
function readVariables(): SettingVariables {
  try {
    const { vars } = unstable_readConfig({ config: 'wrangler.toml' })
    const texts = Object.entries(vars).map(([name, value]) => [name, String(value)])
    return { SERVER_NAME: '', ...Object.fromEntries(texts) }
  } catch (error) {
    return complain(messageOf(error))
  }
}

/** A Worker may have 3 MB gzipped on the free plan, 10 MB on the paid one (November 2026). */
function reportSize(): void {
  const code = readdirSync(outputFolder).filter((name) => /\.(js|wasm)$/.test(name))
  const bytes = code.reduce((sum, name) => sum + gzipSync(readFileSync(join(outputFolder, name))).length, 0)
  console.log(`${outputFolder}: ${(bytes / 1024).toFixed(0)} KiB gzipped, of 3072 KiB that the free plan allows`)
}
