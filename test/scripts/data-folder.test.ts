import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { claimDataFolder, secretIn } from '../../scripts/serve/data-folder.ts'

let folder: string
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'hearth-test-')), 'data')
})
afterEach(() => rmSync(join(folder, '..'), { recursive: true }))

test('a server that could not start has not bound the folder to its name', () => {
  claimDataFolder(folder, 'wrong.example', 'run-1').release()
  const data = claimDataFolder(folder, 'right.example', 'run-2')
  data.settle()
  data.release()
  expect(() => claimDataFolder(folder, 'wrong.example', 'run-3')).toThrow('belongs to right.example')
  claimDataFolder(folder, 'right.example', 'run-4').release()
})

test('one server at a time', () => {
  const data = claimDataFolder(folder, 'fox.example', 'run-1')
  expect(() => claimDataFolder(folder, 'fox.example', 'run-2')).toThrow(
    `in use by the server with process ID ${process.pid}`,
  )
  data.release()
  expect(claimDataFolder(folder, 'fox.example', 'run-3').crashedRun).toBeUndefined()
})

test('the lock of the dead is void, also where another process has their ID by now', () => {
  mkdirSync(folder)
  // We run, but were not born at the tick 1 after boot.
  writeFileSync(join(folder, 'lock'), `${process.pid} 1 run-of-the-dead\n`)
  expect(claimDataFolder(folder, 'fox.example', 'run-1').crashedRun).toBe('run-of-the-dead')
})

test.each(['', 'nonsense', '-1 - x', '0 - x', '999999999 12 x'])('a lock that says %j is void', (text) => {
  mkdirSync(folder)
  writeFileSync(join(folder, 'lock'), text)
  expect(() => claimDataFolder(folder, 'fox.example', 'run-1')).not.toThrow()
})

test('a folder of something else is left alone', () => {
  mkdirSync(folder)
  writeFileSync(join(folder, 'thesis.tex'), '')
  expect(() => claimDataFolder(folder, 'fox.example', 'run-1')).toThrow('it holds thesis.tex')
})

test('what cannot be a folder is refused', () => {
  writeFileSync(folder, '')
  expect(() => claimDataFolder(folder, 'fox.example', 'run-1')).toThrow('cannot be used')
})

test('the secret is made once, for the owner alone', () => {
  const secret = claimDataFolder(folder, 'fox.example', 'run-1').registrationSharedSecret()
  expect(secret.length).toBeGreaterThanOrEqual(32)
  expect(statSync(secretIn(folder)).mode & 0o777).toBe(0o600)
  expect(readFileSync(secretIn(folder), 'utf8').trim()).toBe(secret)
})
