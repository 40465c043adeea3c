/** What an upload uses of R2, as it is billed. */
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import { openMediaWriter } from '../../../r2-media/media-store.ts'
import { meter, units } from '../../../worker/observe/meter.ts'
import { streamOf } from './media.ts'

const mebibyte = 1024 * 1024

test.each([
  [1, 1],
  [8 * mebibyte, 1],
  // Begun, three parts, put together.
  [17 * mebibyte, 5],
])('an upload of %i bytes is %i operations', async (size, operations) => {
  meter({ ...env, METER: 'on' })
  const before = units.r2_class_a
  const writer = openMediaWriter(env.MEDIA, `local/metered-${size}`, size)
  for await (const chunk of streamOf(size, mebibyte)) await writer.write(chunk)
  await writer.finish()
  expect(units.r2_class_a - before).toBe(operations)
})
