/** Where a backup lies: a folder, or a bucket that speaks S3. A file appears only when all of it is there. */
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { BackupError } from './failure.ts'

export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

export interface Store {
  /** For people. */
  readonly where: string
  /** Sizes of what is there below a folder, by name. */
  list(folder: string): Promise<ReadonlyMap<string, number>>
  /** Writes a file; nothing is there of it where `chunks` throws. */
  put(name: string, chunks: Chunks): Promise<void>
  /** Undefined where there is no such file. */
  read(name: string): Promise<Readable | undefined>
}

export function folderStore(folder: string): Store {
  const pathOf = (name: string) => join(folder, checkedName(name))
  return {
    where: folder,
    list(below) {
      const root = pathOf(below)
      const entries = existsSync(root) ? readdirSync(root, { recursive: true, withFileTypes: true }) : []
      const files = entries.filter((entry) => entry.isFile() && !entry.name.endsWith('.part'))
      return Promise.resolve(
        new Map(
          files.map(({ parentPath, name }) => {
            const path = join(parentPath, name)
            return [path.slice(folder.length + 1), statSync(path).size]
          }),
        ),
      )
    },
    async put(name, chunks) {
      const path = pathOf(name)
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      const part = `${path}.part`
      try {
        await pipeline(chunks, createWriteStream(part, { mode: 0o600 }))
      } catch (error) {
        rmSync(part, { force: true })
        throw error
      }
      renameSync(part, path)
    },
    read(name) {
      const path = pathOf(name)
      return Promise.resolve(existsSync(path) ? createReadStream(path) : undefined)
    },
  }
}

/** Names come from the server too: none may lead out of the folder. */
export function checkedName(name: string): string {
  if (/^[\w=.-]+(?:\/[\w=.-]+)*$/.test(name) && !name.split('/').includes('..')) return name
  throw new BackupError(`the server gives a file the name ${JSON.stringify(name)}, which is none of ours`)
}

export async function putJson(store: Store, name: string, value: object): Promise<void> {
  await store.put(name, [Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`)])
}

/** Undefined where it is not there. */
export async function readJson(store: Store, name: string): Promise<unknown> {
  const stream = await store.read(name)
  if (!stream) return undefined
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(Buffer.from(chunk))
  try {
    return JSON.parse(Buffer.concat(chunks).toString())
  } catch {
    throw new BackupError(`${name} in ${store.where} is damaged`)
  }
}
