/** The data folder: made on first use, bound to one server name for ever, used by one server at a time. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { StartError } from './start-error.ts'

/** Claims the folder for this process. Returns what lets it go again. */
export function claimDataFolder(folder: string, serverName: string): () => void {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    throw new StartError(`the data folder ${folder} cannot be made: ${messageOf(error)}`)
  }
  const nameFile = join(folder, 'server-name')
  const known = readIfThere(nameFile)?.trim()
  if (known === undefined) writeFileSync(nameFile, `${serverName}\n`)
  else if (known !== serverName) {
    throw new StartError(
      `the data folder ${folder} belongs to ${known}; a server cannot change its name: start with --server-name ${known} or another --data`,
    )
  }
  const lock = join(folder, 'lock')
  const holder = Number(readIfThere(lock))
  if (holder && holder !== process.pid && isRunning(holder)) {
    throw new StartError(`the data folder ${folder} is in use by process ${holder}`)
  }
  writeFileSync(lock, String(process.pid))
  return () => rmSync(lock, { force: true })
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

/** True for a process that runs this program: a process ID can have passed to another one after a crash. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  const command = readIfThere(`/proc/${pid}/cmdline`)
  return command === undefined || command.includes('serve.ts')
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
