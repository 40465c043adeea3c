/** The settings of message retention: what the owner writes, and what the server makes of it. */
import { describe, expect, it } from 'vitest'

import { checkSettings } from '../../scripts/deploy/check-settings.ts'
import { parseOptions } from '../../scripts/serve/options.ts'
import type { SettingVariables } from '../../worker/setting-variables.ts'
import { settingsOf } from '../../worker/settings.ts'

const day = 86_400_000
const retention = (variables: Partial<SettingVariables>) =>
  settingsOf({ SERVER_NAME: 'example.org', ...variables }).retention

it('keeps messages for ever unless the owner says otherwise', () => {
  expect(retention({})).toBeUndefined()
  expect(retention({ RETENTION: '' })).toBeUndefined()
  expect(retention({ RETENTION: 'off' })).toBeUndefined()
})

it('follows rooms alone where nothing else is said', () => {
  const nothing = { min: undefined, max: undefined }
  expect(retention({ RETENTION: 'on' })).toEqual({ defaults: nothing, allowed: nothing })
  expect(retention({ RETENTION: 'on', RETENTION_MAX_LIFETIME: '' })).toEqual({ defaults: nothing, allowed: nothing })
})

it.each([
  ['90s', 90_000],
  ['15m', 900_000],
  ['12h', day / 2],
  ['30d', 30 * day],
  ['8w', 56 * day],
  ['1y', 365 * day],
])('takes %s for a time', (text, lifetime) => {
  const found = retention({ RETENTION: 'on', RETENTION_MAX_LIFETIME: text, RETENTION_ALLOWED_MAX: text })
  expect(found).toMatchObject({ defaults: { max: lifetime }, allowed: { max: lifetime } })
})

describe('what cannot be is said in one line', () => {
  const good = { SERVER_NAME: 'fox.example', PUBLIC_URL: 'https://matrix.fox.example', REGISTRATION: 'closed' }
  const on = { RETENTION: 'on' }

  it.each<[Partial<SettingVariables>, string]>([
    [{ RETENTION: 'yes' }, 'RETENTION must be one of off, on, not "yes"'],
    [{ RETENTION_MAX_LIFETIME: '30d' }, 'RETENTION_MAX_LIFETIME needs RETENTION = "on"'],
    [{ RETENTION: 'off', RETENTION_ALLOWED_MIN: '30d' }, 'RETENTION_ALLOWED_MIN needs RETENTION = "on"'],
    ...['30', '0d', '-1d', '1.5d', '30 d', '30D', 'forever', '1234567d'].map((text): [object, string] => [
      { ...on, RETENTION_MAX_LIFETIME: text },
      `RETENTION_MAX_LIFETIME must be a time such as 30d, 12h, 8w or 1y, not "${text}"`,
    ]),
    [
      { ...on, RETENTION_MIN_LIFETIME: '2d', RETENTION_MAX_LIFETIME: '1d' },
      'RETENTION_MIN_LIFETIME must not be longer than RETENTION_MAX_LIFETIME',
    ],
    [
      { ...on, RETENTION_ALLOWED_MIN: '2d', RETENTION_ALLOWED_MAX: '1d' },
      'RETENTION_ALLOWED_MIN must not be longer than RETENTION_ALLOWED_MAX',
    ],
    [
      { ...on, RETENTION_ALLOWED_MIN: '2d', RETENTION_MAX_LIFETIME: '1d' },
      'RETENTION_ALLOWED_MIN must not be longer than RETENTION_MAX_LIFETIME',
    ],
    [
      { ...on, RETENTION_MAX_LIFETIME: '1y', RETENTION_ALLOWED_MAX: '30d' },
      'RETENTION_MAX_LIFETIME must not be longer than RETENTION_ALLOWED_MAX',
    ],
  ])('%j', (variables, line) => {
    expect(checkSettings({ ...good, ...variables })).toEqual([line])
  })
})

it('can be given to a server on this machine', () => {
  const args = ['--retention', 'on', '--retention-max-lifetime', '1y', '--retention-allowed-min=1d']
  const parsed = parseOptions(args, { RETENTION_ALLOWED_MAX: '2y' }, '/srv/hearth')
  expect(parsed).toMatchObject({
    ok: true,
    options: {
      variables: {
        RETENTION: 'on',
        RETENTION_MAX_LIFETIME: '1y',
        RETENTION_ALLOWED_MIN: '1d',
        RETENTION_ALLOWED_MAX: '2y',
      },
    },
  })
  expect(parseOptions(['--retention', 'perhaps'], {}, '/srv/hearth')).toMatchObject({ ok: false })
  expect(parseOptions(['--retention=on', '--retention-max-lifetime=30'], {}, '/srv/hearth')).toMatchObject({
    ok: false,
    message: expect.stringContaining('must be a time such as 30d'),
  })
})
