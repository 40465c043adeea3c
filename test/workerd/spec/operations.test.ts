/**
 * The operations this server answers against the specification's list: nothing is mounted twice, and whatever bears the
 * name of a specified operation stands at its method and path. Prints how far the list is covered.
 */
import { expect, test } from 'vitest'

import { operations } from '../../../worker/operations.ts'
import { pathsOf } from '../../../worker/route.ts'
import list from '../../fixtures/spec-operations.tsv?raw'

interface Specified {
  readonly api: string
  readonly route: string
  readonly id: string
}

/** Parameters by position: their names differ between the specification and here. */
const shape = (method: string, path: string) =>
  `${method} ${path.replaceAll(/\{[^}]*\}|:[A-Za-z]+/g, '*').replace(/\/$/, '')}`

const specified: Specified[] = list
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [api = '', method = '', path = '', id = ''] = line.split('\t')
    return { api, route: shape(method, path), id }
  })

const ours = new Set(operations.flatMap((op) => pathsOf(op).map((path) => shape(op.method, path))))

test('the list is whole', () => {
  expect(specified.filter(({ api }) => api === 'cs').length).toBeGreaterThan(160)
  expect(specified.filter(({ api }) => api === 'ss').length).toBeGreaterThan(30)
})

test('no method and path is mounted twice', () => {
  const routes = operations.flatMap((op) => pathsOf(op).map((path) => `${op.method} ${path}`))
  expect(routes.filter((route, index) => routes.indexOf(route) !== index)).toEqual([])
})

test('what is specified stands where the specification has it', () => {
  const missing = specified.filter(({ route }) => !ours.has(route))
  const covered = specified.length - missing.length
  console.log(`specified operations answered: ${covered} of ${specified.length}`)
  console.log(missing.map(({ api, route }) => `  not yet: ${api} ${route}`).join('\n'))
  // Only grows.
  expect(covered).toBeGreaterThanOrEqual(150)
})
