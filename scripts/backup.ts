/** `npm run backup`: a copy of a local server's data folder, also while it runs. */
import { resolve } from 'node:path'

import { CopyError, copyDataFolder } from './backup/copy-folder.ts'
import { complain, describeOptions, messageOf, type OptionSpec, parseCommandLine } from './command-line.ts'

const table = {
  data: { env: 'DATA_DIR', value: 'FOLDER', help: 'the data folder', fallback: 'data' },
  out: { value: 'FOLDER', help: 'where the copy goes: a folder that is not there yet' },
} satisfies Record<string, OptionSpec>

const line = parseCommandLine(table, process.argv.slice(2), { env: process.env })
if (!line.ok) complain(line.message)
else if (line.help) {
  console.log(`Copies a local server's data, whether it runs or not.\n\n  npm run backup -- --out FOLDER\n
${describeOptions(table)}\n`)
} else if (line.options.out === undefined) complain('--out says where the copy goes')
else {
  try {
    const { databases, files } = await copyDataFolder(resolve(line.options.data), resolve(line.options.out))
    console.log(`${line.options.out} has it all: ${databases} databases, ${files} other files`)
    console.log('It holds the keys of the server and the data of its users: keep it as safe as the server itself.')
  } catch (error) {
    complain(error instanceof CopyError ? error.message : `the copy was not finished: ${messageOf(error)}`)
  }
}
