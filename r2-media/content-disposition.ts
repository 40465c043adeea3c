/**
 * Content-Disposition: whether a browser may show a file, and what the file is called. Pure.
 *
 * RFC 6266, RFC 8187 (formerly 5987). File names come from anybody: no character of theirs may end a header, leave a
 * folder or turn the reading direction around.
 */

/** Spec: client-server-api/#serving-inline-content. Anything else, HTML and SVG above all, is only ever saved. */
const inlineTypes: ReadonlySet<string> = new Set([
  'text/css',
  'text/plain',
  'text/csv',
  'application/json',
  'application/ld+json',
  'image/jpeg',
  'image/gif',
  'image/png',
  'image/apng',
  'image/webp',
  'image/avif',
  'video/mp4',
  'video/webm',
  'video/ogg',
  'video/quicktime',
  'audio/mp4',
  'audio/webm',
  'audio/aac',
  'audio/mpeg',
  'audio/ogg',
  'audio/wave',
  'audio/wav',
  'audio/x-wav',
  'audio/x-pn-wav',
  'audio/flac',
  'audio/x-flac',
])

const maxNameLength = 255
/** Controls, halves of surrogate pairs, what separates paths, and marks that change the direction of what follows. */
const unsafe = /[\p{Cc}\p{Cs}/\\\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu
/** Printable ASCII that every parser reads alike inside quotes. */
const plain = /^[ !#$&-[\]-~]*$/

/** The header's value for a file of this type; `fileName` as `cleanFileName` gave it. */
export function contentDisposition(contentType: string, fileName: string | null): string {
  const essence = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const disposition = inlineTypes.has(essence) ? 'inline' : 'attachment'
  if (fileName === null) return disposition
  if (plain.test(fileName)) return `${disposition}; filename="${fileName}"`
  const fallback = fileName.replaceAll(/[^ !#$&-[\]-~]/gu, '_')
  const encoded = encodeURIComponent(fileName).replaceAll(/['()*]/g, percent)
  return `${disposition}; filename="${fallback}"; filename*=utf-8''${encoded}`
}

/** A name that is safe in a header and in a folder, or null when nothing is left of it. */
export function cleanFileName(name: string | null | undefined): string | null {
  if (name === null || name === undefined) return null
  // The cut may halve a surrogate pair: first cut, then clean.
  const clean = name.slice(0, maxNameLength).replaceAll(unsafe, '_').trim()
  return clean === '' || /^\.+$/.test(clean) ? null : clean
}

/** The file name that another server's header gives, cleaned; null without one. */
export function fileNameOf(header: string | null | undefined): string | null {
  if (!header) return null
  const extended = /;\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(header)?.[1]
  if (extended !== undefined) {
    try {
      return cleanFileName(decodeURIComponent(extended))
    } catch {
      // The plain form may still do.
    }
  }
  const quoted = /;\s*filename\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(header)?.[1]
  if (quoted !== undefined) return cleanFileName(quoted.replaceAll(/\\(.)/g, '$1'))
  return cleanFileName(/;\s*filename\s*=\s*([^";\s]+)/i.exec(header)?.[1])
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
}
