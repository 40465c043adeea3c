/** Where pushes may go: the specification's path over HTTPS, and never into a private network. */
import { expect, test } from 'vitest'

import { gatewayUrlFault } from '../../../worker/push/gateway-url.ts'

const path = '/_matrix/push/v1/notify'

test.each(['https://push.example', 'https://push.example:8443', 'https://8.8.8.8', 'https://[2606:4700::1]'])(
  '%s is a gateway',
  (origin) => {
    expect(gatewayUrlFault(origin + path, false)).toBeUndefined()
  },
)

test.each([
  'http://push.example',
  'ftp://push.example',
  'https://localhost',
  'https://gateway',
  'https://printer.local',
  'https://127.0.0.1',
  'https://0x7f.1',
  'https://2130706433',
  'https://10.0.0.1',
  'https://192.168.1.1',
  'https://169.254.169.254',
  'https://[::1]',
  'https://[::ffff:127.0.0.1]',
  'https://[fe80::1]',
  'https://metadata.google.internal',
  'https://user@push.example',
  'https://user:word@push.example',
])('%s is not', (origin) => {
  expect(gatewayUrlFault(origin + path, false)).toBeTypeOf('string')
})

test.each(['', 'push.example', 'https://', 7, null, undefined, {}, 'javascript:alert(1)'])('nor is %j', (text) => {
  expect(gatewayUrlFault(text, false)).toBe(gatewayUrlFault(text, true))
  expect(gatewayUrlFault(text, true)).toBeTypeOf('string')
})

test('the path is the one of the specification', () => {
  for (const other of [
    '',
    '/',
    '/_matrix/push/v1/notify/',
    '/_matrix/push/v1/notify/../x',
    '/x/_matrix/push/v1/notify',
  ]) {
    expect(gatewayUrlFault(`https://push.example${other}`, false)).toBeTypeOf('string')
  }
  expect(gatewayUrlFault(`https://push.example${path}?token=x`, false)).toBeUndefined()
})

test('a developer may use a gateway of their own machine', () => {
  expect(gatewayUrlFault(`http://127.0.0.1:5000${path}`, true)).toBeUndefined()
})
