/**
 * What a site does not want to be shown. RFC 9309, and the directives of `X-Robots-Tag` and `<meta name="robots">`. Pure.
 *
 * A preview is asked for by a person who looks at the page next, so rules for every robot (`*`), which are about crawlers,
 * are not about it. A site that names this program is obeyed, and so is a page that says what of it must not be quoted.
 */

export interface Wishes {
  /** Its text may be quoted. */
  readonly snippet: boolean
  /** Its pictures may be copied. */
  readonly image: boolean
}

/** By directives as a header or an element of the page has them, for all robots or for us: `nosnippet, noimageindex`. */
export function wishesOf(directives: readonly (string | null | undefined)[], name: string): Wishes {
  const words = directives.flatMap((text) => {
    const [, agent, rest] = /^\s*([\w-]+)\s*:(?!\s*\d)(.*)$/s.exec(text ?? '') ?? []
    // `max-snippet: 0` and the like look the same as the name of a robot.
    const isNamed = agent !== undefined && !/^(?:max-|unavailable)/i.test(agent)
    if (isNamed && agent.toLowerCase() !== name.toLowerCase()) return []
    return (isNamed ? (rest ?? '') : (text ?? '')).toLowerCase().split(',')
  })
  const said = new Set(words.map((word) => word.replaceAll(/\s/g, '')))
  return {
    snippet: !said.has('nosnippet') && !said.has('max-snippet:0'),
    image: !said.has('noimageindex') && !said.has('max-image-preview:none'),
  }
}

/** Whether a robots.txt forbids this path, with its query, to the robot of this name. */
export function isForbidden(text: string, name: string, path: string): boolean {
  let isOurs = false
  let inAgents = false
  let longest = { length: -1, allows: true }
  for (const line of text.split(/\r\n?|\n/)) {
    const [, field = '', value = ''] = /^\s*([\w-]+)\s*:\s*([^#]*?)\s*(?:#.*)?$/.exec(line) ?? []
    const kind = field.toLowerCase()
    if (kind === 'user-agent') {
      // "If the same user-agent is named by several groups, they are one."
      isOurs = (inAgents && isOurs) || value.toLowerCase() === name.toLowerCase()
      inAgents = true
    } else if (kind === 'allow' || kind === 'disallow') {
      inAgents = false
      const allows = kind === 'allow'
      // "The most specific match is the one with the most octets; of two that are equal, allow."
      const isBetter = value.length > longest.length || (value.length === longest.length && allows)
      if (isOurs && value !== '' && isBetter && matches(value, path)) longest = { length: value.length, allows }
    }
  }
  return !longest.allows
}

/** `*` stands for anything, `$` at the end for the end. Each part is looked for once. */
function matches(pattern: string, path: string): boolean {
  const isWhole = pattern.endsWith('$')
  const [first = '', ...parts] = (isWhole ? pattern.slice(0, -1) : pattern).split('*')
  if (!path.startsWith(first)) return false
  let at = first.length
  for (const part of isWhole ? parts.slice(0, -1) : parts) {
    const found = path.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  const last = parts.at(-1)
  if (!isWhole) return true
  return last === undefined ? at === path.length : path.endsWith(last) && path.length - last.length >= at
}
