/** The page for administrators holds nothing that is not for everybody, and runs nothing but its own script. */
import { createHash } from 'node:crypto'

import { expect, test } from 'vitest'

import { anonymous, registerUser } from '../client.ts'

test('it tells nobody anything before they sign in', async () => {
  await registerUser('unnamed-there')
  const { status, headers, text } = await anonymous.get('/_hearth/admin')
  expect(status).toBe(200)
  expect(headers.get('Content-Type')).toBe('text/html; charset=utf-8')
  expect(text).not.toContain('unnamed-there')
  expect(text.length).toBeLessThan(30_000)
  const policy = headers.get('Content-Security-Policy') ?? ''
  expect(policy).not.toContain('unsafe')
  const parts = [...text.matchAll(/<(script|style)>([^]*?)<\/\1>/g)].map(([, , inside = '']) => inside)
  expect(parts).toHaveLength(2)
  for (const part of parts) expect(policy).toContain(createHash('sha256').update(part).digest('base64'))
  // What the API tells is text to the script, never HTML.
  expect(text).not.toMatch(/innerHTML|insertAdjacentHTML|document\.write/)
})

test('invitations are there only where they let somebody in', async () => {
  expect((await anonymous.get('/_hearth/admin')).text).not.toContain('<button id="invite">')
})
