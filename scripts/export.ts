/** `npm run export -- @user`: one user's data as readable files. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { BackupError } from './backup/failure.ts'
import { withLocalServer } from './backup/local-server.ts'
import { progressOn, sizeOf } from './backup/progress.ts'
import {
  complain,
  describeOptions,
  isBaseUrl,
  messageOf,
  type OptionSpec,
  type OptionValues,
  parseCommandLine,
} from './command-line.ts'
import { exportUser, type Exported } from './export/export-user.ts'
import { serverApi } from './backup/server-api.ts'
import { nameFile } from './serve/data-folder.ts'
import { StartError } from './serve/start-error.ts'

const table = {
  out: { value: 'FOLDER', help: 'where the files go; unless given, a folder by the name of the user' },
  url: { value: 'URL', help: 'a server that runs, here or elsewhere; with --token', check: isBaseUrl },
  token: {
    value: 'TOKEN',
    help: 'access token of the user, or of an administrator',
    env: 'HEARTH_TOKEN',
  },
  data: {
    env: 'DATA_DIR',
    value: 'FOLDER',
    help: 'a local server that does not run: its data folder',
    fallback: 'data',
  },
} satisfies Record<string, OptionSpec>

const help = `Writes what a server keeps of one user: profile, devices, settings, rooms, their own messages, their files.

  npm run export -- @alice:example.org
  npm run export -- @alice:example.org --url https://matrix.example.org --token TOKEN

${describeOptions(table)}

It holds no keys: encrypted messages stay as they are. A client exports those in clear.
`

const line = parseCommandLine(table, process.argv.slice(2), { env: process.env, words: 1 })
if (!line.ok) complain(line.message)
else if (line.help) console.log(help)
else {
  const [user] = line.words
  if (user === undefined) complain('whose data? npm run export -- @alice:example.org')
  try {
    await run(user, line.options)
  } catch (error) {
    const isKnown = error instanceof BackupError || error instanceof StartError
    complain(isKnown ? messageOf(error) : `the export was not finished: ${messageOf(error)}`)
  }
}

async function run(user: string, { out, url, token, data }: OptionValues<typeof table>): Promise<void> {
  const folder = resolve(out ?? user.replaceAll(/[^\w.-]+/g, '_').replace(/^_/, ''))
  if (existsSync(join(folder, 'account.json')))
    throw new BackupError(`${folder} holds an export already`, 'give another --out')
  const progress = progressOn(process.stderr)
  if (url !== undefined) {
    if (token === undefined) return complain('--url needs --token, of the user or of an administrator')
    return tell(folder, await exportUser(serverApi(url.replace(/\/+$/, ''), token), 'export', user, folder, progress))
  }
  const from = resolve(data)
  const file = join(from, nameFile)
  if (!existsSync(file))
    throw new BackupError(`${from} is no data folder of a homeserver`, '--url and --token ask one that runs')
  process.chdir(join(import.meta.dirname, '..'))
  const serverName = readFileSync(file, 'utf8').trim()
  const whole = user.includes(':') ? user : `@${user.replace(/^@/, '')}:${serverName}`
  const work = { data: from, serverName, purpose: 'backup' } as const
  tell(folder, await withLocalServer(work, (api) => exportUser(api, 'backup/export', whole, folder, progress)))
}

function tell(folder: string, { rooms, events, files, bytes }: Exported): void {
  console.log(`${folder}: ${rooms} rooms, ${events} messages and other events, ${files} files (${sizeOf(bytes)})`)
}
