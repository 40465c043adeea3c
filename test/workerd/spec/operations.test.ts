/**
 * The operations this server answers against the specification's list: nothing is mounted twice, and whatever bears the
 * name of a specified operation stands at its method and path. Prints for each where it is answered, and by which tests: the
 * file is the module that exports the operation; the tests are those in which the server answered it with success, as
 * `npm run test:operations` noted from the log of requests.
 */
import { expect, test } from 'vitest'

import type { Operation } from '../../../worker/operation.ts'
import { operations } from '../../../worker/operations.ts'
import { pathsOf } from '../../../worker/route.ts'
import answered from '../../fixtures/operation-tests.json'
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

/** Not specified for one's home, or for later: application services and single sign-on. */
const notHere = new Set([
  'cs POST /_matrix/client/v1/appservice/*/ping',
  'cs PUT /_matrix/client/v3/directory/list/appservice/*/*',
  'cs GET /_matrix/client/v1/auth_metadata',
  'cs GET /_matrix/client/v3/login/sso/redirect',
  'cs GET /_matrix/client/v3/login/sso/redirect/*',
])

/** The module that exports an operation, by itself or in a list. */
const modules = Object.entries(
  import.meta.glob<object>('../../../worker/{client-server,server-server,pages,backup}/*.ts', { eager: true }),
)
function fileOf(op: Operation): string | undefined {
  const found = modules.find(([, exported]) => Object.values(exported).flat().includes(op))
  return found?.[0].replace('../../../', '')
}

/**
 * What this server always refuses, since it has no phones, bridges, identity server or policies of its own: no test has it
 * answered, but one asks for it by this path.
 */
const refusedAlways: Readonly<Record<string, string>> = {
  bind3PID: '/3pid/bind',
  requestTokenToRegisterMSISDN: '/msisdn/requestToken',
  requestTokenTo3PIDMSISDN: '/msisdn/requestToken',
  requestTokenToResetPasswordMSISDN: '/msisdn/requestToken',
  getProtocolMetadata: '/thirdparty/',
  queryLocationByProtocol: '/thirdparty/',
  queryUserByProtocol: '/thirdparty/',
  queryLocationByAlias: '/thirdparty/',
  queryUserByID: '/thirdparty/',
  getWellknownPolicy: '/.well-known/matrix/policy_server',
  askPolicyServerToSign: '/_matrix/policy/v1/sign',
  queryInfo: '/query/weather',
}
const named = (path: string) => path.replace('../', 'test/workerd/').replace('./', 'test/workerd/spec/')
const sources = Object.entries(
  import.meta.glob<string>(['../**/*.test.ts', '!../{bad-input,spec}/**'], {
    query: '?raw',
    import: 'default',
    eager: true,
  }),
)

/** The tests that had it answered, those first that are about the fewest operations. */
const sizes = Object.entries<string>(answered).map(([file, ids]) => ({ file, ids: ids.split(', ') }))
const byFocus = sizes.toSorted((a, b) => a.ids.length - b.ids.length)
function testsOf(op: Operation): string[] {
  const { id, auth } = op.options
  const path = Object.hasOwn(refusedAlways, id) ? refusedAlways[id] : undefined
  if (path !== undefined) return sources.filter(([, text]) => text.includes(path)).map(([file]) => named(file))
  // In the log, what other servers sign is told apart from all else.
  const noted = `${auth === 'server' ? 'ss' : 'cs'} ${op.method} ${id}`
  return byFocus.filter(({ ids }) => ids.includes(noted)).map(({ file }) => file)
}

test('each has a file that answers it and a test in which it is answered', () => {
  const byRoute = new Map(operations.flatMap((op) => pathsOf(op).map((path) => [shape(op.method, path), op] as const)))
  const rows = specified
    .filter(({ api, route }) => !notHere.has(`${api} ${route}`))
    .map(({ api, route, id }) => {
      const op = byRoute.get(route)
      const tests = op ? testsOf(op) : []
      const shown = tests.slice(0, 2).map((file) => file.replace('test/workerd/', ''))
      return { row: `${api} ${route} (${id})`, file: op && fileOf(op), tests: shown, count: tests.length }
    })
  const table = rows.map(({ row, file, tests, count }) => `${row}\n    ${file} | ${count} tests: ${tests.join(', ')}`)
  console.log(`${rows.length} operations\n${table.join('\n')}`)
  expect(rows.length).toBeGreaterThanOrEqual(200)
  expect(rows.filter(({ file, count }) => file === undefined || count === 0).map(({ row }) => row)).toEqual([])
})

test('the tests that are named are there', () => {
  const present = new Set(Object.keys(import.meta.glob('../**/*.test.ts')).map(named))
  expect(Object.keys(answered).filter((file) => !present.has(file))).toEqual([])
})
