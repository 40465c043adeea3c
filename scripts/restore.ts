/** `npm run restore`: a data folder out of a backup. */
import { resolve } from 'node:path'

import { CopyError, restoreDataFolder } from './backup/copy-folder.ts'
import { complain, describeOptions, messageOf, type OptionSpec, parseCommandLine } from './command-line.ts'

const table = {
  from: { value: 'FOLDER', help: 'the backup; it is not changed' },
  data: {
    env: 'DATA_DIR',
    value: 'FOLDER',
    help: 'the data folder to make; it must not be there yet',
    fallback: 'data',
  },
} satisfies Record<string, OptionSpec>

const line = parseCommandLine(table, process.argv.slice(2), { env: process.env })
if (!line.ok) complain(line.message)
else if (line.help) {
  console.log(
    `Makes a data folder out of a backup.\n\n  npm run restore -- --from FOLDER\n\n${describeOptions(table)}\n`,
  )
} else if (line.options.from === undefined) complain('--from says where the backup is')
else {
  try {
    const { databases, files } = await restoreDataFolder(resolve(line.options.from), resolve(line.options.data))
    console.log(
      `${line.options.data} is made: ${databases} databases, ${files} other files. npm start goes on with it.`,
    )
  } catch (error) {
    complain(error instanceof CopyError ? error.message : `nothing was restored: ${messageOf(error)}`)
  }
}
