/** The data folder: made on first use, bound to one server name for ever, used by one server at a time. */
import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

import { messageOf } from '../command-line.ts'
import { StartError } from './start-error.ts'

export interface DataFolder {
  /** The run of a server that ended without letting the folder go: its runtime may still be there. */
  readonly crashedRun: string | undefined
  /** Binds the folder to the server's name, where it is not yet. */
  settle(): void
  /** What only tools on this machine know; the same at every start. */
  registrationSharedSecret(): string
  /** Lets another server have the folder. */
  release(): void
}

/** Claims the folder for this process under the name `run`. Throws StartError if it is another's. */
export function claimDataFolder(folder: string, serverName: string, run: string): DataFolder {
  try {
    mkdirSync(folder, { recursive: true })
    refuseForeignFolder(folder, serverName)
    const crashedRun = lock(folder, run)
    return {
      crashedRun,
      settle: () => keepOnce(join(folder, nameFile), () => serverName),
      registrationSharedSecret: () => keepOnce(secretIn(folder), () => randomBytes(24).toString('base64url')),
      release: () => rmSync(join(folder, lockFile), { force: true }),
    }
  } catch (error) {
    if (error instanceof StartError) throw error
    throw new StartError(`the data folder ${folder} cannot be used: ${messageOf(error)}`)
  }
}

/** The name of the restore that filled the folder; undefined where none did. */
export function restoredIn(folder: string): string | undefined {
  return readIfThere(join(folder, restoredFile))?.trim() || undefined
}

/** Where `npm run register` finds the secret of the server on this machine. */
export function secretIn(folder: string): string {
  return join(folder, 'registration-shared-secret')
}

export const nameFile = 'server-name'
export const lockFile = 'lock'
/** There while `npm run restore` fills the folder. */
export const restoringFile = 'restoring'
/** Written by `npm run restore`. */
export const restoredFile = 'restored'

/** Refuses a folder that is filled only in part. */
export function refuseUnrestored(folder: string): void {
  if (readIfThere(join(folder, restoringFile)) === undefined) return
  throw new StartError(`${folder} is being filled from a backup: the same npm run restore again finishes it`)
}

function refuseForeignFolder(folder: string, serverName: string): void {
  const known = readIfThere(join(folder, nameFile))?.trim()
  if (known === undefined) {
    const others = readdirSync(folder).filter((name) => name !== lockFile)
    if (others.length === 0) return
    throw new StartError(`${folder} is no data folder of a homeserver: it holds ${others[0]}; give --data another one`)
  }
  if (known !== serverName) {
    throw new StartError(
      `the data folder ${folder} belongs to ${known}, and a server cannot change its name: ` +
        `start with --server-name ${known}, or give --data another one`,
    )
  }
}

/** Takes the lock, from a dead holder if need be. Returns the run of the dead. */
function lock(folder: string, run: string): string | undefined {
  const file = join(folder, lockFile)
  let crashedRun: string | undefined
  for (;;) {
    try {
      writeNew(file, `${process.pid} ${bornAt(process.pid)} ${run}\n`)
      return crashedRun
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    const [pid, born, holder] = (readIfThere(file) ?? '').trim().split(' ')
    if (isRunning(Number(pid), born)) {
      throw new StartError(`the data folder ${folder} is in use by the server with process ID ${pid}`)
    }
    crashedRun = holder
    rmSync(file, { force: true })
  }
}

/** Is it that very process? After a crash, its ID can have passed to another one. */
function isRunning(pid: number, born: string | undefined): boolean {
  if (!Number.isSafeInteger(pid) || pid < 1) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it runs, as another user.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false
  }
  return born === bornAt(pid)
}

/** When a process was started, in the kernel's clock ticks since boot; '-' where the system does not tell, or it is over. */
function bornAt(pid: number): string {
  const stat = readIfThere(`/proc/${pid}/stat`) ?? ''
  // The second field is the program's name in parentheses and may hold anything. Of those behind it, the first is the
  // state (Z: dead, and nobody has asked yet how it died), the twentieth the time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' ? '-' : (fields[19] ?? '-')
}

/** The text of a file that is written at its first use and never again. */
function keepOnce(file: string, make: () => string): string {
  const known = readIfThere(file)?.trim()
  if (known) return known
  const text = make()
  rmSync(file, { force: true })
  writeNew(file, `${text}\n`)
  return text
}

/** Writes a file that must not be there yet, for this user only. */
function writeNew(file: string, text: string): void {
  const handle = openSync(file, 'wx', 0o600)
  writeSync(handle, text)
  closeSync(handle)
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
