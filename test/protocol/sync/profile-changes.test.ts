/** What is kept of changes in other people's profiles: for whom, how many, and for how long. */
import { expect, test } from 'vitest'

import { migrate } from '../../../durable-objects/shared/migrate.ts'
import { migrations } from '../../../durable-objects/user-sync/migrations.ts'
import {
  forgetProfileChanges,
  noteProfileChange,
  profileChangesAfter,
} from '../../../durable-objects/user-sync/profile-changes.ts'
import { loadStream } from '../../../durable-objects/user-sync/stream.ts'
import { nodeStorage } from '../../dsl/node-sql.ts'

function stream() {
  const storage = nodeStorage()
  migrate(storage, migrations)
  const position = loadStream(storage.sql, () => 'epoch')
  const count = () => storage.sql.exec<{ n: number }>('SELECT count(*) AS n FROM profile_changes').toArray()[0]?.n
  return {
    count,
    at: () => position.position,
    note: (userId: string, ...fields: string[]) => noteProfileChange(storage.sql, position, { userId, fields }),
    read: (after: number, fields: readonly string[] | '*' = '*', today = 0) =>
      profileChangesAfter(storage.sql, position, { fields, after, today }),
    forget: (today: number) => forgetProfileChanges(storage.sql, today),
  }
}

test('nothing is kept for whom nobody asks, and who begins has missed everything', () => {
  const { note, read, count, at } = stream()
  expect(note('@a:x', 'm.tz')).toBe(false)
  expect(read(at(), [])).toEqual({ changed: [], isLate: false })
  expect(note('@a:x', 'm.tz')).toBe(false)
  expect(read(at())).toEqual({ changed: [], isLate: true })
  expect(count()).toBe(0)
  const begun = at()
  expect(note('@a:x', 'm.tz', 'm.status')).toBe(true)
  expect(note('@b:x', 'm.tz')).toBe(true)
  const theirs = { userId: '@b:x', fields: ['m.tz'] }
  expect(read(begun).changed).toEqual([{ userId: '@a:x', fields: ['m.tz', 'm.status'] }, theirs])
  expect(read(begun, ['m.status']).changed).toEqual([{ userId: '@a:x', fields: ['m.status'] }])
  const heard = at()
  expect(read(heard)).toEqual({ changed: [], isLate: false })
  expect(read(begun - 1).isLate).toBe(true)
})

test('only the newest change of a field is kept, and so many of all', () => {
  const { note, read, count, at } = stream()
  read(0)
  const begun = at()
  for (let n = 0; n < 100; n++) note('@a:x', 'm.tz')
  expect(count()).toBe(1)
  const before = at()
  for (let n = 0; n < 12_000; n++) note('@a:x', `org.example.field${n}`)
  expect(count()).toBeLessThan(10_600)
  // Whose token is older than what went has missed something.
  expect(read(begun).isLate).toBe(true)
  expect(read(before).isLate).toBe(true)
  expect(read(at() - 9_000)).toMatchObject({ isLate: false })
  expect(read(at() - 9_000).changed[0]?.fields).toHaveLength(9_000)
})

test('a month after the last request nothing is kept any more', () => {
  const { note, read, count, forget, at } = stream()
  read(0, '*', 100)
  note('@a:x', 'm.tz')
  const heard = at()
  forget(130)
  expect(count()).toBe(1)
  forget(131)
  expect(count()).toBe(0)
  expect(note('@a:x', 'm.tz')).toBe(false)
  expect(read(heard, '*', 140).isLate).toBe(true)
})
