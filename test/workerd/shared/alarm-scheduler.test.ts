/** Named alarms: each rings at least once, the earliest first, and none keeps another from ringing. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, test, vi } from 'vitest'
import { AlarmScheduler } from '../../../durable-objects/shared/alarm-scheduler.ts'

type Name = 'tea' | 'cake'
const table = 'CREATE TABLE alarms(name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID'
/** Far enough away that the platform never rings by itself. */
const start = Date.now() + 1_000_000_000

interface Kitchen {
  readonly storage: DurableObjectStorage
  readonly alarms: AlarmScheduler<Name>
  readonly rung: Name[]
  readonly ring: (now: number) => Promise<void>
}

function kitchen(name: string, work: (kitchen: Kitchen) => Promise<void>): Promise<void> {
  return runInDurableObject(env.ROOM.get(env.ROOM.idFromName(name)), async (_, { storage }) => {
    storage.sql.exec(table)
    const alarms = new AlarmScheduler<Name>(storage)
    const rung: Name[] = []
    const ring = (now: number) =>
      alarms.run(now, { tea: async () => void rung.push('tea'), cake: async () => void rung.push('cake') })
    await work({ storage, alarms, rung, ring })
    await storage.deleteAlarm()
  })
}

test('aims the one alarm at the earliest name', () =>
  kitchen('earliest', async ({ storage, alarms, rung, ring }) => {
    alarms.ensure('cake', start + 20)
    alarms.ensure('tea', start + 10)
    expect(await storage.getAlarm()).toBe(start + 10)
    await ring(start + 10)
    expect(rung).toEqual(['tea'])
    expect(await storage.getAlarm()).toBe(start + 20)
    await ring(start + 20)
    expect(rung).toEqual(['tea', 'cake'])
    expect(await storage.getAlarm()).toBeNull()
  }))

test('keeps the earlier of two times, unless it is set anew', () =>
  kitchen('twice', async ({ storage, alarms }) => {
    alarms.ensure('tea', start + 10)
    alarms.ensure('tea', start + 50)
    expect(await storage.getAlarm()).toBe(start + 10)
    alarms.reset('tea', start + 50)
    expect(await storage.getAlarm()).toBe(start + 50)
    alarms.cancel('tea')
    expect(await storage.getAlarm()).toBeNull()
  }))

test('rings what a restarted object finds in its table', () =>
  kitchen('restart', async ({ storage, alarms, rung }) => {
    alarms.ensure('tea', start)
    const again = new AlarmScheduler<Name>(storage)
    await again.run(start, { tea: async () => void rung.push('tea'), cake: async () => {} })
    expect(rung).toEqual(['tea'])
    expect(storage.sql.exec('SELECT * FROM alarms').toArray()).toEqual([])
  }))

test('rings again what failed, and rings the others all the same', () =>
  kitchen('failing', async ({ storage, alarms, rung, ring }) => {
    alarms.ensure('cake', start)
    alarms.ensure('tea', start)
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {})
    await alarms.run(start, {
      cake: async () => {
        throw new Error('burnt')
      },
      tea: async () => void rung.push('tea'),
    })
    expect(errors).toHaveBeenCalledOnce()
    errors.mockRestore()
    expect(rung).toEqual(['tea'])
    const next = await storage.getAlarm()
    expect(next).toBeGreaterThan(start)
    await ring(next ?? 0)
    expect(rung).toEqual(['tea', 'cake'])
  }))

test('does not lose an alarm that its own handler sets', () =>
  kitchen('again', async ({ storage, alarms }) => {
    alarms.ensure('tea', start)
    await alarms.run(start, { tea: async () => alarms.reset('tea', start + 99), cake: async () => {} })
    expect(await storage.getAlarm()).toBe(start + 99)
  }))

test('drops a name that nobody handles any more', () =>
  kitchen('unknown', async ({ storage, ring }) => {
    storage.sql.exec("INSERT INTO alarms(name, at) VALUES ('soup', ?)", start)
    await ring(start)
    expect(storage.sql.exec('SELECT * FROM alarms').toArray()).toEqual([])
  }))
