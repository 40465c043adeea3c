/** What an oEmbed answer adds to a page's own words. https://oembed.com, section 2.3.4. Pure. */
import { type JsonObject, own } from '#protocol/json/json.ts'

import { cleanText } from './read-page.ts'

export interface EmbedFacts {
  readonly title: string | undefined
  readonly siteName: string | undefined
  readonly author: string | undefined
  /** Not absolute of necessity. */
  readonly image: string | undefined
}

/** Its `html` is never looked at: nothing of it reaches a client. */
export function readEmbed(answer: JsonObject): EmbedFacts {
  const text = (name: string) => {
    const value = own(answer, name)
    return typeof value === 'string' && value !== '' ? cleanText(value) || undefined : undefined
  }
  const isPhoto = own(answer, 'type') === 'photo'
  return {
    title: text('title'),
    siteName: text('provider_name'),
    author: text('author_name'),
    image: (isPhoto ? text('url') : undefined) ?? text('thumbnail_url'),
  }
}
