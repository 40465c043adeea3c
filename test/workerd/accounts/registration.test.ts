import { expect, test } from 'vitest'

import { registerUser } from '../client.ts'

test('someone registers and is signed in', async () => {
  const alice = await registerUser('alice')
  expect(await alice.get('/account/whoami')).toMatchObject({
    status: 200,
    body: { user_id: '@alice:test.local', device_id: alice.deviceId, is_guest: false },
  })
})
