import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import journal from '../../../d1-migrations/meta/_journal.json'
import { migrations } from '../../../d1-migrations/index.ts'
import { migrate } from '../../../worker/set-up.ts'

const first = { name: '0000_first', sql: 'CREATE TABLE a(x);--> statement-breakpoint\nINSERT INTO a VALUES (1);' }
const second = { name: '0001_second', sql: 'ALTER TABLE a ADD COLUMN y;' }

const count = (table: string) => env.DB.prepare(`SELECT count(*) AS n FROM ${table}`).first<number>('n')

async function emptyDatabase() {
  await env.DB.batch(['a', 'b', 'applied_migrations'].map((table) => env.DB.prepare(`DROP TABLE IF EXISTS ${table}`)))
}

test('the list has every migration that drizzle-kit made, in its order', () => {
  expect(migrations.map(({ name }) => name)).toEqual(journal.entries.map(({ tag }) => tag))
})

test('every migration applies to an empty database', async () => {
  await emptyDatabase()
  await migrate(env.DB, migrations)
  expect(await count('applied_migrations')).toBe(migrations.length)
})

test('ten isolates that start at once apply each migration once', async () => {
  await emptyDatabase()
  await Promise.all(Array.from({ length: 10 }, () => migrate(env.DB, [first, second])))
  expect(await count('a')).toBe(1)
  expect(await count('applied_migrations')).toBe(2)
})

test('a later program adds what is new', async () => {
  await emptyDatabase()
  await migrate(env.DB, [first])
  await migrate(env.DB, [first, second])
  await env.DB.prepare('SELECT y FROM a').all()
})

test('a migration that fails leaves nothing behind and says so', async () => {
  await emptyDatabase()
  await migrate(env.DB, [first])
  const broken = {
    name: '0001_broken',
    sql: 'CREATE TABLE b(x);--> statement-breakpoint\nINSERT INTO nowhere VALUES (1);',
  }
  await expect(migrate(env.DB, [first, broken])).rejects.toThrow('0001_broken fails, the database is unchanged')
  await expect(count('b')).rejects.toThrow('no such table')
  expect(await count('applied_migrations')).toBe(1)
  // The mended program goes on from there.
  await migrate(env.DB, [first, second])
})

test('a changed past is refused', async () => {
  await emptyDatabase()
  await migrate(env.DB, [first, second])
  const changed = { ...first, sql: first.sql.replace('1', '2') }
  await expect(migrate(env.DB, [changed, second])).rejects.toThrow('another migration 0000_first')
  await expect(migrate(env.DB, [second, first])).rejects.toThrow('another migration')
})

test('line ends of another checkout are no other past', async () => {
  await emptyDatabase()
  await migrate(env.DB, [first])
  await migrate(env.DB, [{ ...first, sql: first.sql.replaceAll('\n', '\r\n') }])
})

test('an older program refuses a newer database', async () => {
  await emptyDatabase()
  await migrate(env.DB, [first, second])
  await expect(migrate(env.DB, [first])).rejects.toThrow('A newer version of this program')
})
