/**
 * What is behind a URL, for a user: from D1 while it is fresh, else from the web, fetched once however many ask.
 *
 * Spec: client-server-api/#get_matrixclientv1mediapreview_url. Nobody waits for another longer than a fetch may take, and
 * who finds an older answer while somebody else fetches the new one gets the older.
 */
import type { JsonObject } from '#protocol/json/json.ts'
import * as v from 'valibot'

import { claimPreview, findPreview, type PreviewKey, settlePreview } from '../../accounts/url-previews.ts'
import { jsonObject } from '../../client-server/parameters.ts'
import type { Env } from '../../env.ts'
import { refuse } from '../../refusal.ts'
import type { Settings } from '../../settings.ts'
import { previewTimeoutMs } from './fetch-web.ts'
import { makePreview } from './make-preview.ts'

interface PreviewCall {
  readonly env: Env
  readonly settings: Settings
  readonly request: Request
  waitUntil(work: Promise<unknown>): void
}

const maxUrlLength = 2048
const claimMs = previewTimeoutMs + 10_000
/** A page that fails is not asked again at once. */
const failedForMs = 60_000
const pauseMs = 250
/** What a user is told; the platform's own words are not for them. */
const said = {
  refused_address: 'that address is not asked',
  unreachable: 'the page cannot be reached',
  timeout: 'the page takes too long',
  too_large: 'the page is too large',
  too_many_redirects: 'the page leads on and on',
}

const keptAnswer = v.variant('kind', [
  v.object({ kind: v.literal('made'), properties: jsonObject }),
  // An earlier version kept `bad_gateway` for what is not found.
  v.object({
    kind: v.literal('failed'),
    reason: v.picklist(['forbidden', 'not_found', 'bad_gateway']),
    message: v.string(),
  }),
])
type KeptAnswer = v.InferOutput<typeof keptAnswer>

/** The Open Graph object. Refuses what is no web address with M_INVALID_PARAM, and with M_NOT_FOUND where nothing answers: no fault of ours. */
export async function urlPreview(call: PreviewCall, text: string): Promise<JsonObject> {
  const url = text.length <= maxUrlLength ? URL.parse(text) : null
  if (!url || !/^https?:$/.test(url.protocol)) return refuse('invalid_param', 'url must be an http or https URL')
  url.hash = ''
  const key = { url: url.href, language: languageOf(call.request) }
  const deadline = Date.now() + claimMs
  while (Date.now() < deadline) {
    const known = await findPreview(call.env, key)
    if (known?.answer !== null && known?.answer !== undefined && (known.isFresh || known.isClaimed)) {
      return told(v.parse(keptAnswer, JSON.parse(known.answer)))
    }
    if (!known?.isClaimed && (await claimPreview(call.env, key, claimMs))) {
      const work = fetchAndKeep(call, url, key)
      // Others may wait for it when this client does no more.
      call.waitUntil(work.catch(() => undefined))
      return told(await work)
    }
    await scheduler.wait(pauseMs)
  }
  return refuse('not_found', 'The page takes too long')
}

async function fetchAndKeep({ env, settings }: PreviewCall, url: URL, key: PreviewKey): Promise<KeptAnswer> {
  try {
    const signal = AbortSignal.timeout(previewTimeoutMs)
    const made = await makePreview(env, url, { settings, web: env.WEB, language: key.language, signal })
    const answer: KeptAnswer = made.ok
      ? { kind: 'made', properties: made.properties }
      : {
          kind: 'failed',
          reason: made.kind === 'refused_address' ? 'forbidden' : 'not_found',
          message: said[made.kind],
        }
    await settlePreview(env, key, {
      answer: JSON.stringify(answer),
      freshForMs: made.ok ? made.freshForMs : failedForMs,
    })
    return answer
  } catch (error) {
    await settlePreview(env, key)
    throw error
  }
}

function told(answer: KeptAnswer): JsonObject {
  if (answer.kind === 'made') return answer.properties
  return refuse(answer.reason === 'forbidden' ? 'forbidden' : 'not_found', `No preview: ${answer.message}`)
}

/** Languages as a header may name them, and not so many that each client has its own. */
function languageOf({ headers }: Request): string {
  const given = headers.get('Accept-Language') ?? ''
  return /^[\w\-*,;=. ]{1,100}$/.test(given) ? given : ''
}
