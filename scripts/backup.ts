/** `npm run backup`: a local server's data folder, or a deployed server, copied to a folder or a bucket. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { backUpServer, type Summary } from './backup/back-up-server.ts'
import { BackupError } from './backup/failure.ts'
import { withLocalServer } from './backup/local-server.ts'
import { withDeployed } from './backup/one-time-secret.ts'
import { progressOn, sizeOf } from './backup/progress.ts'
import { type ServerApi, serverApi } from './backup/server-api.ts'
import { openStore } from './backup/open-store.ts'
import {
  complain,
  describeOptions,
  isBaseUrl,
  messageOf,
  type OptionSpec,
  type OptionValues,
  parseCommandLine,
} from './command-line.ts'
import { DeployError } from './deploy/account.ts'
import { wranglerFor } from './deploy/wrangler.ts'
import { nameFile } from './serve/data-folder.ts'
import { StartError } from './serve/start-error.ts'

const table = {
  data: { env: 'DATA_DIR', value: 'FOLDER', help: 'a local server: its data folder', fallback: 'data' },
  worker: { value: 'NAME', help: 'a deployed server instead: the name of its Worker, hearth unless you chose another' },
  account: { value: 'ID', help: 'which account of this login', env: 'CLOUDFLARE_ACCOUNT_ID' },
  url: {
    value: 'URL',
    help: 'a server that has a BACKUP_SECRET already, which stands in the environment: docs/backup.md',
    check: isBaseUrl,
  },
  portable: { help: 'a local server that does not run, in the form that goes into an account too' },
  out: { value: 'FOLDER|s3://BUCKET/FOLDER', help: 'where the backup goes' },
} satisfies Record<string, OptionSpec>

const help = `Copies everything a homeserver knows. What was cut off goes on when the same command runs again.

  npm run backup -- --out FOLDER
  npm run backup -- --worker hearth --out FOLDER
  npm run backup -- --worker hearth --out s3://bucket/folder

${describeOptions(table)}

A bucket wants AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment.
`

const line = parseCommandLine(table, process.argv.slice(2), { env: process.env })
if (!line.ok) complain(line.message)
else if (line.help) console.log(help)
else {
  const { out } = line.options
  if (out === undefined) complain('--out says where the backup goes')
  try {
    await backUp(line.options, out)
  } catch (error) {
    const isKnown = [BackupError, DeployError, StartError].some((known) => error instanceof known)
    complain(
      isKnown ? messageOf(error) : `the backup was not finished: ${messageOf(error)}; the same command again goes on`,
    )
  }
}

async function backUp(options: OptionValues<typeof table>, out: string): Promise<void> {
  const { worker, url, account, portable, data } = options
  if ([worker, url, portable].filter((way) => way !== undefined).length > 1) {
    complain('one of --worker, --url and --portable')
  }
  const isCopy = worker === undefined && url === undefined && portable === undefined
  if (isCopy && out.startsWith('s3://')) complain('a bucket takes a deployed server, or one with --portable')
  if (isCopy) return copyFolder(resolve(data), resolve(out))
  const folder = resolve(data)
  const target = openStore(out, process.env)
  process.chdir(join(import.meta.dirname, '..'))
  const progress = progressOn(process.stderr)
  const work = (api: ServerApi) => backUpServer(api, target, progress)
  const say = (text: string) => console.log(text)
  if (worker !== undefined) {
    tell(out, await withDeployed(wranglerFor({ worker, account }), { worker, purpose: 'backup', say }, work))
  } else if (url !== undefined) {
    const secret = process.env['BACKUP_SECRET']
    if (!secret) return complain('--url needs BACKUP_SECRET in the environment')
    tell(out, await work(serverApi(url.replace(/\/+$/, ''), secret)))
  } else {
    const serverName = nameIn(folder)
    tell(out, await withLocalServer({ data: folder, serverName, purpose: 'backup' }, work))
  }
}

async function copyFolder(from: string, to: string): Promise<void> {
  // Brings SQLite, which only this way needs.
  const { copyDataFolder } = await import('./backup/copy-folder.ts')
  const { databases, files } = await copyDataFolder(from, to)
  console.log(`${to} has it all: ${databases} databases, ${files} other files`)
  warn()
}

function tell(out: string, { users, rooms, rows, files, bytes, kept }: Summary): void {
  const before = kept === 0 ? '' : `; ${kept} parts were there already`
  console.log(
    `${out} has it all: ${users} users, ${rooms} rooms, ${rows} rows of the database, ${files} files (${sizeOf(bytes)})${before}`,
  )
  warn()
}

function warn(): void {
  console.log('It holds the keys of the server and the data of its users: keep it as safe as the server itself.')
}

function nameIn(folder: string): string {
  const file = join(folder, nameFile)
  if (!existsSync(file)) throw new BackupError(`${folder} is no data folder of a homeserver`)
  return readFileSync(file, 'utf8').trim()
}
