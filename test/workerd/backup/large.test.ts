/** What is too large to be held whole is read as somebody takes it, and never passes a mixture off as a backup. */
import { gunzipSync } from 'node:zlib'

import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import { dumpStorage } from '../../../durable-objects/shared/dump.ts'
import { dumpDatabase } from '../../../worker/backup/dump-database.ts'
import { type DumpLine, parseDumpLine } from '../../../worker/backup/dump-line.ts'
import { registerUser } from '../client.ts'

const rows = 2_000

/** An object with a table of some megabytes. */
function withLarge(name: string, work: (storage: DurableObjectStorage) => Promise<void>): Promise<void> {
  return runInDurableObject(env.ROOM.get(env.ROOM.idFromName(name)), async (_, { storage }) => {
    storage.sql.exec('CREATE TABLE words(id INTEGER PRIMARY KEY, word TEXT NOT NULL, bytes BLOB)')
    for (let id = 0; id < rows; id++) {
      storage.sql.exec(
        'INSERT INTO words VALUES (?, ?, ?)',
        id,
        crypto.randomUUID().repeat(40),
        new Uint8Array([id % 256]),
      )
    }
    await work(storage)
  })
}

const linesOf = (bytes: ArrayBuffer): DumpLine[] =>
  gunzipSync(bytes)
    .toString()
    .trimEnd()
    .split('\n')
    .map((text) => parseDumpLine(text) ?? expect.fail(text.slice(0, 100)))
const small = { mostHeld: 1, pieceSize: 100_000 }

test('a large object is whole where nobody writes', () =>
  withLarge('large and quiet', async (storage) => {
    const lines = linesOf(await dumpStorage(storage, 'ROOM', 'large', small).arrayBuffer())
    expect(lines.at(-1)).toEqual({ end: rows })
    const values = lines.flatMap((line) => ('rows' in line ? line.values : []))
    expect(values).toHaveLength(rows)
    expect(values[300]).toEqual([300, expect.any(String), { bytes: 'LA' }])
  }))

test('and says so where somebody wrote while it was read', () =>
  withLarge('large and busy', async (storage) => {
    const reader = dumpStorage(storage, 'ROOM', 'large', small).body?.getReader()
    const chunks: Uint8Array[] = []
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true }
      if (done || !value) break
      chunks.push(value)
      if (chunks.length === 2) storage.sql.exec("UPDATE words SET word = 'changed' WHERE id = 1999")
    }
    const lines = linesOf(await new Blob(chunks).arrayBuffer())
    expect(lines.at(-1)).toEqual({ changed: true })
    expect(lines.some((line) => 'end' in line)).toBe(false)
  }))

test('what is held was read in one turn: a later write is not in it, and does no harm', () =>
  withLarge('held', async (storage) => {
    const answer = dumpStorage(storage, 'ROOM', 'held')
    storage.sql.exec('DELETE FROM words')
    const lines = linesOf(await answer.arrayBuffer())
    expect(lines.at(-1)).toEqual({ end: rows })
  }))

test('a large database is read page by page, children before parents', async () => {
  for (const name of ['page-one', 'page-two', 'page-three']) await registerUser(name)
  const whole = linesOf(await (await dumpDatabase(env.DB)).arrayBuffer())
  const paged = linesOf(await (await dumpDatabase(env.DB, { mostAtOnce: 0, pageSize: 2 })).arrayBuffer())
  const rowsIn = (lines: readonly DumpLine[], table: string) =>
    lines.flatMap((line) => ('rows' in line && line.rows === table ? line.values : []))
  for (const table of ['users', 'devices', 'access_tokens', 'profiles', 'applied_migrations']) {
    expect(rowsIn(paged, table).length, table).toBeGreaterThanOrEqual(3)
    expect(rowsIn(paged, table), table).toEqual(rowsIn(whole, table))
  }
  expect(paged.at(-1)).toEqual(whole.at(-1))
  const order = paged.flatMap((line) => ('rows' in line ? [line.rows] : []))
  expect(order.lastIndexOf('access_tokens')).toBeLessThan(order.indexOf('devices'))
  expect(order.lastIndexOf('devices')).toBeLessThan(order.indexOf('users'))
})
