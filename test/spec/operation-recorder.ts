/**
 * A reporter that notes which test files had which operations answered, from the server's own log of requests, in
 * `test/fixtures/operation-tests.json`: what test/workerd/spec/operations.test.ts prints as a table. Files that did not run keep
 * what was noted of them. Run by `npm run test:operations`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { UserConsoleLog } from 'vitest'
import type { Reporter, TestModule, Vitest } from 'vitest/node'

const file = join(import.meta.dirname, '../fixtures/operation-tests.json')
const root = join(import.meta.dirname, '../..')

export default class OperationRecorder implements Reporter {
  readonly #answered = new Map<string, Set<string>>()
  #vitest: Vitest | undefined

  onInit(vitest: Vitest): void {
    this.#vitest = vitest
  }

  onUserConsoleLog({ content, taskId }: UserConsoleLog): void {
    const entity = taskId === undefined ? undefined : this.#vitest?.state.idMap.get(taskId)
    if (!entity) return
    const name = entity.file.filepath.slice(root.length + 1)
    // What goes through all operations says nothing of any.
    if (name.startsWith('test/workerd/bad-input/')) return
    for (const line of content.split('\n')) {
      const operation = operationIn(line)
      if (operation === undefined) continue
      const known = this.#answered.get(name) ?? new Set()
      this.#answered.set(name, known.add(operation))
    }
  }

  /** What broke off says too little: the files that passed are noted. */
  onTestRunEnd(modules: readonly TestModule[]): void {
    const passed = new Set(modules.filter((each) => each.ok()).map(({ moduleId }) => moduleId.slice(root.length + 1)))
    const before: Record<string, string> = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
    for (const [name, operations] of this.#answered)
      if (passed.has(name)) before[name] = [...operations].toSorted().join(', ')
    const kept = Object.entries(before).filter(([name]) => existsSync(join(root, name)))
    const sorted = Object.fromEntries(kept.toSorted(([a], [b]) => (a < b ? -1 : 1)))
    writeFileSync(file, `${JSON.stringify(sorted, null, 1)}\n`)
    console.log(`${passed.size} test files noted`)
  }
}

/** `api method id` of an operation that was answered, in a line of the server's log; undefined for any other line. */
function operationIn(line: string): string | undefined {
  if (!line.includes('"event":"request"')) return undefined
  try {
    const { operation, method, status, origin } = JSON.parse(line.slice(line.indexOf('{')))
    if (operation === undefined || status >= 400) return undefined
    return `${origin === undefined ? 'cs' : 'ss'} ${method} ${operation}`
  } catch {
    return undefined
  }
}
