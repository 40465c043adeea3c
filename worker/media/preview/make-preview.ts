/**
 * Makes the preview of a URL: an Open Graph object as clients show it.
 *
 * Spec: client-server-api/#get_matrixclientv1mediapreview_url. No URL of the page's pictures is passed on: a client that
 * followed one would tell a stranger where its user is.
 */
import { isObject, type JsonObject } from '#protocol/json/json.ts'

import { cleanFileName, fileNameOf } from '../../../r2-media/content-disposition.ts'
import type { Env } from '../../env.ts'
import type { FetchFailure } from '../../federation-client/fetch-capped.ts'
import { softwareName } from '../../software.ts'
import { fetchWeb, readStart, type WebQuestion } from './fetch-web.ts'
import { type EmbedFacts, readEmbed } from './oembed.ts'
import { pageText } from './page-text.ts'
import { copyImage, keepImage } from './preview-image.ts'
import { cleanText, type PageFacts, readPage } from './read-page.ts'
import { isForbidden, type Wishes, wishesOf } from './robots.ts'

export type MadePreview =
  | { readonly ok: true; readonly properties: JsonObject; readonly freshForMs: number }
  | FetchFailure

/** Of a longer page the start is read. */
const maxPageBytes = 1_000_000
const maxEmbedBytes = 65_536
/** "The parsing limit MUST be at least 500 kibibytes." */
const maxRobotsBytes = 512_000
const maxTextBytes = 4096
const maxTextLength = 300
const accept = 'text/html,application/xhtml+xml,image/*;q=0.9,text/plain;q=0.8,*/*;q=0.1'
const hour = 3_600_000
const leastFreshMs = hour / 6
const mostFreshMs = 24 * hour

/** Empty properties for what cannot be shown; a failure where there was no answer. */
export async function makePreview(env: Env, url: URL, question: WebQuestion): Promise<MadePreview> {
  if (await isUnwanted(url, question)) return { ok: false, kind: 'refused_address', message: 'robots.txt' }
  const fetched = await fetchWeb(url, accept, question)
  if (!fetched.ok) return fetched
  const { response } = fetched
  const properties = await propertiesOf(env, fetched.url, response, question)
  if (properties) return { ok: true, properties, freshForMs: freshnessOf(response.headers.get('Cache-Control')) }
  return { ok: false, kind: 'unreachable', message: 'the answer broke off' }
}

/** Whether the site says that this program must not look there. Where it says nothing, or cannot be asked, it may. */
async function isUnwanted(url: URL, question: WebQuestion): Promise<boolean> {
  const fetched = await fetchWeb(new URL('/robots.txt', url), 'text/plain', question)
  const bytes = fetched.ok ? await readStart(fetched.response, maxRobotsBytes) : undefined
  return isForbidden(new TextDecoder().decode(bytes), softwareName, url.pathname + url.search)
}

async function propertiesOf(
  env: Env,
  url: URL,
  response: Response,
  question: WebQuestion,
): Promise<JsonObject | undefined> {
  const contentType = response.headers.get('Content-Type')
  const essence = contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const tag = response.headers.get('X-Robots-Tag')
  const wishes = wishesOf([tag], softwareName)
  if (essence.startsWith('image/') && !wishes.image) {
    await response.body?.cancel()
    return {}
  }
  if (essence.startsWith('image/')) {
    const image = await keepImage(env, response, question)
    const name = fileNameOf(response.headers.get('Content-Disposition')) ?? cleanFileName(lastSegment(url))
    return image['og:image'] === undefined || name === null ? image : { 'og:title': name, ...image }
  }
  if (essence === 'text/html' || essence === 'application/xhtml+xml') {
    const bytes = await readStart(response, maxPageBytes)
    const page = bytes && (await readPage(pageText(bytes, contentType), url))
    return page && ofPage(env, page, wishesOf([tag, ...page.robots], softwareName), question)
  }
  if (essence === 'text/plain') {
    const bytes = await readStart(response, maxTextBytes)
    const text = bytes && cleanText(pageText(bytes, contentType), maxTextLength)
    if (text === undefined) return undefined
    return { 'og:title': lastSegment(url) || url.host, ...(wishes.snippet && { 'og:description': text }) }
  }
  await response.body?.cancel()
  return {}
}

async function ofPage(env: Env, page: PageFacts, wishes: Wishes, question: WebQuestion): Promise<JsonObject> {
  const isWhole = page.properties.has('og:title') && page.image !== undefined
  const embed = page.oEmbed && !isWhole ? await askForEmbed(page.oEmbed, question) : undefined
  const image = page.image ?? (embed?.image === undefined ? undefined : URL.parse(embed.image, page.oEmbed))
  const picture = image && wishes.image ? await copyImage(env, image, question) : {}
  // What the page says of its picture is replaced by what the picture is.
  const left = wishes.snippet ? /^og:(?:image|video|audio)(?::|$)/ : /^og:(?:image|video|audio|description)(?::|$)/
  const told = [...page.properties].filter(([name]) => !left.test(name))
  const facts = {
    'og:title': page.properties.get('og:title') ?? embed?.title ?? page.title,
    'og:description': wishes.snippet ? (page.description ?? embed?.author) : undefined,
    'og:site_name': page.properties.get('og:site_name') ?? embed?.siteName,
  }
  const known = Object.entries(facts).flatMap(([name, text]) => (text === undefined ? [] : [[name, text] as const]))
  return Object.fromEntries([...told, ...known, ...Object.entries(picture)])
}

async function askForEmbed(url: URL, question: WebQuestion): Promise<EmbedFacts | undefined> {
  const fetched = await fetchWeb(url, 'application/json', question)
  const bytes = fetched.ok ? await readStart(fetched.response, maxEmbedBytes) : undefined
  try {
    const answer: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return isObject(answer) ? readEmbed(answer) : undefined
  } catch {
    return undefined
  }
}

/** An hour, or as long as the page says within bounds. */
function freshnessOf(cacheControl: string | null): number {
  const seconds = /(?:^|[\s,])max-age=(\d{1,9})/i.exec(cacheControl ?? '')?.[1]
  if (seconds === undefined) return hour
  return Math.min(Math.max(Number(seconds) * 1000, leastFreshMs), mostFreshMs)
}

function lastSegment({ pathname }: URL): string {
  const segment = pathname.slice(pathname.lastIndexOf('/') + 1)
  try {
    return cleanText(decodeURIComponent(segment))
  } catch {
    return cleanText(segment)
  }
}
