/**
 * What a page says of itself: Open Graph, and where that is missing its title, description and picture.
 *
 * https://ogp.me. Everything here was written by a stranger: only so many properties, of so many characters each.
 */
import { softwareName } from '../../software.ts'
import { decodeEntities } from './html-entities.ts'

export interface PageFacts {
  /** Properties of the page by their names, `og:title` and the like; the first of each name counts. */
  readonly properties: ReadonlyMap<string, string>
  readonly title: string | undefined
  readonly description: string | undefined
  /** Absolute. */
  readonly image: URL | undefined
  /** Where the same is told as oEmbed JSON, absolute. */
  readonly oEmbed: URL | undefined
  /** What robots are told. */
  readonly robots: readonly string[]
}

const maxProperties = 30
const maxLength = 1000
const maxTitle = 4000
const propertyName = /^(?:og|article|profile|book):[a-z_:]{1,60}$/
/** By preference. */
const imageNames = [
  'og:image',
  'og:image:url',
  'og:image:secure_url',
  'twitter:image',
  'twitter:image:src',
  'image_src',
]

/** Reads a page that came from `url`. */
export async function readPage(html: string, url: URL): Promise<PageFacts> {
  const found = new Map<string, string>()
  const robots: string[] = []
  const note = (name: string | undefined, value: string | null) => {
    if (name === undefined || value === null || found.has(name) || found.size >= maxProperties) return
    const text = cleanText(value)
    if (text !== '') found.set(name, text)
  }
  let titles = 0
  let title = ''
  let base = url
  const rewriter = new HTMLRewriter()
    .on('meta', {
      element(element) {
        const name = (element.getAttribute('property') ?? element.getAttribute('name'))?.trim().toLowerCase()
        const isKnown =
          name !== undefined && (propertyName.test(name) || /^(?:twitter:.{1,60}|description)$/.test(name))
        if (isKnown) note(name, element.getAttribute('content'))
        const isForUs = name === 'robots' || name === softwareName.toLowerCase()
        if (isForUs && robots.length < maxProperties) robots.push(cleanText(element.getAttribute('content') ?? ''))
      },
    })
    .on('title', {
      element: () => void (titles += 1),
      // Drawings have titles as well: the first is the page's.
      text({ text }) {
        if (titles === 1 && title.length < maxTitle) title += text
      },
    })
    .on('base[href]', {
      element(element) {
        if (base === url) base = URL.parse(decodeEntities(element.getAttribute('href') ?? ''), url) ?? url
      },
    })
    .on('link[rel][href]', {
      element(element) {
        const relations = (element.getAttribute('rel') ?? '').toLowerCase().split(/\s+/)
        const type = element.getAttribute('type')?.toLowerCase()
        if (relations.includes('image_src')) note('image_src', element.getAttribute('href'))
        if (relations.includes('alternate') && type === 'application/json+oembed') {
          note('oembed', element.getAttribute('href'))
        }
      },
    })
  await rewriter.transform(new Response(html)).body?.pipeTo(new WritableStream())
  const properties = new Map([...found].filter(([name]) => propertyName.test(name)))
  const address = (names: readonly string[]) => {
    const text = names.map((name) => found.get(name)).find((value) => value !== undefined)
    return text === undefined ? undefined : (URL.parse(text, base) ?? undefined)
  }
  return {
    properties,
    title: found.get('og:title') ?? found.get('twitter:title') ?? (cleanText(title) || undefined),
    description: found.get('og:description') ?? found.get('twitter:description') ?? found.get('description'),
    image: address(imageNames),
    oEmbed: address(['oembed']),
    robots,
  }
}

/** One line of plain text, not too long. */
export function cleanText(text: string, most = maxLength): string {
  const line = decodeEntities(text.slice(0, maxTitle)).replaceAll(/[\s\p{Cc}]+/gu, ' ')
  // The cut may halve a surrogate pair.
  return line
    .trim()
    .slice(0, most)
    .replaceAll(/\p{Cs}/gu, '')
}
