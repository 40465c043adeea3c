import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { bundleWorker, prebuiltWorker } from '../../scripts/build/bundle.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test('the Worker is bundled when something has changed, and only then', { timeout: 30_000 }, async () => {
  expect(prebuiltWorker(folder)).toBeUndefined()
  expect(await bundleWorker(folder)).toMatchObject({ built: true })
  expect(await bundleWorker(folder)).toMatchObject({ built: false })
  expect(prebuiltWorker(folder)?.modules[0]).toEqual({ type: 'ESModule', path: join(folder, 'worker.js') })

  rmSync(join(folder, 'worker.js'))
  expect(await bundleWorker(folder)).toMatchObject({ built: true })
  writeFileSync(join(folder, 'worker.stamp.json'), '{"recipe":"older settings","inputs":{}}')
  expect(await bundleWorker(folder)).toMatchObject({ built: true })
})

test('WebAssembly beside the bundle is a module too; what an older bundle left is cleared away', async () => {
  writeFileSync(join(folder, 'old.wasm'), '')
  writeFileSync(join(folder, 'worker.js'), '')
  expect(prebuiltWorker(folder)?.modules).toContainEqual({ type: 'CompiledWasm', path: join(folder, 'old.wasm') })
  await bundleWorker(folder)
  expect(existsSync(join(folder, 'old.wasm'))).toBe(false)
})
