/** The bill is what the price list says of what was counted; and the walk counts everything that a profile speaks of. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

import { billOf } from '../../scripts/cost/bill.ts'

const measured = new Map([
  ['say', { worker_requests: 2, object_requests: 4, object_ms: 1000, object_rows_written: 100 }],
  ['look', { worker_requests: 1, d1_rows_read: 10, r2_class_b: 1 }],
])

test('who does little pays the base price, or nothing', () => {
  const bill = billOf({ name: 'quiet', perDay: { say: 10, look: 10 } }, measured)
  expect(bill).toMatchObject({ total: 5, fitsFree: true })
  expect(bill.lines.every(({ cost }) => cost === 0)).toBe(true)
})

test('beyond what is included, each million has its price', () => {
  // 1 million a day: 60 million Worker requests, 120 million object requests, 3,000 million rows, in a month.
  const bill = billOf({ name: 'loud', perDay: { say: 1_000_000 } }, measured)
  const costOf = (name: string) => bill.lines.find((line) => line.name === name)?.cost
  expect(costOf('Worker requests')).toBeCloseTo(50 * 0.3)
  expect(costOf('object requests')).toBeCloseTo(119 * 0.15)
  expect(costOf('object rows written')).toBeCloseTo(2950 * 1)
  expect(costOf('object GB-s')).toBeCloseTo(((30_000_000 * 0.128 - 400_000) / 1e6) * 12.5)
  expect(bill.fitsFree).toBe(false)
})

test('what was not measured is no gift', () => {
  expect(() => billOf({ name: 'strange', perDay: { dance: 1 } }, measured)).toThrow('dance was not measured')
})

test('npm run cost walks all paths and prints what they use and what a month costs', { timeout: 120_000 }, async () => {
  const run = promisify(execFile)
  const { stdout } = await run(process.execPath, ['scripts/cost.ts', '--times', '2', '--rooms', '3', '--quiet', '150'])
  const cells = (name: string) =>
    stdout
      .split('\n')
      .find((line) => line.startsWith(`| ${name} |`))
      ?.split('|')
      .slice(2, -1)
      .map(Number)
  const [worker = 0, objects = 0, , written = 0] = cells('send a message') ?? []
  expect(worker).toBe(1)
  expect(objects).toBeGreaterThanOrEqual(1)
  expect(written).toBeGreaterThanOrEqual(6)
  expect(cells('upload a picture')?.[7]).toBe(1)
  expect(cells('download a picture')?.[8]).toBe(1)
  expect(cells('receive a message by federation')?.[3]).toBeGreaterThanOrEqual(5)
  expect(cells('sync, nothing in 30 s')?.[0]).toBe(1)
  expect(stdout.match(/a month on the paid plan/g)).toHaveLength(3)
})
