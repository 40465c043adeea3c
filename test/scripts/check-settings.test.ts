import { describe, expect, test } from 'vitest'

import { checkSettings } from '../../scripts/deploy/check-settings.ts'

const good = { SERVER_NAME: 'fox.example', PUBLIC_URL: 'https://matrix.fox.example', REGISTRATION: 'closed' }
const delivered = { SERVER_NAME: 'example.org', PUBLIC_URL: 'https://matrix.example.org', REGISTRATION: 'closed' }

describe('before a deployment', () => {
  test('good settings pass', () => {
    expect(checkSettings(good)).toEqual([])
  })

  test("the example's names do not go out, but can be rehearsed with", () => {
    expect(checkSettings(delivered)).toEqual([
      expect.stringContaining('SERVER_NAME is still the example'),
      expect.stringContaining('PUBLIC_URL is still the example'),
    ])
    expect(checkSettings(delivered, { rehearsal: true })).toEqual([])
  })

  test.each([
    [{ SERVER_NAME: 'not a name' }, 'SERVER_NAME is not a Matrix server name'],
    [{ REGISTRATION: 'maybe' }, 'REGISTRATION must be one of'],
    [{ PUBLIC_URL: 'http://matrix.fox.example' }, 'PUBLIC_URL must begin with https://'],
    [{ ALLOW_PRIVATE_ADDRESSES: 'on' }, 'ALLOW_PRIVATE_ADDRESSES is for development only'],
    [{ RATE_LIMITS: 'off' }, 'RATE_LIMITS must be on'],
    [{ REGISTRATION_SHARED_SECRET: 'x' }, 'npx wrangler secret put REGISTRATION_SHARED_SECRET'],
    [{ SIGNING_KEY: 'x' }, 'npx wrangler secret put SIGNING_KEY'],
    [{ TURN_KEY_API_TOKEN: 'x' }, 'npx wrangler secret put TURN_KEY_API_TOKEN'],
    [{ LIVEKIT_API_SECRET: 'x' }, 'npx wrangler secret put LIVEKIT_API_SECRET'],
    [{ MAIL_TOKEN: 'x' }, 'npx wrangler secret put MAIL_TOKEN'],
    [{ REGISTRATION_EMAIL: 'required' }, 'REGISTRATION_EMAIL = "required" needs MAIL_FROM'],
  ])('%j stands in the way', (change, message) => {
    expect(checkSettings({ ...good, ...change })).toEqual([expect.stringContaining(message)])
  })
})
