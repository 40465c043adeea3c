/** What is told of a change of devices or of the profile, and to whom, by what the owner allows. */
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { expect, test } from 'vitest'

import { migrate } from '../../../durable-objects/shared/migrate.ts'
import {
  announce,
  type Announcer,
  type DeviceChange,
  hasDeviceChanges,
  noteDeviceChange,
} from '../../../durable-objects/user-sync/device-changes.ts'
import { migrations } from '../../../durable-objects/user-sync/migrations.ts'
import { loadStream } from '../../../durable-objects/user-sync/stream.ts'
import { nodeStorage } from '../../dsl/node-sql.ts'

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('a name that is none')
  return value
}
const alice = must(parseUserId('@alice:here.test'))
const bob = must(parseUserId('@bob:here.test'))
const there = must(parseServerName('there.test'))

/** A person with a device that has keys and one that has none, and a world that writes down what it is told. */
function person(tellsNames: boolean) {
  const storage = nodeStorage()
  migrate(storage, migrations)
  const stream = loadStream(storage.sql, () => 'epoch')
  const heard: (JsonObject | string)[] = []
  const world: Announcer = {
    tellsNames,
    joinedRooms: () => [],
    audienceOf: () => Promise.resolve({ users: [alice, bob], servers: [there] }),
    publicKeys: () =>
      Promise.resolve({
        devices: [
          { deviceId: 'PHONE', displayName: 'Telephone', keys: { user_id: alice } },
          { deviceId: 'BARE', displayName: 'Kitchen', keys: null },
        ],
        crossSigning: {},
      }),
    tellUsers: () => Promise.resolve(void heard.push('users: devices')),
    tellProfile: (users, fields) => Promise.resolve(void heard.push(`${users.length} users: ${fields.join()}`)),
    sendEdu: (edu) => Promise.resolve(void heard.push(edu)),
  }
  return async (...changes: DeviceChange[]) => {
    for (const change of changes) noteDeviceChange(storage.sql, change)
    await announce(storage.sql, stream, alice, world)
    expect(hasDeviceChanges(storage.sql)).toBe(false)
    return heard.splice(0)
  }
}

const renamed = (name: string): DeviceChange => ({ kind: 'renamed', name })
const named = (device_id: string, device_display_name: string) => ({
  edu_type: 'm.device_list_update',
  content: expect.objectContaining({ device_id, device_display_name }),
})

test('a new name goes to other servers, and to local users who see it along with keys', async () => {
  const tell = person(true)
  expect(await tell(renamed('PHONE'))).toEqual([named('PHONE', 'Telephone'), 'users: devices'])
  expect(await tell(renamed('BARE'))).toEqual([named('BARE', 'Kitchen')])
  expect(await tell({ kind: 'device', name: 'PHONE' }, renamed('PHONE'))).toHaveLength(2)
})

test('where the owner does not tell names, only local users hear of a new one', async () => {
  const tell = person(false)
  expect(await tell(renamed('PHONE'))).toEqual(['users: devices'])
  expect(await tell(renamed('BARE'))).toEqual([])
  const [edu] = await tell({ kind: 'device', name: 'PHONE' })
  expect(JSON.stringify(edu)).toContain('PHONE')
  expect(JSON.stringify(edu)).not.toContain('Telephone')
  // The first of its kind: what was not told took no place among the updates.
  expect(edu).toMatchObject({ content: { prev_id: [] } })
})

test('fields of the profile go to local users alone, whatever else there is to tell', async () => {
  const tell = person(true)
  const [tz, status]: DeviceChange[] = [
    { kind: 'profile', name: 'm.tz' },
    { kind: 'profile', name: 'm.status' },
  ]
  if (!tz || !status) throw new TypeError('no change')
  expect(await tell(tz, status)).toEqual(['2 users: m.tz,m.status'])
  expect(await tell(tz, { kind: 'device', name: 'PHONE' })).toEqual([
    '2 users: m.tz',
    named('PHONE', 'Telephone'),
    'users: devices',
  ])
})
