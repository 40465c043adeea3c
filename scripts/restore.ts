/** `npm run restore`: a data folder, or a deployed server, out of a backup. */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { BackupError } from './backup/failure.ts'
import { withLocalServer } from './backup/local-server.ts'
import { withDeployed } from './backup/one-time-secret.ts'
import { progressOn } from './backup/progress.ts'
import { type Backup, openBackup, type Restored, restoreServer } from './backup/restore-server.ts'
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
import { knownMigrations } from './deploy/known-migrations.ts'
import { wranglerFor } from './deploy/wrangler.ts'
import { restoringFile } from './serve/data-folder.ts'
import { StartError } from './serve/start-error.ts'

const table = {
  from: { value: 'FOLDER|s3://BUCKET/FOLDER', help: 'the backup; it is not changed' },
  data: {
    env: 'DATA_DIR',
    value: 'FOLDER',
    help: 'the data folder to make; it must not be there yet',
    fallback: 'data',
  },
  worker: { value: 'NAME', help: 'into a deployed server without accounts instead (npm run deploy makes one)' },
  account: { value: 'ID', help: 'which account of this login', env: 'CLOUDFLARE_ACCOUNT_ID' },
  url: {
    value: 'URL',
    help: 'into a server that has a BACKUP_SECRET already, which stands in the environment: docs/backup.md',
    check: isBaseUrl,
  },
} satisfies Record<string, OptionSpec>

const help = `Makes a server out of a backup. What was cut off goes on when the same command runs again.

  npm run restore -- --from FOLDER
  npm run restore -- --from s3://bucket/folder --data data
  npm run restore -- --from FOLDER --worker hearth

${describeOptions(table)}

A bucket wants AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment.
`

const line = parseCommandLine(table, process.argv.slice(2), { env: process.env })
if (!line.ok) complain(line.message)
else if (line.help) console.log(help)
else {
  const { from } = line.options
  if (from === undefined) complain('--from says where the backup is')
  try {
    await restore(line.options, from)
  } catch (error) {
    const isKnown = [BackupError, DeployError, StartError].some((known) => error instanceof known)
    complain(isKnown ? messageOf(error) : `nothing was finished: ${messageOf(error)}; the same command again goes on`)
  }
}

async function restore(options: OptionValues<typeof table>, from: string): Promise<void> {
  const { worker, url, account } = options
  if (worker !== undefined && url !== undefined) complain('one of --worker and --url')
  const data = resolve(options.data)
  const store = openStore(from, process.env)
  process.chdir(join(import.meta.dirname, '..'))
  const known = knownMigrations().map(({ name }) => name)
  const backup = await openBackup(store, known)
  if (!backup) {
    if (worker !== undefined || url !== undefined) {
      const next = 'npm run backup -- --portable copies a local server in that form'
      throw new BackupError(`${from} is no backup that a deployed server takes`, next)
    }
    // Brings SQLite, which only this way needs.
    const { restoreDataFolder } = await import('./backup/copy-folder.ts')
    const { databases, files } = await restoreDataFolder(resolve(from), data)
    console.log(`${options.data} is made: ${databases} databases, ${files} other files. npm start goes on with it.`)
    return
  }
  const progress = progressOn(process.stderr)
  const work = (api: ServerApi) => restoreServer(api, store, backup, progress)
  const say = (text: string) => console.log(text)
  if (worker !== undefined) {
    tell(
      worker,
      backup,
      await withDeployed(wranglerFor({ worker, account }), { worker, purpose: 'restore', say }, work),
    )
  } else if (url !== undefined) {
    const secret = process.env['BACKUP_SECRET']
    if (!secret) return complain('--url needs BACKUP_SECRET in the environment')
    tell(url, backup, await work(serverApi(url.replace(/\/+$/, ''), secret)))
    console.log(
      'Restart it now (a Worker: npm run deploy): so far it signs with the key that it had while it was empty.',
    )
  } else {
    tell(options.data, backup, await intoFolder(data, backup, work))
    console.log(`npm start -- --server-name ${backup.serverName} goes on with it.`)
  }
}

/** A folder that holds nothing, or what a run of before left. */
async function intoFolder(data: string, { serverName }: Backup, work: (api: ServerApi) => Promise<Restored>) {
  const isThere = existsSync(data) && readdirSync(data).length > 0
  const mark = join(data, restoringFile)
  if (isThere && !existsSync(mark))
    throw new BackupError(`${data} is there already, and not empty`, 'give another --data')
  const restored = await withLocalServer({ data, serverName, purpose: 'restore', mark }, work)
  rmSync(mark)
  return restored
}

function tell(what: string, { serverName, beganAt }: Backup, { objects, files, lost }: Restored): void {
  const less = lost === 0 ? '' : `; ${lost} rows were left out whose others were deleted while the backup was made`
  console.log(`${what} is ${serverName} as of ${beganAt}: ${objects} objects, ${files} files${less}`)
}
