/** Servers with other settings than the one that `exports.default` is: same database, same objects. */
import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'

import type { JsonObject } from '#protocol/json/json.ts'

import { createApp } from '../../../worker/app.ts'
import type { SettingVariables } from '../../../worker/setting-variables.ts'
import { type Answer, serverUrl } from '../client.ts'

/** Sends a request to a server with these settings. */
export async function ask<Body = JsonObject>(
  settings: Partial<SettingVariables>,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Pick<Answer<Body>, 'status' | 'body' | 'headers'>> {
  const context = createExecutionContext()
  const text = body === undefined ? {} : { body: JSON.stringify(body) }
  const request = new Request(serverUrl + path, { method, headers, ...text })
  const response = await createApp().fetch(request, { ...env, ...settings }, context)
  const answer: Body = await response.json()
  await waitOnExecutionContext(context)
  return { status: response.status, body: answer, headers: response.headers }
}
