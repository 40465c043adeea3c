/** Migrations are append-only, and an object that has run others than these does not start. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'
import { migrate } from '../../../durable-objects/shared/migrate.ts'

const first = 'CREATE TABLE cups(id INTEGER PRIMARY KEY);'
const second = "ALTER TABLE cups ADD COLUMN colour TEXT; INSERT INTO cups(colour) VALUES ('blue');"

/** The storage of an object of its own: a room that nobody knows has no tables. */
function fresh(name: string, work: (storage: DurableObjectStorage) => void): Promise<void> {
  return runInDurableObject(env.ROOM.get(env.ROOM.idFromName(name)), (_, { storage }) => work(storage))
}

test('runs each migration once, in order', () =>
  fresh('once', (storage) => {
    migrate(storage, [first])
    migrate(storage, [first, second])
    migrate(storage, [first, second])
    expect(storage.sql.exec('SELECT colour FROM cups').toArray()).toEqual([{ colour: 'blue' }])
  }))

test('refuses a past that was changed', () =>
  fresh('changed', (storage) => {
    migrate(storage, [first, second])
    expect(() => migrate(storage, [first.replace('cups', 'mugs'), second])).toThrow('migration 0 was changed')
    expect(() => migrate(storage, [second, first])).toThrow('migration 0 was changed')
    expect(() => migrate(storage, [first, `${second} SELECT 1;`, 'SELECT 1;'])).toThrow('migration 1 was changed')
  }))

test('does not mind the layout of the text', () =>
  fresh('layout', (storage) => {
    migrate(storage, [first])
    expect(() => migrate(storage, [`\n  ${first.replace(' cups', '\n    cups')}\n`])).not.toThrow()
  }))

test('refuses tables that newer code has made', () =>
  fresh('newer', (storage) => {
    migrate(storage, [first, second])
    expect(() => migrate(storage, [first])).toThrow(
      'this object ran 2 migrations, but this version of the server knows 1',
    )
  }))

test('leaves nothing of a migration that fails, and tries it again', () =>
  fresh('failing', (storage) => {
    expect(() => migrate(storage, [first, 'CREATE TABLE saucers(id); INSERT INTO nowhere VALUES (1);'])).toThrow()
    expect(storage.sql.exec("SELECT name FROM sqlite_master WHERE name IN ('cups', 'saucers')").toArray()).toEqual([
      { name: 'cups' },
    ])
    migrate(storage, [first, second])
    expect(storage.sql.exec('SELECT colour FROM cups').toArray()).toEqual([{ colour: 'blue' }])
  }))
