/** Copies of a data folder: whole, each database in a state that it once was in, also while the server runs. */
import { randomUUID } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'

import { lockFile, nameFile, restoredFile } from '../serve/data-folder.ts'
import { BackupError } from './failure.ts'

export interface Copied {
  readonly databases: number
  readonly files: number
}

/** SQLite keeps these beside a database; what is in them is in the copy already. */
const beside = /-(?:wal|shm|journal)$/

/**
 * Copies `from` into the new folder `to`. The objects go before the database and the media last, so that whatever a copied row
 * speaks of is in the copy too.
 */
export async function copyDataFolder(from: string, to: string): Promise<Copied> {
  if (!existsSync(join(from, nameFile))) throw new BackupError(`${from} is no data folder of a homeserver`)
  if (existsSync(to) && readdirSync(to).length > 0) throw new BackupError(`${to} is there already, and not empty`)
  const unfinished = `${to}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  const count = { databases: 0, files: 0 }
  const files = readdirSync(from, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(from.length + 1))
    .filter((path) => path !== lockFile && !beside.test(path) && !path.startsWith('cache/'))
  for (const path of files.sort((a, b) => turnOf(a) - turnOf(b))) {
    const target = join(unfinished, path)
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
    if (path.endsWith('.sqlite')) {
      await copyDatabase(join(from, path), target)
      count.databases += 1
    } else if (existsSync(join(from, path))) {
      cpSync(join(from, path), target)
      count.files += 1
    }
  }
  rmSync(to, { recursive: true, force: true })
  mkdirSync(dirname(to), { recursive: true })
  renameSync(unfinished, to)
  return count
}

/** The same, into a folder that a server will use: it learns at its start that what it knows is old. */
export async function restoreDataFolder(from: string, to: string): Promise<Copied> {
  const copied = await copyDataFolder(from, to)
  writeFileSync(join(to, restoredFile), `${randomUUID()}\n`, { mode: 0o600 })
  return copied
}

async function copyDatabase(from: string, to: string): Promise<void> {
  const database = new DatabaseSync(from, { readOnly: true })
  try {
    await backup(database, to)
  } finally {
    database.close()
  }
}

function turnOf(path: string): number {
  if (path.startsWith('do/') || path.includes('durable')) return 0
  if (path.startsWith('r2/')) return 2
  return 1
}
