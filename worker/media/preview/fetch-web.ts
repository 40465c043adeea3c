/**
 * How the web at large is asked for a preview: a few redirects, each checked anew, no private address, never this server
 * itself; one time limit over all that a preview needs. Pages and pictures have the byte caps of their readers.
 */
import { fetchGuarded, type FetchedResponse, type FetchFailure } from '../../federation-client/fetch-capped.ts'
import type { Env } from '../../env.ts'
import type { Settings } from '../../settings.ts'
import { softwareName, softwareVersion } from '../../software.ts'

export interface WebQuestion {
  readonly settings: Settings
  readonly web: Env['WEB']
  /** `Accept-Language` of the one who asks; empty: none. */
  readonly language: string
  /** Ends all requests of one preview. */
  readonly signal: AbortSignal
}

export const previewTimeoutMs = 15_000
const maxRedirects = 5

/** The answer with its body still to be read; anything but 2xx is a failure. */
export async function fetchWeb(
  url: URL,
  accept: string,
  { settings, web, language, signal }: WebQuestion,
): Promise<FetchedResponse | FetchFailure> {
  const headers = {
    Accept: accept,
    'User-Agent': `${softwareName}/${softwareVersion} (URL preview)`,
    ...(language !== '' && { 'Accept-Language': language }),
  }
  const fetched = await fetchGuarded(
    withoutUser(url),
    { headers },
    {
      timeoutMs: previewTimeoutMs,
      maxBytes: 0,
      allowPrivateAddresses: settings.allowPrivateAddresses,
      redirects: maxRedirects,
      plainHttp: true,
      exceptHosts: ownHosts(settings),
      ...(web && { by: web }),
      signal,
    },
  )
  if (!fetched.ok || fetched.response.ok) return fetched
  await fetched.response.body?.cancel()
  return { ok: false, kind: 'unreachable', message: `the answer is ${fetched.response.status}` }
}

/** The first bytes of a body, at most `most` of them; undefined when it breaks off. */
export async function readStart({ body }: Response, most: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of body ?? []) {
      chunks.push(chunk.subarray(0, most - size))
      size += Math.min(chunk.byteLength, most - size)
      // Leaving the loop cancels the stream.
      if (size >= most) break
    }
  } catch {
    return undefined
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer())
}

/** A name and password in a link are not ours to use. */
function withoutUser(url: URL): URL {
  const plain = new URL(url)
  plain.username = ''
  plain.password = ''
  return plain
}

function ownHosts({ serverName, publicUrl }: Settings): string[] {
  return [serverName, `${serverName}:8448`, URL.parse(publicUrl)?.host ?? serverName]
}
